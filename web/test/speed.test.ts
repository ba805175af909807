import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import {
  Dataset, EVERYTHING, Flame, Groups, groupTable, heaviest, nodeValues, sampleValues, search, stack, total,
  type FlameNode, type Grouping, type Header, type Selection,
} from "../src/model";
import { pack, Random } from "./make";
import { PEAK } from "./stacks";

const NODES = 500_000;
const PLACES = 20_000;
const BINS = 240;
const CHANGES = 4_000; // in each bin

/** Chains of calls hung to what is there already; each place calls a few others. */
function largeTree(random: Random): { depth: number[]; location: number[] } {
  const place = [0];
  const below: number[][] = [[]];
  const known = new Map<number, number>();
  while (place.length < NODES) {
    const recent = Math.max(0, place.length - 1 - random.below(2000));
    let at = random.below(3) ? random.below(place.length) : recent;
    for (let left = 1 + random.below(12); left > 0 && place.length < NODES; left--) {
      const called = (place[at]! * 31 + random.below(1 + random.below(5)) * 7919 + 1) % PLACES;
      const key = at * PLACES + called;
      let next = known.get(key);
      if (next === undefined) {
        known.set(key, (next = place.length));
        place.push(called);
        below.push([]);
        below[at]!.push(next);
      }
      at = next;
    }
  }
  const depth: number[] = [];
  const location: number[] = [];
  const open: [number, number][] = [[0, 0]];
  while (open.length) {
    const [node, level] = open.pop()!;
    depth.push(level);
    location.push(place[node]!);
    for (const next of below[node]!) open.push([next, level + 1]);
  }
  return { depth, location };
}

function large(): { header: Header; data: Uint8Array } {
  const random = new Random(1);
  const { depth, location } = largeTree(random);
  const rows = (count: number, of: (i: number) => number): number[] =>
    Array.from({ length: count }, (_, i) => of(i));
  const step = Math.floor(NODES / CHANGES);
  const changes = BINS * CHANGES;
  const columns = {
    "location.function": rows(PLACES, (i) => i + 1),
    "location.file": rows(PLACES, (i) => (i % 3000) + 1),
    "location.module": rows(PLACES, (i) => (i % 100) + 1),
    "location.line": rows(PLACES, (i) => i % 300),
    "location.origin": rows(PLACES, (i) => [0, 0, 0, 1, 1, 2, 2][i % 7]!),
    "location.kind": rows(PLACES, () => 0),
    "location.language": rows(PLACES, () => 3),
    "node.depth": depth,
    "node.location": location,
    "sample.node": rows(NODES, (i) => i),
    "sample.site": location,
    "sample.thread": rows(NODES, (i) => i % 8),
    "sample.process": rows(NODES, () => 0),
    "sample.peak_bytes": rows(NODES, () =>
      random.below(3) ? 0 : Math.floor(1e8 / (1 + random.below(1e5))),
    ),
    "bin.start": rows(BINS, (i) => i * 10),
    "bin.end": rows(BINS, (i) => i * 10 + 10),
    "bin.changes": rows(BINS, () => CHANGES),
    "change.sample": rows(changes, (i) => (i % CHANGES) * step + random.below(step)),
    "change.bytes_in": rows(changes, () => 60_000 + random.below(60_000)),
    "change.bytes_out": rows(changes, () => random.below(60_000)),
  };
  const texts = Array.from({ length: PLACES + 1 }, (_, i) =>
    i ? `a::b${i % 97}::function_${i}<std::vector<int>>::call(int)` : "",
  );
  const packed = pack(
    {
      version: 2,
      metrics: [{ name: "peak", column: "peak_bytes" }],
      processes: [{ end_ns: null }],
      threads: rows(8, () => 0).map(() => ({ process: 0 })),
    },
    columns,
    texts,
  );
  const size = new DataView(packed.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(packed.subarray(4, 4 + size))) as Header;
  return { header, data: packed.subarray(4 + size) };
}

/** Frames that are at least a pixel wide, of 1,400. */
function draw(root: FlameNode): number {
  const open = [root];
  let drawn = 0;
  while (open.length) {
    const node = open.pop()!;
    if (node.value * 1400 < root.value) continue;
    drawn++;
    open.push(...node.children());
  }
  return drawn;
}

const FOLDED: Grouping = {
  ...EVERYTHING, interpreter: "hide", library: "merge", recursion: "merge", templates: "hide",
};

/** Prints what steps take, the second time as a page does them again and again. */
function timed(context: TestContext): <T>(what: string, step: () => T) => T {
  return (what, step) => {
    const times = [0, 1].map(() => {
      const began = performance.now();
      step();
      return (performance.now() - began).toFixed(1);
    });
    context.diagnostic(`${what}: ${times.join(" ms, then ")} ms`);
    return step();
  };
}

test(`${NODES} nodes, ${BINS * CHANGES} changes`, (context) => {
  const { header, data: bytes } = large();
  const time = timed(context);
  const data = time("open", () => new Dataset(header, bytes));
  assert.equal(data.nodes.count, NODES);
  const ranged: Selection = { ...PEAK, metric: "grown", range: [0, BINS * 10] };
  const grown = time("growth in a range", () => sampleValues(data, ranged));
  const values = sampleValues(data, PEAK);
  const nodes = time("values of nodes", () => nodeValues(data, values));
  for (const grouping of [EVERYTHING, FOLDED]) {
    const groups = time("groups", () => new Groups(data, grouping));
    const down = time("flame graph", () => {
      const flame = Flame.topDown(data, groups, nodes);
      return { total: flame.total, drawn: draw(flame.root) };
    });
    const up = time("inverted", () => {
      const flame = Flame.bottomUp(data, groups, nodes);
      return { total: flame.total, drawn: draw(flame.root) };
    });
    assert.ok(down.drawn > 100 && up.drawn > 100);
    assert.deepEqual([down.total, up.total], [total(values), total(values)]);
    const placed = time("places of groups", () =>
      groups.placed(heaviest(data, groups, { samples: values, nodes, base: null })),
    );
    const found = time("search", () => search(data, placed, "function_12", nodes));
    assert.ok(found.value > 0 && found.value < total(values));
    const rows = time("table", () => groupTable(data, groups, values, nodes));
    assert.equal(rows.reduce((all, row) => all + row.site, 0), total(values));
    const series = time("timeline", () => stack(data, groups, PEAK, 8));
    assert.equal(series.total[BINS - 1], total(grown));
  }
});
