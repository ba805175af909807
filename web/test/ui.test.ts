import assert from "node:assert/strict";
import { test } from "node:test";
import { calledBy, EVERYTHING, Flame, Groups, nodeValues, sampleValues, type FlameNode, type Header, type Row } from "../src/model";
import { mostOf } from "../src/ui/answer";
import { changeFill, frameFill } from "../src/ui/colours";
import { figuresOf } from "../src/ui/figures";
import { ordered, sortOf, sortText } from "../src/ui/grouptable";
import { CULL, Layout } from "../src/ui/layout";
import { wantedTimes } from "../src/ui/load";
import { matchingFrames } from "../src/ui/matches";
import { follow, fullName, pathTo, rowName, shortName } from "../src/ui/naming";
import type { Theme } from "../src/ui/paint";
import { renumbered } from "../src/ui/renumber";
import { fromFragment, INITIAL, toFragment, type State } from "../src/ui/state";
import { clean, fileName, indexOfByte, seenFrom, shortPath, tail } from "../src/ui/text";
import { alikeThreads } from "../src/ui/threads";
import { tabOf, tabsOf } from "../src/ui/tabs";
import { timeplotsOf } from "../src/ui/timeplot";
import { bothWords, Views } from "../src/ui/views";
import { make, Random, randomDescription } from "./make";

test("a range of a link has an end behind its start, and is within the time that is known", () => {
  for (const range of ["5.2", "0.0", "7", "1.2.3", "-1.4"]) {
    assert.equal(fromFragment(`range=${range}`).range, null, range);
  }
  assert.deepEqual(fromFragment("range=2.5").range, [2, 5]);
  const bins: [number, number][] = [[0, 10], [20, 30]];
  const views = new Views(make({ places: [], samples: [], bins }));
  assert.deepEqual(views.within([2, 5]), [2, 5]);
  assert.deepEqual(views.within([25, 99]), [25, 30]);
  assert.deepEqual([views.within([30, 99]), views.within(null)], [null, null]);
  assert.equal(new Views(make({ places: [], samples: [] })).within([2, 5]), null);
});

test("names are shown with nothing in them that acts", () => {
  assert.equal(clean("<script>alert(1)</script>"), "<script>alert(1)</script>");
  assert.equal(clean("a\x1b[31m\n\u202eb"), "a\\x1b[31m\\x0a\\u202eb");
  assert.equal(clean("\ud800 \u{e0001} é 中"), "\\ud800 \\U000e0001 é 中");
  assert.equal(clean("a\u00a0b c"), "a\\xa0b c");
});

test("what does not fit keeps its end", () => {
  const measure = (text: string): number => text.length;
  assert.equal(tail("package.module.function", 9, measure), "…function");
  assert.equal(tail("short", 9, measure), "short");
  assert.equal(tail("package", 1, measure), "");
});

test("paths are shown from where their package is", () => {
  assert.equal(shortPath("/usr/lib/python3.11/json/decoder.py"), "json/decoder.py");
  assert.equal(shortPath("/x/site-packages/a/b/c/d/e.py"), "…/c/d/e.py");
  assert.equal(shortPath("<string>"), "<string>");
});

test("paths are seen from the directory that the page was made in", () => {
  seenFrom("/home/u/app");
  assert.equal(shortPath("/home/u/app/shop/quotes.py:41"), "shop/quotes.py:41");
  assert.equal(shortPath("/home/u/apples.py"), "/home/u/apples.py");
  assert.equal(shortPath("/home/u/app/.venv/lib/python3.11/site-packages/a/b.py"), "a/b.py");
  seenFrom("/");
  assert.equal(shortPath("/srv/a.py"), "/srv/a.py");
  seenFrom("");
});

test("functions in functions are named without what says so", () => {
  const places = [{ function: "make.<locals>.<listcomp>", file: "/x/json/__init__.py", line: 3 }];
  const groups = new Groups(make({ places, samples: [] }), EVERYTHING);
  assert.equal(shortName(groups, 0), "make.<listcomp> json/__init__.py:3");
  assert.equal(rowName(groups, 0), "make.<listcomp>");
  assert.equal(fullName(groups, 0), "make.<locals>.<listcomp>");
});

test("files of packages are told with their package", () => {
  assert.equal(fileName("/x/json/__init__.py:7"), "json/__init__.py:7");
  assert.equal(fileName("__init__.py"), "__init__.py");
  assert.equal(fileName("/x/json/decoder.py:7"), "decoder.py:7");
});

test("code of modules is named by what imports it", () => {
  const known = { "/srv/app.py": "app.py", "/x/python3.11/gunicorn/__main__.py": "-m gunicorn" };
  const called = (file: string, module: string): string =>
    calledBy("<module>", file, module, known);
  const site = "/srv/venv/lib/python3.11/site-packages/";
  assert.equal(called("/srv/app.py", "app"), "app.py");
  assert.equal(called("/srv/shop/catalog.py", "shop.catalog"), "import shop.catalog");
  assert.equal(called(`${site}numpy/__init__.py`, "numpy"), "import numpy");
  assert.equal(called(`${site}numpy/core/multiarray.py`, "numpy"), "import numpy.core.multiarray");
  assert.equal(called("<frozen zipimport>", "zipimport"), "import zipimport");
  assert.equal(called("/srv/lib.pyx", "/srv/lib.pyx"), "import lib.pyx");
  assert.equal(called("<string>", "<string>"), "<module>");
  assert.equal(calledBy("f", "/srv/app.py", "app", known), "f");
});

test("columns in bytes are found in text of any script", () => {
  const line = 'x = "é中😀" + y';
  for (let i = 0; i <= line.length; i++) {
    const code = line.charCodeAt(i);
    if (code >= 0xdc00 && code < 0xe000) continue; // within a character
    const bytes = new TextEncoder().encode(line.slice(0, i)).length;
    assert.equal(indexOfByte(line, bytes), i);
  }
});

test("the fragment holds the whole state", () => {
  const state: State = {
    metric: "total", change: "grown", range: [5, 70], seen: [0, 90], tab: "files", view: "inverted",
    zoom: [3, 0, 12], sandwich: 0, folded: [7], search: "a+b&c=d/é", by: "line",
    interpreter: "show", library: "merge", recursion: "merge", templates: "hide", threads: [],
    processes: [1, 2], sort: "-self", source: [4, 17], theme: "dark", time: "table",
    frames: "table",
  };
  assert.deepEqual(fromFragment(toFragment(state)), state);
  assert.equal(toFragment(INITIAL), "");
});

test("a server is asked for finer spans where the timeline is looked at, and where a range ends", () => {
  assert.equal(wantedTimes(INITIAL), "");
  assert.equal(wantedTimes({ seen: null, range: [5, 70] }), "?cut=5&cut=70");
  assert.equal(wantedTimes({ seen: [0, 90], range: [5, 70] }), "?from=0&to=90&cut=5&cut=70");
  const views = compared(true); // with edges at 10 and 20, and before at 12 and 20
  const exact = (range: [number, number] | null): boolean => views.isExact(range);
  assert.deepEqual([null, [0, 10], [12, 20], [0, 20]].map((one) => exact(one as [number, number])), [
    true, true, true, true,
  ]);
  assert.equal(exact([10, 12]), false);
});

test("a timeline that is zoomed in is as high as what it shows", () => {
  const spans = [0, 1, 2, 3].map((i): [number, number] => [i * 10, i * 10 + 10]);
  const views = new Views(
    make({
      places: [{ function: "a" }],
      samples: [{ stack: [0] }],
      bins: spans,
      changes: [[5, 0], [900, 0], [0, 800], [50, 0]].map(([bytes_in, bytes_out], bin) => (
        { bin, sample: 0, bytes_in: bytes_in!, bytes_out: bytes_out! }
      )),
      columns: { "time.time": [10, 20, 30, 40], "time.live": [5, 905, 105, 155], "time.peak": [5, 990, 905, 160] },
      header: { recording: { duration_ns: 40 }, marks: [], forks: [] } as object as Header,
    }),
  );
  const plotOf = (seen: State["seen"]) =>
    timeplotsOf(views, { ...INITIAL, seen }, { dark: false } as Theme, false)[0]!.plot;
  const bounds = (seen: State["seen"]): number[] => {
    const { start, end, highest } = plotOf(seen);
    return [start, end, Math.round(highest / 1.04)];
  };
  assert.deepEqual(bounds(null), [0, 40, 990]);
  assert.deepEqual(bounds([0, 10]), [0, 10, 5]);
  assert.deepEqual(bounds([30, 40]), [30, 40, 160]);
});

test("threads that follow one another are written by their ends", () => {
  const of = (threads: number[]): string => toFragment({ ...INITIAL, threads });
  assert.equal(of([1, 2, 4, 5, 6, 7, 9]), "threads=1.2.4-7.9");
  for (const threads of [[], [3], [1, 2], [1, 2, 3], [0, 2, 4, 5, 6]]) {
    assert.deepEqual(fromFragment(of(threads)).threads, threads);
  }
});

test("threads that are alike are one", () => {
  const thread = (tid: number, like: number) =>
    ({ process: 0, tid, name: "", like, start_ns: 0, end_ns: null });
  const header = make({
    places: [{ function: "f" }],
    samples: [{ stack: [0] }],
    header: {
      threads: [thread(10, 0), thread(11, 1), thread(12, 2), thread(13, 1)],
      alike: ["MainThread", "runs serve\u202e", "", "nobody"],
    },
  }).header;
  assert.deepEqual(alikeThreads(header), [
    { name: "MainThread", ids: [1], beside: "10" },
    { name: "runs serve\\u202e", ids: [2, 4], beside: "2 threads" },
    { name: "thread", ids: [3], beside: "12" },
  ]);
});

test("a fragment that makes no sense is as none", () => {
  for (const text of [
    "tab=nothing", "zoom=a.b", "range=1", "range=-1.5", "source=3", "sandwich=x", "unknown=1",
    "threads=1.x", "threads=5-2", "threads=1-2-3", "threads=0-9999999999", "threads=-1", "threads=1-",
    "__proto__=1", "constructor=2",
  ]) {
    assert.deepEqual(fromFragment(text), INITIAL, text);
  }
});

function prepared(seed: number) {
  const data = make(randomDescription(new Random(seed)));
  const views = new Views(data);
  const state: State = { ...INITIAL, interpreter: "show" };
  return { data, views, state, root: views.root(state) };
}

const single = (node: FlameNode): number => node.value;
const never = (): boolean => false;

test("frames stand within their callers, in rows, and none is too narrow", () => {
  for (let seed = 1; seed < 40; seed++) {
    const { root } = prepared(seed);
    const layout = new Layout(root, 1000, single, never);
    layout.upTo(Infinity);
    for (let row = 1; row < layout.rows.length; row++) {
      const { nodes, left, width } = layout.rows[row]!;
      for (let i = 0; i < nodes.length; i++) {
        const above = layout.rows[row - 1]!;
        const parent = above.nodes.indexOf(nodes[i]!.parent!);
        assert.ok(parent >= 0);
        assert.ok(width[i]! >= CULL);
        assert.ok(left[i]! >= above.left[parent]! - 1e-6);
        assert.ok(left[i]! + width[i]! <= above.left[parent]! + above.width[parent]! + 1e-6);
        assert.ok(Math.abs(width[i]! - (nodes[i]!.value / root.value) * 1000) < 1e-6);
        assert.equal(layout.at(row, left[i]! + width[i]! / 2), nodes[i]);
        assert.deepEqual(layout.find(nodes[i]!), { row, index: i });
      }
    }
  }
});

test("a way leads to the frame that it came from", () => {
  for (let seed = 1; seed < 30; seed++) {
    const { root } = prepared(seed);
    const layout = new Layout(root, 1000, single, never);
    layout.upTo(Infinity);
    for (const row of layout.rows) {
      for (const node of row.nodes) assert.equal(follow(root, pathTo(node)), node);
    }
  }
  const { root } = prepared(1);
  assert.equal(follow(root, [999999]), root);
});

test("stacks of 10,000 frames open", () => {
  const places = Array.from({ length: 10_000 }, (_, i) => ({ function: `f${i}` }));
  const stack = places.map((_, i) => i);
  const data = make({ places, samples: [{ stack, figures: { peak_bytes: 100 } }] });
  const views = new Views(data);
  const root = views.root(INITIAL);
  const layout = new Layout(root, 1000, single, never);
  layout.upTo(Infinity);
  assert.equal(layout.rows.length, 10_001);
  const deepest = layout.rows[10_000]!.nodes[0]!;
  assert.equal(follow(root, pathTo(deepest)), deepest);
  const figures = figuresOf(views, INITIAL, deepest, false);
  assert.equal(figures.find((figure) => figure.metric.name === "peak")!.inclusive, 100);
});

test("figures of a frame are the frame's, for each metric and both ways", () => {
  for (let seed = 1; seed < 25; seed++) {
    const { views, state } = prepared(seed);
    for (const view of ["stack", "inverted"] as const) {
      for (const { name } of views.metrics(state)) {
        const chosen: State = { ...state, view, metric: name };
        const layout = new Layout(views.root(chosen), 1e9, single, never);
        layout.upTo(4);
        for (const node of layout.rows.flatMap((row) => row.nodes)) {
          const all = figuresOf(views, chosen, node, view === "inverted");
          const figure = all.find((one) => one.metric.name === name)!;
          assert.equal(figure.inclusive, node.value);
          if (view === "stack") assert.equal(figure.self, node.self);
        }
      }
    }
  }
});

test("a search steps through every frame that it finds", () => {
  for (let seed = 1; seed < 30; seed++) {
    const { data, views, state, root } = prepared(seed);
    const groups = views.groups(state);
    const matches = Uint8Array.from({ length: groups.count }, (_, group) => (group % 3 ? 0 : 1));
    const listed = matchingFrames(data, groups, root, matches);
    const wanted: FlameNode[] = [];
    const left = [root];
    while (left.length) {
      const node = left.pop()!;
      if (node.group >= 0 && matches[node.group]) wanted.push(node);
      left.push(...[...node.children()].reverse());
    }
    assert.deepEqual(listed, wanted);
  }
});

test("newer data shows the same view", () => {
  const places = [{ function: "main" }, { function: "load" }, { function: "parse" }];
  const before = new Views(
    make({ places, samples: [{ stack: [0, 1, 2], figures: { peak_bytes: 5 } }] }),
  );
  const turned = [places[2]!, { function: "new" }, places[0]!, places[1]!];
  const after = new Views(
    make({ places: turned, samples: [{ stack: [2, 3, 0], figures: { peak_bytes: 9 } }] }),
  );
  const name = (views: Views, group: number): string => views.groups(INITIAL).name(group);
  const zoom = pathTo(before.root(INITIAL).children()[0]!.children()[0]!);
  const state = renumbered({ ...INITIAL, zoom, sandwich: zoom[1]! }, before, after);
  assert.deepEqual(state.zoom.map((group) => name(after, group)), ["main", "load"]);
  assert.equal(name(after, state.sandwich!), "load");
});

test("tables sort both ways, and comparisons leave out what is as it was", () => {
  const places = [{ function: "a" }, { function: "b" }, { function: "c" }];
  const data = make({
    places,
    samples: [
      { stack: [0], figures: { peak_bytes: 10 }, base: { peak_bytes: 30 } },
      { stack: [1], figures: { peak_bytes: 50 }, base: { peak_bytes: 10 } },
      { stack: [2], figures: { peak_bytes: 20 }, base: { peak_bytes: 20 } },
    ],
    header: { diff: { title: "before" } as never },
  });
  const views = new Views(data);
  const groups = views.groups(INITIAL);
  const names = (pair: boolean, sort: string): string =>
    ordered(views.table(INITIAL, "function"), sortOf(sort, ["site", "name"]), groups, pair, "")
      .map((row) => groups.name(row.key))
      .join("");
  assert.equal(names(false, ""), "bca");
  assert.equal(names(false, "-site"), "acb");
  assert.equal(names(false, "name"), "abc");
  assert.equal(names(true, ""), "ba"); // grown first, and c did not change
  const most = ordered(
    views.table(INITIAL, "function"), sortOf("", ["site"]), groups, true, "", true,
  );
  assert.deepEqual(most.map((row) => groups.name(row.key)), ["b", "a"]);
  assert.equal(sortText({ key: "site", ascending: false }, "site"), "-site");
  assert.equal(sortText({ key: "site", ascending: true }, "site"), "site");
});

const RANGES = ["survived", "grown", "live_end", "allocated", "freed"];

/** Two functions in two recordings; of the older one ages are known if `aged`. */
function compared(aged: boolean): Views {
  const births = { time: [10, 20], rows: [[0, 1, 2, 4]] as [number, number, number, number][] };
  const range = (name: string) => ({ name, words: `${name} in this range`, unit: "bytes", definition: "" });
  return new Views(
    make({
      places: [{ function: "a" }, { function: "b" }],
      samples: [{ stack: [0] }, { stack: [1] }],
      bins: [[0, 10], [10, 20]],
      changes: [
        { bin: 0, sample: 0, bytes_in: 100, blocks_in: 10 },
        { bin: 1, sample: 0, bytes_in: 7, bytes_out: 60, blocks_in: 1, blocks_out: 6 },
        { bin: 1, sample: 1, bytes_in: 30, blocks_in: 3 },
      ],
      births,
      older: {
        bins: [[0, 12], [12, 20]],
        changes: [
          { bin: 0, sample: 0, bytes_in: 90 },
          { bin: 1, sample: 0, bytes_in: 50, blocks_in: 2 },
          { bin: 1, sample: 1, bytes_in: 40, bytes_out: 40 },
        ],
        births: aged ? births : { time: [], rows: [] },
      },
      header: {
        diff: { title: "before" } as never,
        ranges: [...RANGES, "grown_blocks"].map(range) as never,
      },
    }),
  );
}

test("a range of a comparison is one of both, with signs", () => {
  const views = compared(true);
  const changes = (change: string): (number | null)[] => {
    const state: State = { ...INITIAL, range: [12, 20], change };
    const rows = views.table(state, "function");
    return [0, 1].map((key) => {
      const row = rows.find((one) => one.key === key);
      return row ? row.site - row.baseSite : null;
    });
  };
  assert.deepEqual(changes("allocated"), [7 - 50, 30 - 40]);
  assert.deepEqual(changes("freed"), [60, -40]);
  assert.deepEqual(changes("live_end"), [47 - 140, 30]);
  assert.deepEqual(changes("grown"), [-53 - 50, 30]);
  assert.deepEqual(changes("grown_blocks"), [-5 - 2, 3]);
  assert.deepEqual(changes(""), [0, null]); // survived: it is known of both
  const state: State = { ...INITIAL, range: [12, 20], change: "grown" };
  const root = views.root(state);
  assert.ok(root.children().every(({ value, base }) => value >= 0 && base >= 0));
  assert.equal(bothWords(views.metric(state), root.base, root.value), "");
  const live = { ...state, change: "live_end" };
  assert.equal(
    bothWords(views.metric(live), views.root(live).base, views.root(live).value),
    "140 B before, 77 B after",
  );
  for (const figure of figuresOf(views, state, root, false)) {
    const wanted = { ...state, change: figure.metric.name };
    const { value, base } = views.root(wanted);
    assert.deepEqual([figure.inclusive, figure.baseInclusive], [value, base]);
  }
});

test("what stayed is compared where the ages of both are known", () => {
  const names = (aged: boolean): string[] =>
    compared(aged).metrics({ ...INITIAL, range: [0, 20] }).map(({ name }) => name);
  assert.deepEqual(names(true), [...RANGES, "grown_blocks"]);
  assert.deepEqual(names(false), [...RANGES.slice(1), "grown_blocks"]);
  assert.equal(compared(false).metric({ ...INITIAL, range: [0, 20] }).name, "grown");
});

test("what changed most is told, and what went the other way", () => {
  const rows = (...changes: number[]) =>
    changes.map((change, key) => ({ key, change }) as unknown as Row);
  const value = (row: Row): number => (row as unknown as { change: number }).change;
  const told = (...changes: number[]) => {
    const { all, most, other } = mostOf(rows(...changes), value, true);
    return [all, most.map((one) => one.value), other?.value ?? null];
  };
  assert.deepEqual(told(1, -9, -4, -3, 0, 2), [-13, [-9, -4, -3], 2]);
  assert.deepEqual(told(5, -9, 0), [-4, [-9, 5], null]); // both ways are among the first
  assert.deepEqual(told(0, 0), [0, [], null]);
  assert.deepEqual(mostOf(rows(3, 8), value, false), {
    all: 11, most: [{ group: 1, value: 8 }, { group: 0, value: 3 }], other: null,
  });
});

test("tabs that say nothing are not there", () => {
  const places = [{ function: "f" }];
  const samples = [{ stack: [0], figures: { peak_bytes: 1 }, base: { peak_bytes: 2 } }];
  const columns = { "size.sample": [0], "size.bucket": [1], "size.count": [4] };
  const none = tabsOf(make({ places, samples }));
  assert.ok(none.includes("threads") && !none.includes("processes") && !none.includes("sizes"));
  assert.ok(tabsOf(make({ places, samples, columns })).includes("sizes"));
  const diff = make({ places, samples, columns, header: { diff: { title: "before" } as never } });
  assert.deepEqual(tabsOf(diff), ["flame", "lines", "functions", "files", "modules", "summary"]);
  assert.equal(tabOf({ ...INITIAL, tab: "sizes" }, diff), "flame");
});

test("text reads on every colour", () => {
  for (const dark of [false, true]) {
    for (let language = 0; language < 6; language++) {
      for (let origin = 0; origin < 5; origin++) {
        for (let shade = -1; shade < 35; shade++) {
          const { fill, text } = frameFill(language, origin, shade, dark);
          assert.ok(contrast(fill, text) >= 4.5, `${fill} ${text}`);
        }
      }
    }
    for (let part = -1; part <= 1; part += 0.05) {
      const { fill, text } = changeFill(part, dark);
      assert.ok(contrast(fill, text) >= 4.5, `${fill} ${text}`);
    }
  }
});

/** As WCAG defines it, of `hsl(h s% l%)` and `#rrggbb`. */
function contrast(fill: string, text: string): number {
  const [h, s, l] = fill.match(/[\d.]+/g)!.map(Number) as [number, number, number];
  const a = (s / 100) * Math.min(l / 100, 1 - l / 100);
  const channel = (n: number): number => {
    const k = (n + h / 30) % 12;
    return l / 100 - a * Math.max(-1, Math.min(k - 3, 9 - k, 1));
  };
  const bytes = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16) / 255);
  const luminance = (rgb: number[]): number => {
    const linear = rgb.map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0]! + 0.7152 * linear[1]! + 0.0722 * linear[2]!;
  };
  const both = [luminance([channel(0), channel(8), channel(4)]), luminance(bytes)];
  return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
}

test("the model's own tree agrees with what the views show", () => {
  const { data, views, state, root } = prepared(5);
  const nodes = nodeValues(data, sampleValues(data, views.selection(state, "peak")));
  const flame = Flame.topDown(data, new Groups(data, EVERYTHING), nodes);
  assert.equal(root.value, flame.total);
});
