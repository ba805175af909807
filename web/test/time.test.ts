import assert from "node:assert/strict";
import { test } from "node:test";
import {
  binsOf, duration, EVERYTHING, Groups, histogram, percent, sampleValues, signed, size, snap, stack,
  survivalSpan, survivedBounds, type RangeName, type Selection,
} from "../src/model";
import { make, Random, type Change, type Description } from "./make";

const DESCRIPTION: Description = {
  places: [{ function: "a" }, { function: "b" }],
  samples: [{ stack: [0] }, { stack: [1] }, { stack: [0, 1], site: 0, process: 1 }],
  bins: [[0, 10], [10, 20], [20, 30], [40, 50]],
  changes: [
    { bin: 0, sample: 0, bytes_in: 100, blocks_in: 4, reallocations: 1, copied_bytes: 3 },
    { bin: 1, sample: 0, bytes_out: 60 },
    { bin: 1, sample: 1, bytes_in: 7, blocks_in: 1 },
    { bin: 1, sample: 2, bytes_in: 500, blocks_in: 1 },
    { bin: 2, sample: 1, bytes_in: 5, bytes_out: 7, blocks_in: 1 },
    { bin: 3, sample: 0, bytes_in: 1, blocks_in: 1 },
  ],
  header: {
    processes: [
      { pid: 1, image: 0, command: "a", start_ns: 0, end_ns: null, peak_bytes: 0 },
      { pid: 2, image: 0, command: "b", start_ns: 9, end_ns: 19, peak_bytes: 0 },
    ],
  },
};
const data = make(DESCRIPTION);
const of = (metric: RangeName, range: [number, number]): number[] => [
  ...sampleValues(data, { metric, range, threads: null, processes: null }),
];

test("a range is the bins that it touches", () => {
  assert.deepEqual(binsOf(data, [10, 20]), [1, 2]);
  assert.deepEqual(binsOf(data, [10.5, 20.5]), [1, 3]);
  assert.deepEqual(snap(data, [15, 22]), [10, 30]);
  assert.deepEqual(snap(data, [0, 99]), [0, 50]);
  assert.deepEqual(snap(data, [60, 99]), [40, 50]);
});

test("metrics of a range", () => {
  // Samples in order of their nodes: a, a > b (of the process that ends), b.
  assert.deepEqual(of("allocated", [10, 30]), [0, 500, 12]);
  assert.deepEqual(of("freed", [10, 30]), [60, 0, 7]);
  assert.deepEqual(of("grown", [10, 30]), [-60, 500, 5]);
  assert.deepEqual(of("allocations", [0, 10]), [3, 0, 0]);
  assert.deepEqual(of("copied", [0, 10]), [3, 0, 0]);
});

test("what an ended process leaves is live no more", () => {
  assert.deepEqual(of("live_end", [0, 20]), [40, 500, 7]);
  assert.deepEqual(of("live_end", [0, 30]), [40, 0, 5]);
  assert.deepEqual(of("live_start", [40, 50]), [40, 0, 5]);
  const all: Selection = { metric: "", range: null, threads: null, processes: null };
  const groups = new Groups(data, EVERYTHING);
  const shown = stack(data, groups, all, 1);
  assert.deepEqual(shown.groups, [groups.ofLocation[0]]);
  assert.deepEqual([...shown.total], [100, 547, 45, 46]);
  assert.deepEqual([...shown.series[0]!], [100, 540, 40, 41]);
  assert.deepEqual([...shown.rest], [0, 7, 5, 5]);
});

test("figures that are sums of changes need no column", () => {
  const bare = make({ ...DESCRIPTION, without: ["sample.total_bytes"] });
  assert.equal(bare.has("sample.total_bytes"), true);
  assert.deepEqual([...bare.column("sample.total_bytes")], [101, 500, 12]);
  assert.deepEqual([...bare.column("sample.alive_at_exit_bytes")], [41, 500, 5]);
  assert.deepEqual([...bare.column("sample.allocations")], [4, 1, 2]);
});

test("survivors without ages: bounds", () => {
  const found = survivedBounds(data, { metric: "", range: [10, 20], threads: null, processes: null });
  assert.deepEqual([found.low, found.high, found.span], [507, 507, null]);
});

test("survivors with ages: of the nearest span that is known", () => {
  const aged = make({
    ...DESCRIPTION,
    births: {
      time: [10, 20, 50],
      // sample, born in cell, died in interval, bytes
      rows: [[0, 0, 1, 60], [0, 0, 3, 40], [1, 1, 2, 7], [1, 2, 3, 5], [2, 1, 3, 500]],
    },
  });
  const survived = (range: [number, number]): number[] => [
    ...sampleValues(aged, { metric: "survived", range, threads: null, processes: null }),
  ];
  assert.deepEqual(survived([0, 10]), [100, 0, 0]);
  assert.deepEqual(survived([0, 20]), [40, 500, 7]);
  assert.deepEqual(survived([10, 20]), [0, 500, 7]);
  assert.deepEqual(survived([20, 50]), [0, 0, 5]);
  assert.deepEqual(survived([0, 50]), [40, 500, 5]);
  assert.deepEqual(survivalSpan(aged, [10, 20]), { start: 10, end: 20, first: 1, last: 1 });
  assert.deepEqual(survivalSpan(aged, [20, 30]), { start: 10, end: 20, first: 1, last: 1 });
});

test("growth of all bins is what lives at the end", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Random(seed);
    const live = [0, 0, 0];
    const changes: Change[] = [];
    const bins = Array.from({ length: 1 + random.below(9) }, (_, i): [number, number] => [i, i + 1]);
    for (let bin = 0; bin < bins.length; bin++) {
      for (let sample = 0; sample < 3; sample++) {
        const came = random.below(100);
        const went = random.below(live[sample]! + came + 1);
        live[sample]! += came - went;
        if (came || went) changes.push({ bin, sample, bytes_in: came, bytes_out: went });
      }
    }
    const made = make({
      places: [{ function: "a" }, { function: "b" }, { function: "c" }],
      samples: [0, 1, 2].map((place) => ({ stack: [place] })),
      bins,
      changes,
    });
    const selection = { range: [0, bins.length] as [number, number], threads: null, processes: null };
    for (const metric of ["grown", "live_end"]) {
      assert.deepEqual([...sampleValues(made, { ...selection, metric })], live);
    }
    const cut = 1 + random.below(bins.length);
    const grown = (range: [number, number]): Float64Array =>
      sampleValues(made, { ...selection, metric: "grown", range });
    const [first, rest] = [grown([0, cut]), cut < bins.length ? grown([cut, bins.length]) : null];
    assert.deepEqual([...first].map((one, i) => one + (rest ? rest[i]! : 0)), live);
  }
});

test("histograms with the buckets of the header", () => {
  const made = make({
    places: [{ function: "a" }],
    samples: [{ stack: [0] }, { stack: [0], thread: 1 }],
    columns: { "size.sample": [0, 0, 1], "size.bucket": [0, 2, 0], "size.count": [3, 4, 5] },
  });
  assert.deepEqual(
    histogram(made, "size").map((bucket) => [bucket.label, bucket.count]),
    [["up to 16 B", 8], ["up to 1 KiB", 0], ["over 1 KiB", 4]],
  );
  assert.equal(histogram(made, "size", (sample) => sample === 1)[0]!.count, 5);
  assert.deepEqual(histogram(made, "age").map((b) => b.label), ["0", "1", "2–7", "8 and more"]);
  assert.deepEqual(histogram(made, "life").map((b) => b.label), [
    "below 1.00 ms", "below 1.00 s", "1.00 s and more",
  ]);
});

test("figures as people read them", () => {
  assert.deepEqual([0, 999, 1000, 999_950, 1_234_567].map(size), [
    "0 B", "999 B", "1.0 kB", "1.0 MB", "1.2 MB",
  ]);
  assert.deepEqual([0, 0.0001, 0.37, 1].map(percent), ["0.0 %", "<0.1 %", "37.0 %", "100.0 %"]);
  assert.deepEqual([0.0000012, 0.5, 3.21, 75, 7322].map(duration), [
    "1.20 µs", "500 ms", "3.21 s", "1 min 15 s", "2 h 02 min",
  ]);
  assert.deepEqual([5000, -5000, 0].map((one) => signed(one, "bytes")), ["+5.0 kB", "−5.0 kB", "0 B"]);
  assert.equal(signed(1234, "allocations"), "+1,234");
});
