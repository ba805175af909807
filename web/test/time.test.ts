import assert from "node:assert/strict";
import { test } from "node:test";
import {
  binsOf, EVERYTHING, Groups, sampleValues, snap, bothStacks, stack, survivalSpan, survivedBounds, total,
  type RangeName, type Selection,
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
  const bounds = (range: [number, number]): unknown[] => {
    const found = survivedBounds(data, { metric: "", range, threads: null, processes: null });
    return [found.low, found.high, found.span];
  };
  assert.deepEqual(bounds([10, 30]), [5, 5, null]); // the process that holds 500 has ended
  assert.deepEqual(bounds([10, 20]), [507, 507, null]); // both agree: it is exact
  assert.deepEqual(bounds([20, 30]), [0, 5, null]); // b: 5 came and 7 went, 5 are left
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
  assert.deepEqual(survived([0, 50]), [40, 0, 5]); // the process that held 500 has ended
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

/** Samples of three threads and two processes, one of which ends, with changes in random bins. */
function randomChanges(random: Random): { description: Description; live: number[][] } {
  const bins = Array.from({ length: 1 + random.below(9) }, (_, i): [number, number] => [i * 10, i * 10 + 10]);
  const end = random.below(2) ? null : 5 * (1 + random.below(2 * bins.length));
  const samples = Array.from({ length: 1 + random.below(12) }, () => ({
    stack: [random.below(4), random.below(4)],
    site: random.below(4),
    thread: random.below(3),
    process: random.below(2),
  }));
  const live: number[][] = []; // by bin, at its end
  const own = samples.map(() => 0);
  const changes: Change[] = [];
  bins.forEach(([start], bin) => {
    samples.forEach(({ process }, sample) => {
      if (process === 1 && end !== null && start >= end) {
        own[sample] = 0;
        return;
      }
      if (random.below(2)) return;
      const came = random.below(100);
      const went = random.below(own[sample]! + came + 1);
      own[sample]! += came - went;
      changes.push({ bin, sample, bytes_in: came, bytes_out: went });
    });
    live.push([...own]);
  });
  const process = { pid: 1, image: 0, command: "", start_ns: 0, peak_bytes: 0 };
  const description = {
    places: ["a", "b", "c", "d"].map((name) => ({ function: name })),
    samples, bins, changes,
    header: { processes: [{ ...process, end_ns: null }, { ...process, end_ns: end }] },
  };
  return { description, live };
}

test("the live heap over time by sites, against change by change", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed);
    const { description, live } = randomChanges(random);
    const made = make(description);
    const groups = new Groups(made, EVERYTHING);
    const { samples } = description;
    const selections: Selection[] = [
      { metric: "", range: null, threads: null, processes: null },
      { metric: "", range: null, threads: new Set([0, 2]), processes: null },
      { metric: "", range: null, threads: null, processes: new Set([1]) },
    ];
    for (const selection of selections) {
      const counts = samples.map(
        (one) =>
          (selection.threads?.has(one.thread!) ?? true) &&
          (selection.processes?.has(one.process!) ?? true),
      );
      const bySite = live.map((own) =>
        [0, 1, 2, 3].map((site) =>
          own.reduce((all, bytes, i) => all + (counts[i] && samples[i]!.site === site ? bytes : 0), 0),
        ),
      );
      const highest = [0, 1, 2, 3].map((site) => Math.max(...bySite.map((bytes) => bytes[site]!)));
      const order = [0, 1, 2, 3]
        .filter((site) => highest[site])
        .sort((a, b) => highest[b]! - highest[a]! || a - b);
      const top = random.below(5);
      const found = stack(made, groups, selection, top);
      assert.deepEqual(found.groups, order.slice(0, top).map((site) => groups.ofLocation[site]));
      found.series.forEach((series, k) => {
        assert.deepEqual([...series], bySite.map((bytes) => bytes[order[k]!]));
      });
      const all = bySite.map((bytes) => bytes.reduce((sum, one) => sum + one, 0));
      assert.deepEqual([...found.total], all);
      const shown = (bin: number): number => found.series.reduce((sum, one) => sum + one[bin]!, 0);
      assert.deepEqual([...found.rest], all.map((bytes, bin) => bytes - shown(bin)));
      const ends = all.map((_, bin) =>
        total(sampleValues(made, { ...selection, metric: "live_end", range: [bin * 10, bin * 10 + 10] })),
      );
      assert.deepEqual(ends, all);
    }
  }
});

test("a comparison has both recordings over time, by the same sites", () => {
  const made = make({
    places: ["a", "b", "c"].map((name) => ({ function: name })),
    samples: [{ stack: [0] }, { stack: [1] }, { stack: [2] }],
    columns: {
      "lives.start": [0, 10, 20],
      "lives.end": [10, 20, 30],
      "lives.rows": [2, 0, 2],
      "lives.sample": [0, 1, 0, 2],
      "lives.bytes": [100, 7, -60, 5],
      "base.lives.start": [0, 30],
      "base.lives.end": [15, 40],
      "base.lives.rows": [1, 2],
      "base.lives.sample": [2, 1, 2],
      "base.lives.bytes": [9, 8, 30],
    },
  });
  const groups = new Groups(made, EVERYTHING);
  const [before, after] = bothStacks(made, groups, 2)!;
  const ofPlace = [0, 2].map((place) => groups.ofLocation[place]);
  assert.deepEqual([before.groups, after.groups], [ofPlace, ofPlace]);
  assert.deepEqual([[...before.starts], [...before.ends]], [[0, 30], [15, 40]]);
  assert.deepEqual(before.series.map((one) => [...one]), [[0, 0], [9, 39]]);
  assert.deepEqual([[...before.rest], [...before.total]], [[0, 8], [9, 47]]);
  assert.deepEqual([...after.ends], [10, 20, 30]);
  assert.deepEqual(after.series.map((one) => [...one]), [[100, 100, 40], [0, 0, 5]]);
  assert.deepEqual([[...after.rest], [...after.total]], [[7, 7, 7], [107, 107, 52]]);
});

test("a recording alone has nothing to stand beside it", () => {
  assert.equal(bothStacks(data, new Groups(data, EVERYTHING), 2), null);
  const damaged = make({ ...DESCRIPTION, columns: { "lives.rows": [1], "lives.end": [9] } });
  assert.throws(() => bothStacks(damaged, new Groups(damaged, EVERYTHING), 2), /is damaged/);
});
