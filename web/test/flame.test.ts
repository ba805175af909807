import assert from "node:assert/strict";
import { test } from "node:test";
import { EVERYTHING, Flame, Groups, type FlameNode } from "../src/model";
import { Random, randomDescription } from "./make";
import {
  addWay, GROUPINGS, prepare, shownStack, SMALL, sorted, sum, waysOf, type Ways,
} from "./stacks";

/** The tree as nested lists: name, value, self, children. */
function plain(node: FlameNode, groups: Groups): unknown[] {
  const name = node.group < 0 ? "" : groups.name(node.group);
  return [name, node.value, node.self, ...node.children().map((child) => plain(child, groups))];
}

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

test("children are found once and kept", () => {
  const { data, nodes } = prepare(SMALL);
  const { root } = Flame.topDown(data, new Groups(data, EVERYTHING), nodes);
  assert.equal(root.children(), root.children());
});

test("what has no frame that is shown is the root's own", () => {
  const { data, nodes } = prepare({
    places: [{ function: "start", origin: 2 }, { function: "main" }],
    samples: [
      { stack: [0], figures: { peak_bytes: 7 } },
      { stack: [0, 1], figures: { peak_bytes: 5 } },
    ],
  });
  const groups = new Groups(data, { ...EVERYTHING, interpreter: "hide" });
  for (const draw of [Flame.topDown, Flame.bottomUp]) {
    assert.deepEqual(plain(draw(data, groups, nodes).root, groups), ["", 12, 7, ["main", 5, 5]]);
  }
});

test("in a difference frames of either recording, by the larger of both", () => {
  const { data, nodes, base } = prepare({
    places: [{ function: "old" }, { function: "both" }, { function: "new" }, { function: "none" }],
    samples: [
      { stack: [0], base: { peak_bytes: 3 } },
      { stack: [1], base: { peak_bytes: 9 }, figures: { peak_bytes: 1 } },
      { stack: [2], figures: { peak_bytes: 4 } },
      { stack: [3] },
    ],
  });
  const groups = new Groups(data, EVERYTHING);
  for (const draw of [Flame.topDown, Flame.bottomUp]) {
    const flame = draw(data, groups, nodes, base);
    assert.deepEqual([flame.total, flame.baseTotal], [5, 12]);
    assert.deepEqual(
      flame.root.children().map((node) => [groups.name(node.group), node.value, node.base]),
      [["both", 1, 9], ["new", 4, 0], ["old", 0, 3]],
    );
  }
});

test("every grouping and direction, and each group's callers and callees, against stack by stack", () => {
  for (let seed = 1; seed <= 25; seed++) {
    const { data, values, baseValues, nodes, base } = prepare(randomDescription(new Random(seed)));
    for (const grouping of GROUPINGS) {
      const groups = new Groups(data, grouping);
      const down: Ways = new Map();
      const up: Ways = new Map();
      const called = Array.from({ length: groups.count }, (): Ways => new Map());
      const calling = Array.from({ length: groups.count }, (): Ways => new Map());
      for (let i = 0; i < data.samples.count; i++) {
        const way = shownStack(data, groups, i);
        addWay(down, way, values[i]!, baseValues[i]!);
        addWay(up, [...way].reverse(), values[i]!, baseValues[i]!);
        for (const group of new Set(way)) {
          const at = way.indexOf(group); // the outermost: recursion counts once
          addWay(called[group]!, way.slice(at + 1), values[i]!, baseValues[i]!);
          addWay(calling[group]!, way.slice(0, at).reverse(), values[i]!, baseValues[i]!);
        }
      }
      for (const [draw, ways] of [[Flame.topDown, down], [Flame.bottomUp, up]] as const) {
        const flame = draw(data, groups, nodes, base);
        assert.deepEqual(sorted(waysOf(flame.root)), sorted(ways));
        assert.deepEqual([flame.total, flame.baseTotal], [sum(values), sum(baseValues)]);
        const alone = draw(data, groups, nodes);
        assert.deepEqual([alone.total, alone.baseTotal], [sum(values), 0]);
      }
      for (let group = 0; group < groups.count; group++) {
        const { root } = Flame.callees(data, groups, nodes, group, base);
        assert.deepEqual(sorted(waysOf(root)), sorted(called[group]!));
        const callers = Flame.callers(data, groups, nodes, group, base).root;
        assert.deepEqual(sorted(waysOf(callers)), sorted(calling[group]!));
        assert.deepEqual([callers.value, callers.base], [root.value, root.base]);
      }
    }
  }
});

test("stacks of 10,000 frames, also where all of them are one", () => {
  const stack = Array.from({ length: 10_000 }, (_, i) => i % 5);
  const places = [0, 1, 2, 3, 4].map((i) => ({ function: `f${i}`, file: "/a" }));
  const { data, nodes } = prepare({ places, samples: [{ stack, figures: { peak_bytes: 5 } }] });
  const depthOf = (root: FlameNode): number => {
    let node = root;
    for (let next = node.children()[0]; next; next = node.children()[0]) node = next;
    assert.equal(node.value, 5);
    return node.depth;
  };
  const groups = new Groups(data, EVERYTHING);
  assert.equal(depthOf(Flame.topDown(data, groups, nodes).root), 10_000);
  assert.equal(depthOf(Flame.bottomUp(data, groups, nodes).root), 10_000);
  assert.equal(depthOf(Flame.callees(data, groups, nodes, 3).root), 9_996);
  assert.equal(depthOf(Flame.callers(data, groups, nodes, 3).root), 3);
  const one = new Groups(data, { ...EVERYTHING, by: "file", recursion: "merge" });
  assert.equal(depthOf(Flame.topDown(data, one, nodes).root), 1);
  assert.equal(depthOf(Flame.bottomUp(data, one, nodes).root), 1);
});
