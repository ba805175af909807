import assert from "node:assert/strict";
import { test } from "node:test";
import { compile, EVERYTHING, Groups, search } from "../src/model";
import { make, Random, randomDescription } from "./make";
import { GROUPINGS, prepare, shownStack, SMALL, sum } from "./stacks";

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

test("what is a regular expression, and what is wrong with it", () => {
  const matches = (text: string, name: string): boolean => compile(text).test(name);
  assert.equal(matches("a.b", "xa.bx"), true);
  assert.equal(matches("a.b", "acb"), false);
  assert.equal(matches("/A.b/", "acb"), true);
  assert.equal(matches("/a", "x/a"), true); // part of a path
  assert.equal(matches("//", "x//y"), true);
  assert.equal(matches("É", "café"), true);
  assert.equal(matches("/^caf.$/", "caf\u{1F40D}"), true);
  assert.equal(matches("/a\\-b/", "a-b"), true);
  assert.equal(matches("/(/", "("), false);
  assert.match(compile("/(/").error, /no regular expression/);
  assert.equal(compile("(").error, "");
});

test("names and places are found apart, and every occurrence counts", () => {
  const data = make({
    places: [
      { function: "ab", file: "/cd" }, { function: "abab", file: "/ab" }, { function: "b", file: "/c" },
      { function: "İb", module: "ab" },
    ],
    samples: [],
  });
  const groups = new Groups(data, EVERYTHING);
  const nodes = { own: new Float64Array(0), inclusive: new Float64Array(0) };
  const matches = (text: string): number[] => [...search(data, groups, text, nodes).matches];
  assert.deepEqual(matches("ab"), [1, 1, 0, 1]);
  assert.deepEqual(matches("b"), [1, 1, 1, 1]);
  assert.deepEqual(matches("/c"), [1, 0, 1, 0]);
  assert.deepEqual(matches("b/c"), [0, 0, 0, 0]); // the end of a name and the beginning of a place
  assert.deepEqual(matches("b\0/c"), [0, 0, 0, 0]);
});

test("functions are found by their names as they are shown, and as they are", () => {
  const places = [{ function: "f.<locals>.<listcomp>", file: "/a.py", line: 3 }, { function: "f" }];
  const data = make({ places, samples: [] });
  const nodes = { own: new Float64Array(0), inclusive: new Float64Array(0) };
  for (const by of ["function", "line"] as const) {
    const groups = new Groups(data, { ...EVERYTHING, by });
    const matches = (text: string): number[] => [...search(data, groups, text, nodes).matches];
    for (const text of ["f.<listcomp>", "f.<locals>.", "/^f\\.<l[a-z]+>$/"]) {
      assert.deepEqual(matches(text), [1, 0], text);
    }
  }
});

test("every grouping against stack by stack", () => {
  for (let seed = 1; seed <= 25; seed++) {
    const { data, values, nodes } = prepare(randomDescription(new Random(seed)));
    for (const grouping of GROUPINGS) {
      const groups = new Groups(data, grouping);
      for (const text of ["a", "F", "push", "b.cpp", "/^[fg]$/", "nothing"]) {
        const { test } = compile(text);
        const wanted = (group: number): boolean => test(groups.name(group)) || test(groups.place(group));
        const met = new Set<number>();
        let value = 0;
        for (let i = 0; i < data.samples.count; i++) {
          if (!values[i]) continue;
          const hits = shownStack(data, groups, i).filter(wanted);
          for (const group of hits) met.add(group);
          if (hits.length) value += values[i]!;
        }
        const found = search(data, groups, text, nodes);
        assert.deepEqual([found.count, found.value], [met.size, value]);
        const all = Array.from({ length: groups.count }, (_, group) => (wanted(group) ? 1 : 0));
        assert.deepEqual([...found.matches], all);
        assert.equal(sum(found.matches) >= found.count, true);
      }
    }
  }
});
