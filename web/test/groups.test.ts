import assert from "node:assert/strict";
import { test } from "node:test";
import { EVERYTHING, Groups, mergedName, type Grouping } from "../src/model";
import { make } from "./make";

const PLACES = [
  { function: "f", file: "/a", line: 1, module: "m" },
  { function: "f", file: "/b", line: 1, module: "m" },
  { function: "f", file: "/a", line: 3, module: "m" },
  { function: "f", module: "m" },
  { function: "f", module: "n" },
  { function: "g", file: "/a", line: 1, module: "m" },
];
const data = make({ places: PLACES, samples: [] });
const grouped = (grouping: Partial<Grouping>): Groups => new Groups(data, { ...EVERYTHING, ...grouping });

test("functions of one name in two files are two, without files in two modules", () => {
  assert.deepEqual([...grouped({}).ofLocation], [0, 1, 0, 2, 3, 4]);
});

test("lines, files and modules; what has none goes by what it has", () => {
  assert.deepEqual([...grouped({ by: "line" }).ofLocation], [0, 1, 2, 3, 4, 0]);
  assert.deepEqual([...grouped({ by: "file" }).ofLocation], [0, 1, 0, 2, 3, 0]);
  assert.deepEqual([...grouped({ by: "module" }).ofLocation], [0, 0, 0, 0, 1, 0]);
});

test("what groups are called, and where they are", () => {
  const called = (by: Grouping["by"]): [string, string][] => {
    const groups = grouped({ by });
    return Array.from({ length: groups.count }, (_, i) => [groups.name(i), groups.place(i)]);
  };
  assert.deepEqual(called("function"), [
    ["f", "/a:1"], ["f", "/b:1"], ["f", "m"], ["f", "n"], ["g", "/a:1"],
  ]);
  assert.deepEqual(called("line"), [["/a:1", "f"], ["/b:1", "f"], ["/a:3", "f"], ["f", ""], ["f", ""]]);
  assert.deepEqual(called("file"), [["/a", "m"], ["/b", "m"], ["m", ""], ["n", ""]]);
  assert.deepEqual(called("module"), [["m", ""], ["n", ""]]);
});

test("lines that only the older recording has are lines of their own", () => {
  const was = (oldFile: string, oldLine: number) => ({ function: "f", file: "/b", oldFile, oldLine });
  const compared = make({
    places: [
      { function: "f", file: "/b", line: 3 }, was("/b", 3), was("/b", 4), was("/a", 4), was("/b", 4),
      { function: "f", file: "/b" },
    ],
    samples: [],
  });
  const groups = new Groups(compared, { ...EVERYTHING, by: "line" });
  assert.deepEqual([...groups.ofLocation], [0, 1, 2, 3, 2, 4]);
  const names = Array.from({ length: groups.count }, (_, i) => groups.name(i));
  assert.deepEqual(names, ["/b:3", "/b:3 (before)", "/b:4 (before)", "/a:4 (before)", "f"]);
  assert.equal(groups.place(3), "f");
  const functions = new Groups(compared, EVERYTHING);
  assert.equal(functions.count, 1);
  assert.equal(functions.placed(Int32Array.of(3)).place(0), "/a:4 (before)");
});

test("libraries merged go by module, others do not", () => {
  const mixed = make({
    places: [
      { function: "a", module: "lib", origin: 1, file: "/x" },
      { function: "b", module: "lib", origin: 1 },
      { function: "a", module: "lib", origin: 0, file: "/x" },
      { function: "a", module: "", origin: 1, file: "/x" },
    ],
    samples: [],
  });
  const groups = new Groups(mixed, { ...EVERYTHING, library: "merge" });
  assert.deepEqual([...groups.ofLocation], [0, 0, 1, 1]);
  assert.deepEqual([groups.name(0), groups.place(0), groups.name(1)], ["lib", "", "a"]);
});

test("whose frames are hidden", () => {
  const mixed = make({ places: [0, 1, 2, 3, 4].map((origin) => ({ function: "f", origin })), samples: [] });
  const hidden = (grouping: Partial<Grouping>): number[] => [
    ...new Groups(mixed, { ...EVERYTHING, ...grouping }).hidden,
  ];
  assert.deepEqual(hidden({}), [0, 0, 0, 0, 0]);
  assert.deepEqual(hidden({ interpreter: "hide" }), [0, 0, 1, 1, 0]);
  assert.deepEqual(hidden({ library: "hide" }), [0, 1, 0, 0, 0]);
});

test("frames of nodes: hidden ones join their callers, recursion only direct calls", () => {
  const called = make({
    places: [{ function: "f" }, { function: "lib", origin: 1 }, { function: "g" }],
    samples: [{ stack: [1, 0, 1, 0, 2, 0] }],
  });
  const frames = (grouping: Partial<Grouping>): number[][] => {
    const { node, group } = new Groups(called, { ...EVERYTHING, ...grouping }).frames;
    return [[...node], [...group]];
  };
  assert.deepEqual(frames({}), [[0, 1, 2, 3, 4, 5], [1, 0, 1, 0, 2, 0]]);
  assert.deepEqual(frames({ library: "hide" }), [[-1, 1, 1, 3, 4, 5], [-1, 0, -1, 0, 2, 0]]);
  assert.deepEqual(frames({ library: "hide", recursion: "merge" }), [
    [-1, 1, 1, 1, 4, 5], [-1, 0, -1, -1, 2, 0],
  ]);
});

test("instances of a template are one function, also where parameters differ", () => {
  const places = ["int", "long"].map((type) => ({
    function: `std::vector<${type}>::push_back(${type})`, file: "/v.h", language: 3,
  }));
  const instances = make({ places, samples: [] });
  assert.equal(new Groups(instances, EVERYTHING).count, 2);
  const groups = new Groups(instances, { ...EVERYTHING, templates: "hide" });
  assert.deepEqual([groups.count, groups.name(0)], [1, "std::vector<>::push_back"]);
});

test("names of templates, as the text views have them", () => {
  const [python, cpp, rust] = [1, 3, 4];
  // Printed by heaptide.profile.names.merged_name.
  const names: [string, number, string][] = [
    ["std::map<int, std::pair<a, b>>::at(int)", cpp, "std::map<>::at"],
    ["void std::sort<int*>(int*, int*)", cpp, "std::sort<>"],
    ["a::operator<<(std::vector<int>)", cpp, "a::operator<<"],
    ["a<b>::operator->()", cpp, "a<>::operator->"],
    ["a<b>::operator>(c<d>)", cpp, "a<>::operator>"],
    ["std::ostream& std::operator<< <char>(std::ostream&, char)", cpp, "std::operator<< <>"],
    ["a::operator ()<int>(long)", cpp, "a::operator ()<>"],
    ["(anonymous namespace)::f<int>(long)", cpp, "(anonymous namespace)::f<>"],
    ["f(std::vector<int>)", cpp, "f(std::vector<int>)"],
    ["broken<a", cpp, "broken<a"],
    ["<T as core::fmt::Debug>::fmt", rust, "<T as core::fmt::Debug>::fmt"],
    ["<T as U<V>>::f::<W>", rust, "<T as U<V>>::f::<>"],
    ["alloc::vec::Vec<T>::push", rust, "alloc::vec::Vec<>::push"],
    ["<listcomp>", python, "<listcomp>"],
    ["f.<locals>.<lambda>", python, "f.<locals>.<lambda>"],
    ["main", cpp, "main"],
  ];
  for (const [name, language, merged] of names) assert.equal(mergedName(name, language), merged);
});
