import assert from "node:assert/strict";
import { test } from "node:test";
import {
  EVERYTHING, Flame, Groups, nodeValues, plainName, sampleValues, search, groupTable, ownerTable,
  type Dataset, type FlameNode, type Grouping, type NodeValues, type Selection,
} from "../src/model";
import { make, Random, randomDescription, type Description } from "./make";

const PEAK: Selection = { metric: "peak", range: null, threads: null, processes: null };
const GROUPINGS: Grouping[] = [];
for (const by of ["function", "line", "file", "module"] as const)
  for (const interpreter of ["show", "hide"] as const)
    for (const library of ["show", "merge", "hide"] as const)
      for (const recursion of ["show", "merge"] as const)
        GROUPINGS.push({
          by, interpreter, library, recursion,
          templates: library === "show" ? "hide" : "show",
        });

interface Prepared { data: Dataset; values: Float64Array; nodes: NodeValues; base: NodeValues }

function prepare(description: Description): Prepared {
  const data = make(description);
  const values = sampleValues(data, PEAK);
  const base = nodeValues(data, sampleValues(data, PEAK, "base"));
  return { data, values, nodes: nodeValues(data, values), base };
}

/** The tree as nested lists: name, value, self, children. */
function plain(node: FlameNode, groups: Groups): unknown[] {
  const name = node.group < 0 ? "" : groups.name(node.group);
  return [name, node.value, node.self, ...node.children().map((child) => plain(child, groups))];
}

const sum = (values: Iterable<number>): number => [...values].reduce((all, one) => all + one, 0);

const SMALL: Description = {
  places: [
    { function: "main" },
    { function: "work" },
    { function: "alloc", origin: 1, module: "libx" },
    { function: "pool", origin: 1, module: "libx" },
  ],
  samples: [
    { stack: [0], figures: { peak_bytes: 1 } },
    { stack: [0, 1, 2], site: 1, figures: { peak_bytes: 10 } },
    { stack: [0, 1, 1, 2], site: 1, figures: { peak_bytes: 100 } },
    { stack: [0, 2, 3], site: 0, figures: { peak_bytes: 1000 } },
  ],
};

test("top down", () => {
  const { data, nodes } = prepare(SMALL);
  const groups = new Groups(data, EVERYTHING);
  assert.deepEqual(plain(Flame.topDown(data, groups, nodes).root, groups), [
    "", 1111, 0,
    ["main", 1111, 1,
      ["alloc", 1000, 0, ["pool", 1000, 1000]],
      ["work", 110, 0, ["work", 100, 0, ["alloc", 100, 100]], ["alloc", 10, 10]]],
  ]);
});

test("recursion and libraries merged", () => {
  const { data, nodes } = prepare(SMALL);
  const groups = new Groups(data, { ...EVERYTHING, recursion: "merge", library: "merge" });
  assert.deepEqual(plain(Flame.topDown(data, groups, nodes).root, groups), [
    "", 1111, 0,
    ["main", 1111, 1, ["libx", 1000, 1000], ["work", 110, 0, ["libx", 110, 110]]],
  ]);
  assert.deepEqual(plain(Flame.bottomUp(data, groups, nodes).root, groups), [
    "", 1111, 0,
    ["libx", 1110, 0, ["main", 1000, 1000], ["work", 110, 0, ["main", 110, 110]]],
    ["main", 1, 1],
  ]);
});

test("hidden frames leave their memory to their callers", () => {
  const { data, nodes } = prepare(SMALL);
  const groups = new Groups(data, { ...EVERYTHING, library: "hide" });
  assert.deepEqual(plain(Flame.topDown(data, groups, nodes).root, groups), [
    "", 1111, 0, ["main", 1111, 1001, ["work", 110, 10, ["work", 100, 100]]],
  ]);
});

test("callers and callees of a function, recursion counted once", () => {
  const { data, nodes } = prepare(SMALL);
  const groups = new Groups(data, EVERYTHING);
  const work = groups.ofLocation[1]!;
  assert.deepEqual(plain(Flame.callees(data, groups, nodes, work).root, groups), [
    "work", 110, 0, ["work", 100, 0, ["alloc", 100, 100]], ["alloc", 10, 10],
  ]);
  assert.deepEqual(plain(Flame.callers(data, groups, nodes, work).root, groups), [
    "work", 110, 0, ["main", 110, 110],
  ]);
});

test("tables: self, inclusive, charged", () => {
  const { data, values, nodes } = prepare(SMALL);
  const groups = new Groups(data, EVERYTHING);
  const rows = groupTable(data, groups, values, nodes).map((row) => [
    groups.name(row.key), row.inclusive, row.self, row.site,
  ]);
  assert.deepEqual(rows, [
    ["main", 1111, 1, 1001], ["work", 110, 0, 110], ["alloc", 1110, 110, 0], ["pool", 1000, 1000, 0],
  ]);
});

test("search counts memory below several matches once", () => {
  const { data, nodes } = prepare(SMALL);
  const groups = new Groups(data, EVERYTHING);
  const found = search(data, groups, "WOR", nodes);
  assert.deepEqual([found.count, found.value, found.error], [1, 110, ""]);
  assert.deepEqual([...search(data, groups, "/^(work|pool)$/", nodes).matches], [0, 1, 0, 1]);
  assert.equal(search(data, groups, "/^(work|pool)$/", nodes).value, 1110);
  assert.equal(search(data, groups, "/(/", nodes).error !== "", true);
  assert.equal(search(data, groups, "", nodes).count, 0);
});

test("functions of one name in two files are two", () => {
  const data = make({
    places: [
      { function: "f", file: "/a" }, { function: "f", file: "/b" }, { function: "f", module: "m" },
      { function: "f", file: "/a", line: 3 },
    ],
    samples: [],
  });
  assert.deepEqual([...new Groups(data, EVERYTHING).ofLocation], [0, 1, 2, 0]);
  assert.deepEqual([...new Groups(data, { ...EVERYTHING, by: "line" }).ofLocation], [0, 1, 2, 3]);
});

test("names without template arguments", () => {
  const names: [string, string][] = [
    ["std::map<int, std::pair<a, b>>::at(int)", "std::map<>::at(int)"],
    ["a::operator<<(std::vector<int>)", "a::operator<<(std::vector<>)"],
    ["a<b>::operator->()", "a<>::operator->()"],
    ["a<b>::operator>(c<d>)", "a<>::operator>(c<>)"],
    ["<T as core::fmt::Debug>::fmt", "<T as core::fmt::Debug>::fmt"],
    ["f(x->y<int>)", "f(x->y<>)"],
    ["broken<a", "broken<a"],
    ["main", "main"],
  ];
  for (const [from, to] of names) assert.equal(plainName(from), to);
});

/** Frames as they are to be shown, innermost first: computed stack by stack. */
function shownStack(data: Dataset, groups: Groups, node: number): number[] {
  const found: number[] = [];
  for (let at = node; at >= 0; at = data.nodes.parent[at]!) {
    const place = data.nodes.location[at]!;
    if (!groups.hidden[place]) found.push(groups.ofLocation[place]!);
  }
  const outward = found.filter(
    (group, i) => !(groups.merges[group] && found[i + 1] === group),
  );
  return outward;
}

type Path = Map<string, number>;

function pathsOf(root: FlameNode): Path {
  const found: Path = new Map();
  const open: [FlameNode, string][] = [[root, ""]];
  while (open.length) {
    const [node, path] = open.pop()!;
    if (node.self) found.set(path, (found.get(path) ?? 0) + node.self);
    for (const child of node.children()) open.push([child, `${path}/${child.group}`]);
  }
  return found;
}

function add(into: Path, path: number[], value: number): void {
  const key = path.map((group) => `/${group}`).join("");
  if (value) into.set(key, (into.get(key) ?? 0) + value);
}

const sorted = (paths: Path): [string, number][] => [...paths].sort(([a], [b]) => (a < b ? -1 : 1));

test("every grouping, both directions, against stack by stack", () => {
  for (let seed = 1; seed <= 25; seed++) {
    const { data, values, nodes, base } = prepare(randomDescription(new Random(seed)));
    for (const grouping of GROUPINGS) {
      const groups = new Groups(data, grouping);
      const down: Path = new Map();
      const up: Path = new Map();
      const inclusive = new Float64Array(groups.count);
      data.samples.node.forEach((node, i) => {
        const stack = shownStack(data, groups, node);
        add(down, [...stack].reverse(), values[i]!);
        add(up, stack, values[i]!);
        for (const group of new Set(stack)) inclusive[group]! += values[i]!;
      });
      const top = Flame.topDown(data, groups, nodes, base);
      const bottom = Flame.bottomUp(data, groups, nodes, base);
      assert.deepEqual(sorted(pathsOf(top.root)), sorted(down));
      assert.deepEqual(sorted(pathsOf(bottom.root)), sorted(up));
      for (const flame of [top, bottom]) {
        assert.equal(flame.total, sum(values));
        assert.equal(flame.baseTotal, sum(base.own));
      }
      const table = groupTable(data, groups, values, nodes);
      for (const row of table) assert.equal(row.inclusive, inclusive[row.key]);
      assert.equal(sum(table.map((row) => row.site)), sum(values));
      for (let group = 0; group < groups.count; group++) {
        assert.equal(Flame.callees(data, groups, nodes, group).total, inclusive[group]);
        assert.equal(Flame.callers(data, groups, nodes, group).total, inclusive[group]);
      }
    }
    assert.equal(sum(ownerTable(data, "thread", values).map((row) => row.self)), sum(values));
  }
});

test("threads select what counts", () => {
  for (let seed = 1; seed <= 10; seed++) {
    const data = make(randomDescription(new Random(seed)));
    const parts = [0, 1, 2].map((thread) =>
      sum(sampleValues(data, { ...PEAK, threads: new Set([thread]) })),
    );
    assert.equal(sum(parts), sum(sampleValues(data, PEAK)));
  }
});

test("10,000 frames deep, and 200,000 stacks", (context) => {
  const deep = Array.from({ length: 10_000 }, (_, i) => i % 5);
  const places = Array.from({ length: 300 }, (_, i) => ({ function: `f${i}`, origin: i % 3 }));
  const one = prepare({ places, samples: [{ stack: deep, figures: { peak_bytes: 5 } }] });
  const groups = new Groups(one.data, EVERYTHING);
  for (const make of [Flame.topDown, Flame.bottomUp]) {
    let node = make(one.data, groups, one.nodes).root;
    let depth = 0;
    for (let next = node.children()[0]; next; next = node.children()[0], depth++) node = next;
    assert.equal(depth, 10_000);
    assert.equal(node.value, 5);
  }
  const random = new Random(7);
  const many = prepare({
    places,
    samples: Array.from({ length: 60_000 }, () => ({
      stack: Array.from({ length: 12 }, (_, level) => random.below(Math.min(300, 4 ** level))),
      figures: { peak_bytes: random.below(1000) },
    })),
  });
  const began = performance.now();
  const all = new Groups(many.data, { ...EVERYTHING, interpreter: "hide" });
  const flame = Flame.topDown(many.data, all, many.nodes);
  for (const child of flame.root.children()) child.children();
  const opened = performance.now();
  search(many.data, all, "f12", many.nodes);
  const ended = performance.now();
  context.diagnostic(
    `${many.data.nodes.count} nodes: ${(opened - began).toFixed(0)} ms to open, ` +
      `${(ended - opened).toFixed(1)} ms to search`,
  );
  assert.equal(flame.total, sum(many.values));
});
