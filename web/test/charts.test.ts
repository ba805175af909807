import assert from "node:assert/strict";
import { test } from "node:test";
import { briefly, BYTES, bytesMark, COUNTS, countMark, TIMES, timeMark } from "../src/ui/axes";
import { columnsOf as barsOf } from "../src/ui/barchart";
import { keyOn, staying, type Ground } from "../src/ui/brush";
import type { Theme } from "../src/ui/paint";
import { edges, footAbove, heightAt, type Face, type Plot } from "../src/ui/plot";
import type { Stack } from "../src/model";
import { outlineOf } from "../src/ui/outline";
import { cornersOf, heldAt, highestAt, highestIn } from "../src/ui/timeplot";
import { columnsOf, formOf, seriesOf } from "../src/ui/series";

test("the heap at the peak's moment is as high as the curve there", () => {
  const x = Float64Array.of(0, 10, 20);
  const plot = { x, bands: [], curves: [{ x, y: Float64Array.of(0, 100, 40) }] } as unknown as Plot;
  assert.equal(heightAt(plot, 5), 50);
  assert.equal(heightAt(plot, 10), 100);
  assert.equal(heightAt(plot, 15), 70);
  assert.equal(heightAt(plot, 21), 0);
  const bands = [Float64Array.of(1, 2, 3), Float64Array.of(0, -5, 4)].map((height) => ({ height }));
  assert.equal(heightAt({ ...plot, bands } as unknown as Plot, 10), 2);
  assert.equal(heightAt({ ...plot, bands } as unknown as Plot, 20), 7);
});

test("a label stands above a curve that would go through it, and only then", () => {
  const face: Face = {
    left: 0, top: 0, width: 100, height: 100, x: (time) => time, y: (bytes) => 100 - bytes,
  };
  const foot = (bytes: number): number => {
    const curve = { x: Float64Array.of(0, 50, 100), y: new Float64Array(3).fill(bytes) };
    return footAbove({ curves: [curve] } as unknown as Plot, face, 40, 30, 60);
  };
  assert.equal(foot(45), 52); // at 55 px, in the label
  assert.equal(foot(90), 60); // far above it
  assert.equal(foot(20), 60); // below
});

const GROUND: Ground = { start: 0, end: 100, step: 1 };

test("keys choose, move, widen and clear a range", () => {
  const key = (range: [number, number] | null, moment: number | null, name: string, shift = false) =>
    keyOn(GROUND, range, moment, name, shift);
  assert.deepEqual(key(null, 10, "ArrowRight"), { range: null, moment: 11 });
  assert.deepEqual(key(null, 10, "ArrowRight", true), { range: [10, 11], moment: 10 });
  assert.deepEqual(key([10, 20], null, "ArrowLeft"), { range: [9, 19], moment: null });
  assert.deepEqual(key([95, 100], null, "ArrowRight")?.range, [95, 100]); // keeps its length
  assert.deepEqual(key([10, 20], null, "ArrowLeft", true)?.range, [9, 20]);
  assert.deepEqual(key([10, 20], null, "ArrowUp", true)?.range, [9, 21]);
  assert.deepEqual(key([10, 20], null, "ArrowDown", true)?.range, [11, 19]);
  assert.deepEqual(key([10, 20], 5, "Escape"), { range: null, moment: null });
  assert.equal(key(null, null, "Escape"), null);
  assert.equal(key([10, 20], null, "x"), null);
});

test("a drag that begins at an edge of the range leaves the other where it is", () => {
  assert.equal(staying(null, 50), null);
  assert.equal(staying([20, 60], 40), null); // a new range
  assert.equal(staying([20, 60], 61), 0);
  assert.equal(staying([20, 60], 14), 1);
  assert.equal(staying([20, 60], 70), null);
  assert.equal(staying([20, 22], 21), 0); // of a narrow range the end moves
});

test("axes are marked at round figures, which differ and are short", () => {
  for (const [steps, mark] of [
    [BYTES, bytesMark],
    [COUNTS, countMark],
    [TIMES.filter((step) => step > 10), timeMark],
  ] as const) {
    for (const step of steps) {
      const marks = [0, 1, 2, 3, 4, 5, 6].map((many) => mark(many * step));
      assert.equal(new Set(marks).size, marks.length, marks.join());
    }
    assert.deepEqual(steps, [...steps].sort((a, b) => a - b));
  }
  assert.deepEqual([0, 5e6, 2e7, 2.5e9].map(bytesMark), ["0 B", "5 MB", "20 MB", "2.5 GB"]);
  assert.deepEqual(
    [0, 5e8, 12e8, 2e10, 6e10, 9e10, 36e11, 54e11].map(timeMark),
    ["0 s", "500 ms", "1.2 s", "20 s", "1 min", "1 min 30 s", "1 h", "1 h 30 min"],
  );
  assert.deepEqual([0, 1500, 2e6, 5e8].map(countMark), ["0", "1,500", "2 M", "500 M"]);
});

test("areas bend where a span begins and ends, and nowhere between", () => {
  const values = (...all: number[]): Float64Array => Float64Array.from(all);
  const stack: Stack = {
    starts: values(0, 10, 50), ends: values(10, 20, 60), groups: [],
    series: [], rest: values(3, 5, 9), total: values(3, 5, 9), highest: values(3, 5, 9),
  };
  assert.deepEqual(cornersOf(stack), [
    { time: 0, span: -1 }, { time: 10, span: 0 }, { time: 20, span: 1 }, { time: 50, span: 1 },
    { time: 60, span: 2 },
  ]);
  assert.deepEqual([0, 10, 19, 20, 49, 50, 99].map((time) => heldAt(stack, time)), [0, 1, 1, 1, 1, 2, 2]);
  const risen = { ...stack, highest: values(4, 50, 9) };
  assert.deepEqual([5, 15, 30, 50, 60, 61].map((time) => highestAt(risen, time)), [4, 50, 5, 9, 9, null]);
  assert.deepEqual([highestIn(risen, [0, 20]), highestIn(risen, [20, 50]), highestIn(risen, [60, 99])], [
    50, 5, 9,
  ]);
  assert.equal(heldAt({ ...stack, starts: values(), ends: values() }, 5), -1);
});

test("the outline goes over what rose and fell within a span, and else along the areas", () => {
  const course = {
    starts: Float64Array.of(0, 10, 20, 50, 60), ends: Float64Array.of(10, 20, 30, 60, 70),
    total: [5, 5, 5, 9, 0],
  };
  const points = (highest: number[], peak: { time: number; bytes: number } | null = null) => {
    const found = outlineOf({ ...course, highest }, 1, peak);
    return found && [...found.x].map((time, i) => [time, found.y[i]]);
  };
  assert.equal(points([5, 6, 5, 9, 9]), null); // by no more than cannot be seen
  assert.deepEqual(points([5, 105, 5, 9, 9]), [
    [0, 0], [10, 5], [15, 105], [20, 5], [30, 5], [50, 5], [60, 9], [70, 0],
  ]);
  assert.deepEqual(points([80, 105, 5, 9, 9], { time: 12, bytes: 105 })?.slice(0, 4), [
    [0, 0], [5, 80], [12, 105], [20, 5], // from one's highest to the other's
  ]);
  assert.deepEqual(points([5, 5, 5, 9, 9], { time: 65, bytes: 9 })?.slice(-2), [[65, 9], [70, 0]]);
});

test("buckets are named by their bounds below their bars, of which none vanishes", () => {
  assert.deepEqual(
    ["up to 16 B", "over 16 MiB", "below 1.00 ms", "2–7", "8 and more", "10.0 s and more"].map(briefly),
    ["16 B", "> 16 MiB", "1 ms", "2–7", "8+", "10 s+"],
  );
  const [places, bars] = barsOf([1e6, 1, 0].map((count) => ({ label: "", count })));
  assert.deepEqual(places, [0, 1, 2]);
  assert.equal(bars![0], 1e6);
  assert.ok(bars![1]! > 1e4 && bars![1]! < 2e4);
  assert.equal(bars![2], 0);
});

test("the series of a chart have one column of times", () => {
  const curve = { colour: "c", dashed: false };
  const plot = {
    x: Float64Array.of(0, 10, 20),
    bands: [[1, 2, 3], [4, -5, 6]].map((height) => ({ colour: "", height: Float64Array.from(height) })),
    gap: { x: Float64Array.of(5, 20), low: Float64Array.of(1, 2), high: Float64Array.of(8, 9) },
    curves: [{ ...curve, x: Float64Array.of(5, 20), y: Float64Array.of(8, 9) }],
  } as unknown as Plot;
  const none = undefined;
  assert.deepEqual(columnsOf(plot).map((column) => Array.from(column)), [
    [0, 5, 10, 20],
    [5, none, 2, 9], // the higher area, down to zero, is behind the lower
    [1, none, 2, 3],
    [none, 1, none, 2],
    [none, 8, none, 9],
    [none, 8, none, 9],
  ]);
  assert.deepEqual(edges(plot).map((edge) => Array.from(edge)), [[1, 2, 3], [5, 2, 9]]);
  const outline = { colour: "c", fill: "f", x: Float64Array.of(0, 15), y: Float64Array.of(5, 70) };
  assert.deepEqual(columnsOf({ ...plot, outline }).slice(0, 3).map((column) => Array.from(column)), [
    [0, 5, 10, 15, 20],
    [5, none, none, 70, none], // behind all
    [5, none, 2, none, 9],
  ]);
  assert.equal(seriesOf({ ...plot, outline }, {} as Theme).series[1]!.fill, "f");
  const { series, bands } = seriesOf(plot, {} as Theme);
  assert.equal(series.length, columnsOf(plot).length);
  assert.deepEqual(bands!.map((band) => band.series), [[4, 3]]);
});

test("a chart is made anew only for other series", () => {
  const plot = (bytes: number, colour: string): Plot =>
    ({
      bands: [], gap: null,
      curves: [{ colour, dashed: false, x: Float64Array.of(0), y: Float64Array.of(bytes) }],
    }) as unknown as Plot;
  assert.equal(formOf(plot(1, "red")), formOf(plot(2, "red")));
  assert.notEqual(formOf(plot(1, "red")), formOf(plot(1, "blue")));
});
