import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bothStacks, covered, EVERYTHING, Groups, rulerOf, sampleValues, snap, stack, survivalSpan, survivedBounds, total,
  touched, type Header, type RangeName, type Selection, type Which,
} from "../src/model";
import { INITIAL } from "../src/ui/state";
import { Views } from "../src/ui/views";
import { make, Random, type Change, type Description } from "./make";

const DESCRIPTION: Description = {
  places: [{ function: "a" }, { function: "b" }],
  samples: [{ stack: [0] }, { stack: [1] }, { stack: [0, 1], site: 0, process: 1 }],
  bins: [[0, 10], [10, 20], [20, 30], [40, 50]],
  changes: [
    { bin: 0, sample: 0, bytes_in: 100, blocks_in: 4, reallocations: 1, copied_bytes: 3 },
    { bin: 1, sample: 0, bytes_out: 60, blocks_out: 2 },
    { bin: 1, sample: 1, bytes_in: 7, blocks_in: 1 },
    { bin: 1, sample: 2, bytes_in: 500, blocks_in: 1 },
    { bin: 2, sample: 1, bytes_in: 5, bytes_out: 7, blocks_in: 1 },
    { bin: 3, sample: 0, bytes_in: 1, blocks_in: 1 },
  ],
  header: {
    processes: [null, 19].map((end_ns, row) => (
      { pid: 1 + row, image: 0, command: "", start_ns: 0, end_ns, peak_bytes: 0 }
    )),
  },
};
const data = make(DESCRIPTION);
const of = (metric: RangeName, range: [number, number]): number[] => [
  ...sampleValues(data, { metric, range, threads: null, processes: null }),
];

test("a range is the bins that it touches", () => {
  const { bins } = data;
  assert.deepEqual(touched(bins, [10, 20]), [1, 2]);
  assert.deepEqual(touched(bins, [10.5, 20.5]), [1, 3]);
  assert.deepEqual(touched(bins, [31, 39]), [3, 3]); // between two
  assert.deepEqual(touched(bins, [60, 99]), [4, 4]); // behind all
  assert.deepEqual([covered(bins, [31, 39]), covered(bins, [15, 45])], [null, [10, 50]]);
  assert.deepEqual(snap(bins, [15, 22]), [10, 30]);
  assert.deepEqual(snap(bins, [0, 99]), [0, 50]);
  assert.deepEqual(snap(bins, [60, 99]), [40, 50]);
});

test("metrics of a range", () => {
  // Samples in order of their nodes: a, a > b (of the process that ends), b.
  assert.deepEqual(of("allocated", [10, 30]), [0, 500, 12]);
  assert.deepEqual(of("freed", [10, 30]), [60, 0, 7]);
  assert.deepEqual(of("grown", [10, 30]), [-60, 500, 5]);
  assert.deepEqual(of("allocations", [0, 10]), [3, 0, 0]);
  assert.deepEqual(of("copied", [0, 10]), [3, 0, 0]);
});

test("metrics of a range in blocks", () => {
  assert.deepEqual(of("freed_blocks", [10, 30]), [2, 0, 0]);
  assert.deepEqual(of("grown_blocks", [10, 30]), [-2, 1, 2]);
  assert.deepEqual(of("live_start_blocks", [10, 20]), [4, 0, 0]);
  assert.deepEqual(of("live_end_blocks", [10, 20]), [2, 1, 1]);
  assert.deepEqual(of("live_end_blocks", [10, 30]), [2, 0, 2]); // a process has ended
  assert.deepEqual(of("survived_blocks", [10, 30]), [0, 0, 2]); // at least: ages are not known
  assert.deepEqual(of("reallocations", [0, 10]), [1, 0, 0]);
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

/** A timeline of `[time, live, peak]`. */
function timed(rows: [number, number, number][], prefix = ""): Record<string, number[]> {
  const names = ["time", "live", "peak"];
  return Object.fromEntries(names.map((name, i) => [`${prefix}time.${name}`, rows.map((row) => row[i]!)]));
}

test("each span has the highest live heap in it", () => {
  const tops = (rows: [number, number, number][], peak_bytes = 0, peak_ns = 0): number[] => {
    const told = { summary: { peak_bytes }, recording: { peak_ns } };
    const header = { ...DESCRIPTION.header, ...told } as object as Partial<Header>;
    return [...make({ ...DESCRIPTION, columns: timed(rows), header }).sides.new.tops];
  };
  assert.deepEqual(tops([]), [0, 0, 0, 0]);
  assert.deepEqual(tops([[10, 100, 101], [20, 547, 900]]), [101, 900, 0, 0]);
  assert.deepEqual(tops([[12, 100, 900]]), [900, 0, 0, 0]); // most of its time is there
  assert.deepEqual(tops([[2, 100, 100], [13, 400, 400]]), [100, 400, 0, 0]); // it grew until there
  assert.deepEqual(tops([[9, 400, 400], [20, 100, 400]]), [400, 0, 0, 0]); // and shrank from there on
  assert.deepEqual(tops([[31, 45, 45], [39, 45, 45]]), [0, 0, 0, 0]); // nothing is between spans
  assert.deepEqual(tops([[12, 100, 801], [20, 547, 800]], 800, 11), [0, 800, 0, 0]); // as it is known best
  assert.deepEqual(tops([], 800, 60), [0, 0, 0, 800]);
});

test("how high the heap rose is told of all together, and at least what the ends of spans tell", () => {
  const made = make({ ...DESCRIPTION, columns: timed([[10, 100, 100], [20, 547, 900]]) });
  const groups = new Groups(made, EVERYTHING);
  const highest = (threads: Set<number> | null): number[] => [
    ...stack(made, groups, { metric: "", range: null, threads, processes: null }, 1).highest,
  ];
  assert.deepEqual(highest(null), [100, 900, 547, 46]);
  assert.deepEqual(highest(new Set([0])), [100, 547, 547, 46]);
  const views = new Views(made);
  const chosen = (range: [number, number], more = {}) => views.highest({ ...INITIAL, range, ...more });
  assert.deepEqual([chosen([0, 10]), chosen([0, 30]), chosen([31, 39])], [100, 900, null]);
  assert.equal(chosen([0, 30], { threads: [0] }), null);
});

test("both recordings of a comparison tell how high they rose", () => {
  const made = make({
    ...COMPARED,
    columns: { ...timed([[10, 100, 700]]), ...timed([[15, 50, 900]], "base.") },
    header: { ...DESCRIPTION.header, diff: { title: "", recording: {}, summary: {} } as never },
  });
  const [before, after] = bothStacks(made, new Groups(made, EVERYTHING), 2)!;
  assert.deepEqual([[...before.highest], [...after.highest]], [[900, 58], [700, 547, 547, 46]]);
  const views = new Views(made);
  const state = { ...INITIAL, range: [0, 50] as [number, number] };
  assert.deepEqual([views.highest(state, "base"), views.highest(state)], [900, 700]);
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
      // sample, born in cell, died in interval (2: with its process at the latest), bytes
      rows: [[0, 0, 1, 60], [0, 0, 3, 40], [1, 1, 2, 7], [1, 2, 3, 5], [2, 1, 2, 500]],
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
  assert.deepEqual(survivalSpan(aged.sides.new, [10, 20]), { start: 10, end: 20, first: 1, last: 1 });
  assert.deepEqual(survivalSpan(aged.sides.new, [20, 30]), { start: 10, end: 20, first: 1, last: 1 });
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
    bins: [[0, 10], [10, 20], [20, 30]],
    changes: [
      { bin: 0, sample: 0, bytes_in: 100 },
      { bin: 0, sample: 1, bytes_in: 9, bytes_out: 2 },
      { bin: 2, sample: 0, bytes_out: 50 },
      { bin: 2, sample: 2, bytes_in: 5 },
    ],
    exits: [[2, 0, 10]],
    older: {
      bins: [[0, 15], [30, 40]],
      changes: [
        { bin: 0, sample: 2, bytes_in: 9 },
        { bin: 1, sample: 1, bytes_in: 8 },
        { bin: 1, sample: 2, bytes_in: 30 },
      ],
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

test("of recordings without time nothing stands beside the other", () => {
  const { places, samples, header } = DESCRIPTION;
  const made = make({ places, samples, header: header! });
  assert.equal(bothStacks(made, new Groups(made, EVERYTHING), 2), null);
});

/** The older recording is shorter, and its bins are others. */
const COMPARED: Description = {
  ...DESCRIPTION,
  births: { time: [10, 30, 50], rows: [[0, 0, 1, 60], [1, 1, 3, 5]] },
  older: {
    bins: [[0, 15], [15, 25]],
    changes: [
      { bin: 0, sample: 0, bytes_in: 50, blocks_in: 2 },
      { bin: 0, sample: 2, bytes_in: 8, blocks_in: 1 },
      { bin: 1, sample: 0, bytes_in: 3, bytes_out: 20, blocks_in: 1 },
    ],
    exits: [[1, 2, 8, 1]],
    births: { time: [15, 25], rows: [[0, 0, 1, 20, 1], [0, 0, 2, 30, 1], [0, 1, 2, 3, 1]] },
  },
};
const both = make(COMPARED);
const sideOf = (which: Which, metric: RangeName, range: [number, number]): number[] => [
  ...sampleValues(both, { metric, range, threads: null, processes: null }, which),
];

test("what processes held when they ended, as it is written and from their ends", () => {
  const { first, sample, bytes } = data.sides.new.exits;
  assert.deepEqual([[...first], [...sample as number[]], [...bytes as number[]]], [
    [0, 0, 0, 1, 1], [1], [500],
  ]);
  const late = make({
    ...DESCRIPTION,
    changes: [...DESCRIPTION.changes!, { bin: 3, sample: 2, bytes_in: 6 }], // behind its end
  });
  assert.deepEqual([...late.sides.new.exits.bytes as number[]], [500, 6]);
  assert.deepEqual([...late.sides.new.exits.blocks as number[]], [1, 0]);
  assert.throws(() => make({ ...COMPARED, columns: { "exit.rows": [9] } }).sides.new.exits, /is damaged/);
  assert.throws(() => {
    return make({ ...COMPARED, columns: { "base.exit.rows": [0, 2] } }).sides.base.exits;
  }, /is damaged/);
});

test("each recording of a comparison has the figures of its own bins", () => {
  assert.deepEqual(sideOf("base", "allocated", [10, 20]), [53, 8, 0]); // both of its bins
  assert.deepEqual(sideOf("base", "allocated", [15, 20]), [3, 0, 0]);
  assert.deepEqual(sideOf("new", "allocated", [15, 20]), of("allocated", [10, 20]));
  assert.deepEqual(sideOf("base", "allocations", [0, 15]), [2, 1, 0]);
  assert.deepEqual(sideOf("base", "live_start", [15, 20]), [50, 8, 0]);
  assert.deepEqual(sideOf("base", "live_end", [15, 20]), [33, 0, 0]); // its process has ended
  assert.deepEqual(sideOf("base", "survived", [0, 25]), [33, 0, 0]);
  assert.deepEqual(sideOf("base", "survived", [15, 25]), [3, 0, 0]);
  assert.deepEqual(sideOf("base", "live_start_blocks", [15, 20]), [2, 1, 0]);
  assert.deepEqual(sideOf("base", "live_end_blocks", [15, 20]), [3, 0, 0]);
  assert.deepEqual(sideOf("base", "survived_blocks", [0, 25]), [2, 0, 0]);
});

test("behind a recording's end nothing changes, and what lived at the end is live", () => {
  for (const metric of ["allocated", "freed", "grown", "allocations", "survived"] as const) {
    assert.deepEqual(sideOf("base", metric, [30, 50]), [0, 0, 0], metric);
  }
  for (const metric of ["live_start", "live_end"] as const) {
    assert.deepEqual(sideOf("base", metric, [30, 50]), [33, 0, 0], metric);
  }
  assert.equal(survivalSpan(both.sides.base, [30, 50]), null);
});

test("figures of the older recording may be sums of its changes too", () => {
  const bare = make({ ...COMPARED, without: ["base.total_bytes"] });
  assert.equal(bare.has("base.total_bytes"), true);
  assert.deepEqual([...bare.column("base.total_bytes")], [53, 8, 0]);
  assert.equal(bare.has("base.change"), false);
});

test("a chart's ranges snap to its own bins, and behind its end to the other's", () => {
  const [newer, older] = [both.bins, both.sides.base.bins];
  assert.equal(rulerOf(newer, older), newer);
  const ruler = rulerOf(older, newer);
  assert.deepEqual([[...ruler.start], [...ruler.end]], [[0, 15, 25, 40], [15, 25, 30, 50]]);
  assert.deepEqual(snap(ruler, [16, 27]), [15, 30]);
  assert.deepEqual(snap(ruler, [42, 43]), [40, 50]);
  assert.deepEqual([...rulerOf(data.sides.base.bins, newer).end], [...newer.end]); // it has none
});

test("what both did at any cut adds up to all of it", () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = new Random(seed);
    const { description } = randomChanges(random);
    const { bins, changes } = randomChanges(random).description;
    const count = description.samples.length;
    const fits = changes!.filter(({ sample }) => sample < count);
    const made = make({ ...description, older: { bins: bins!, changes: fits } });
    for (const which of ["new", "base"] as const) {
      const { count: all, end } = made.sides[which].bins;
      const cut = Number(end[random.below(all)]);
      const sum = (range: [number, number]): number =>
        total(sampleValues(made, { metric: "allocated", range, threads: null, processes: null }, which));
      assert.equal(sum([0, cut]) + sum([cut, 1e9]), sum([0, 1e9]));
    }
  }
});
