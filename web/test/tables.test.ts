import assert from "node:assert/strict";
import { test } from "node:test";
import { charged, EVERYTHING, figure, Groups, groupTable, heaviest, ownerTable, type Row, type Weighed } from "../src/model";
import { Random, randomDescription } from "./make";
import { GROUPINGS, prepare, shownStack, SMALL, sum } from "./stacks";

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

test("what has no frame that is shown is charged, but in no self", () => {
  const { data, values, nodes } = prepare({
    places: [{ function: "start", origin: 2 }],
    samples: [{ stack: [0], figures: { peak_bytes: 7 } }],
  });
  const [row] = groupTable(data, new Groups(data, { ...EVERYTHING, interpreter: "hide" }), values, nodes);
  assert.deepEqual([row!.site, row!.self, row!.inclusive], [7, 0, 0]);
});

test("any other figure by what it is charged to", () => {
  const { data } = prepare({
    places: [{ function: "a" }, { function: "b" }],
    samples: [
      { stack: [0], figures: { total_bytes: 3 } },
      { stack: [0, 1], site: 0, figures: { total_bytes: 4 } },
      { stack: [1], figures: { total_bytes: 5 } },
    ],
  });
  const groups = new Groups(data, EVERYTHING);
  assert.deepEqual([...charged(data, groups, figure(data, "total_bytes"))], [7, 5]);
});

test("a function is placed where most of it is charged to", () => {
  const place = (line: number) => ({ function: "a", file: "/a.py", line });
  const { data, values, baseValues, nodes, base } = prepare({
    places: [place(1), place(2), place(3), { function: "b", file: "/b.py", line: 9 }],
    samples: [
      { stack: [0], figures: { peak_bytes: 5 }, base: { peak_bytes: 9 } },
      { stack: [1], figures: { peak_bytes: 4 }, base: { peak_bytes: 4 } },
      { stack: [2], figures: { peak_bytes: 2 } },
      { stack: [2], figures: { peak_bytes: 4 }, base: { peak_bytes: 5 } },
    ],
  });
  const groups = new Groups(data, EVERYTHING);
  const at = (base: Weighed["base"]): string[] => {
    const placed = groups.placed(heaviest(data, groups, { samples: values, nodes, base }));
    return Array.from({ length: placed.count }, (_, group) => placed.place(group));
  };
  assert.deepEqual(at(null), ["/a.py:3", "/b.py:9"]);
  assert.deepEqual(at({ values: baseValues, nodes: base }), ["/a.py:1", "/b.py:9"]);
});

test("a line is named by the function with most of it, as show names it", () => {
  const place = (name: string, line: number) => ({ function: name, file: "/a.py", line });
  const { data, values, baseValues, nodes, base } = prepare({
    // Two calls of `second` on its line, at other columns; `main` calls from where nothing is charged.
    places: [
      place("first", 1), place("second", 1), place("second", 1), place("main", 2), place("other", 2),
    ],
    samples: [
      { stack: [3, 0], figures: { peak_bytes: 4 }, base: { peak_bytes: 9 } },
      { stack: [4, 1], figures: { peak_bytes: 3 } },
      { stack: [4, 2], figures: { peak_bytes: 3 }, base: { peak_bytes: 1 } },
    ],
  });
  const groups = new Groups(data, { ...EVERYTHING, by: "line" });
  const named = (base: Weighed["base"]): string[] => {
    const placed = groups.placed(heaviest(data, groups, { samples: values, nodes, base }));
    return Array.from({ length: placed.count }, (_, group) => placed.place(group));
  };
  assert.deepEqual([groups.place(0), groups.place(1)], ["first", "main"]);
  assert.deepEqual(named(null), ["second", "other"]);
  assert.deepEqual(named({ values: baseValues, nodes: base }), ["first", "main"]);
});

test("every grouping against stack by stack", () => {
  for (let seed = 1; seed <= 25; seed++) {
    const { data, values, baseValues, nodes, base } = prepare(randomDescription(new Random(seed)));
    for (const grouping of GROUPINGS) {
      const groups = new Groups(data, grouping);
      const wanted = Array.from({ length: groups.count }, (_, key): Row => ({
        key, inclusive: 0, self: 0, site: 0, baseInclusive: 0, baseSelf: 0, baseSite: 0,
      }));
      for (let i = 0; i < data.samples.count; i++) {
        const [value, before] = [values[i]!, baseValues[i]!];
        const way = shownStack(data, groups, i);
        for (const group of new Set(way)) {
          wanted[group]!.inclusive += value;
          wanted[group]!.baseInclusive += before;
        }
        const self = wanted[way[way.length - 1]!];
        if (self) {
          self.self += value;
          self.baseSelf += before;
        }
        const site = wanted[groups.ofLocation[data.samples.site[i]!]!]!;
        site.site += value;
        site.baseSite += before;
      }
      const rows = groupTable(data, groups, values, nodes, { values: baseValues, nodes: base });
      const used = wanted.filter(({ key: _, ...figures }) => sum(Object.values(figures)) > 0);
      assert.deepEqual(rows, used);
      assert.equal(sum(rows.map((row) => row.site)), sum(values));
    }
  }
});

test("threads and processes", () => {
  const { data, values, baseValues } = prepare({
    places: [{ function: "a" }],
    samples: [
      { stack: [0], thread: 1, figures: { peak_bytes: 3 }, base: { peak_bytes: 1 } },
      { stack: [0], thread: 2, figures: { peak_bytes: 4 } },
      { stack: [0], thread: 1, figures: { peak_bytes: 5 } },
      { stack: [0], thread: 0 },
    ],
  });
  const figures = ownerTable(data, "thread", values, baseValues).map((row) => [
    row.key, row.self, row.inclusive, row.site, row.baseSite,
  ]);
  assert.deepEqual(figures, [[1, 8, 8, 8, 1], [2, 4, 4, 4, 0]]);
  assert.deepEqual(ownerTable(data, "process", values).map((row) => [row.key, row.site]), [[0, 12]]);
});
