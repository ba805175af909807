/** What the timeline shows, from the data: which areas, curves and marks. */
import { endOf, largest, peakOf, rowTops, touched, type Groups, type Stack, type Timeline, type Which } from "../model";
import { seriesColour } from "./colours";
import { shortName } from "./naming";
import { outlineOf, type Course } from "./outline";
import type { Theme } from "./paint";
import type { Plot } from "./plot";
import type { State } from "./state";
import { basename, clean } from "./text";
import type { Views } from "./views";

export interface Key {
  name: string;
  colour: string;
  kind: "area" | "line" | "dashed" | "hatched" | "mark" | "fork";
  place: number; // a location of the group; -1: none
}

export interface Timeplot {
  title: string; // what of a comparison it is; "": there is no other
  which: Which; // the recording that a range is chosen of
  plot: Plot;
  keys: Key[];
  stack: Stack | null;
  note: string; // what is not shown, and why
}

const LEAST_RISE = 0.004; // of the highest: a pixel of the chart
const RISE_KEY = "highest in each span of time: it rose and fell again";
const GAP = "RSS beyond the live heap";
const GAP_KEY = "resident, but not live heap: code, stacks, freed memory not given back";

/** One, or of a comparison that knows its time by sites two: before and after, to one scale. */
export function timeplotsOf(views: Views, state: State, theme: Theme, withRss: boolean): Timeplot[] {
  const { diff } = views.data.header;
  const both = diff && views.bothStacks(state);
  if (!both) return [aloneOf(views, state, theme, withRss)];
  const top = Math.max(...both.stacks.map(({ highest }) => largest(highest)));
  const [old, fresh] = both.stacks.map((stack, i): Timeplot => {
    const plot = emptyPlot(views, state.seen);
    plot.peak = peakOf(i ? views.data.header : diff);
    const keys = stackOn(plot, stack, both.groups, theme, both.stacks);
    outlineOn(plot, stack, top, theme);
    const title = i ? "after" : "before";
    return { title, which: i ? "new" : "base", plot, keys, stack, note: "" };
  }) as [Timeplot, Timeplot];
  if (old.plot.outline || fresh.plot.outline) fresh.keys.push(riseKey(theme));
  linesOn(fresh, views);
  const highest = Math.max(...[old, fresh].map(({ plot, stack }) => highestOf(plot, stack)));
  for (const { plot } of [old, fresh]) plot.highest = highest * headroom(fresh.plot) || 1;
  return [old, fresh];
}

function aloneOf(views: Views, state: State, theme: Theme, withRss: boolean): Timeplot {
  const { header, timeline, sides } = views.data;
  const older = sides.base.timeline;
  const found = header.diff ? null : views.stack(state);
  const narrowed = state.threads !== null || state.processes !== null;
  const hasRss = !narrowed && !header.diff && timeline.rss.some((rss) => rss > 0);
  const plot = emptyPlot(views, state.seen);
  if (!narrowed) plot.peak = peakOf(header);
  const keys: Key[] = [];
  if (found) {
    keys.push(...stackOn(plot, found.stack, found.groups, theme, [found.stack]));
    outlineOn(plot, found.stack, largest(found.stack.highest), theme);
    if (plot.outline) keys.push(riseKey(theme));
  } else {
    plot.curves.push({ colour: theme.accent, dashed: false, ...courseOf(timeline) });
    keys.push({ name: "live heap", colour: theme.accent, kind: "line", place: -1 });
    if (header.diff) {
      keys[0]!.name = "live heap, after";
      plot.curves.push({ colour: theme.dim, dashed: true, ...courseOf(older) });
      keys.push({ name: "live heap, before", colour: theme.dim, kind: "dashed", place: -1 });
    }
  }
  if (hasRss && withRss) {
    // Where it could not be read, as while a process ends, nothing is drawn.
    const read = (column: ArrayLike<number>): Float64Array =>
      floats(column).filter((_, i) => timeline.rss[i]! > 0);
    const [x, low, rss] = [read(timeline.time), read(timeline.live), read(timeline.rss)];
    plot.curves.push({ colour: theme.text, dashed: false, x, y: rss });
    plot.gap = { x, low, high: rss.map((value, i) => Math.max(value, low[i]!)), name: GAP };
  }
  if (hasRss) {
    keys.push({ name: "resident set (RSS)", colour: theme.text, kind: "line", place: -1 });
    if (withRss) keys.push({ name: GAP_KEY, colour: "", kind: "hatched", place: -1 });
  }
  const stack = found?.stack ?? null;
  const note = noteOf(narrowed, !hasRss, views);
  const made: Timeplot = { title: "", which: "new", plot, keys, stack, note };
  linesOn(made, views);
  plot.highest = highestOf(plot, stack) * headroom(plot) || 1;
  return made;
}

/** Over the time that is shown. */
function emptyPlot(views: Views, seen: State["seen"]): Plot {
  const { header, sides } = views.data;
  const ends = Object.values(sides).flatMap(({ bins, timeline }) => [endOf(bins), last(timeline.time)]);
  const lengths = [header.recording, header.diff?.recording].map((one) => one?.duration_ns ?? 0);
  const end = Math.max(...lengths, ...ends);
  const none = new Float64Array(0);
  const [from, to] = seen ?? [0, end || 1];
  return {
    start: from, end: to, highest: 1, x: none, bands: [], outline: null, curves: [], gap: null,
    lines: [], peak: null,
  };
}

/** The areas of `stack` on `plot`, and what they are: the same for `all` that stand together. */
function stackOn(plot: Plot, stack: Stack, groups: Groups, theme: Theme, all: Stack[]): Key[] {
  const corners = cornersOf(stack);
  plot.x = Float64Array.from(corners, ({ time }) => time);
  const height = (values: Float64Array): Float64Array =>
    Float64Array.from(corners, ({ span }) => values[span] ?? 0);
  const keys = stack.series.map((series, i): Key => {
    const colour = seriesColour(i, theme.dark);
    plot.bands.push({ colour, height: height(series) });
    const group = stack.groups[i]!;
    return { name: shortName(groups, group), colour, kind: "area", place: groups.location[group]! };
  });
  if (all.some(({ rest }) => rest.some((value) => value > 0))) {
    const colour = seriesColour(-1, theme.dark);
    plot.bands.push({ colour, height: height(stack.rest) });
    keys.push({ name: "all others", colour, kind: "area", place: -1 });
  }
  return keys;
}

/** The outline of `stack`, where it rises visibly on a chart that is `top` bytes high. */
function outlineOn(plot: Plot, stack: Stack, top: number, theme: Theme): void {
  const found = outlineOf(stack, top * LEAST_RISE, plot.peak);
  plot.outline = found && { colour: theme.accent, fill: theme.line, ...found };
}

const riseKey = (theme: Theme): Key => (
  { name: RISE_KEY, colour: theme.accent, kind: "line", place: -1 }
);

/** The live heap where only the timeline's rows are known, as high as it rose between them. */
function courseOf(timeline: Timeline): { x: Float64Array; y: Float64Array } {
  const { time, live } = timeline;
  const highest = rowTops(timeline);
  const starts = floats(time).map((_, row) => (row ? time[row - 1]! : 0));
  const course: Course = { starts, ends: time, total: live, highest };
  return outlineOf(course, largest(highest) * LEAST_RISE, null) ?? { x: floats(time), y: floats(live) };
}

/** Where the areas bend: at the end of each span, and where it begins with what the one before left. */
export function cornersOf({ starts, ends }: Stack): { time: number; span: number }[] {
  const corners = [{ time: 0, span: -1 }];
  for (let span = 0; span < ends.length; span++) {
    if (starts[span]! > corners[corners.length - 1]!.time) {
      corners.push({ time: starts[span]!, span: span - 1 });
    }
    corners.push({ time: ends[span]!, span });
  }
  return corners;
}

/** The span of `stack` whose end tells what lives at `time`; -1: none. */
export function heldAt({ starts, ends }: Stack, time: number): number {
  const span = spanAt(ends, time);
  return span >= 0 && time < starts[span]! ? span - 1 : span;
}

/** The highest live heap in the span that `time` is in, where it is in one; else what lives then. */
export function highestAt(stack: Stack, time: number): number | null {
  const span = spanAt(stack.ends, time);
  const within = span >= 0 && time >= stack.starts[span]! && time <= stack.ends[span]!;
  return within ? stack.highest[span]! : valueAt(stack, stack.total, time);
}

/** The highest live heap from one moment to another; null: nothing is known there. */
export function highestIn(stack: Stack, [from, to]: [number, number]): number | null {
  const { starts, ends, total, highest } = stack;
  const [first, stop] = touched({ start: starts, end: ends, count: ends.length }, [from, to]);
  return first < stop ? largest(highest, first, stop) : valueAt(stack, total, from);
}

/** What stands at `time` of one's values, by span; null: nothing is known there, or it has ended. */
export function valueAt(stack: Stack, values: Float64Array, time: number): number | null {
  const { ends } = stack;
  if (!ends.length || time > ends[ends.length - 1]!) return null;
  const span = heldAt(stack, time);
  return span < 0 ? 0 : values[span]!;
}

/** Marks and forks, and what their lines are. */
function linesOn({ plot, keys }: Timeplot, views: Views): void {
  const { marks, forks } = views.data.header;
  for (const mark of marks) {
    plot.lines.push({ time: mark.time_ns, label: clean(mark.name), dashed: false });
  }
  for (const fork of forks) {
    plot.lines.push({ time: fork.time_ns, label: processName(views, fork.process), dashed: true });
  }
  if (marks.length) {
    keys.push({ name: "a mark that the program set", colour: "", kind: "mark", place: -1 });
  }
  if (forks.length) keys.push({ name: "a process starts", colour: "", kind: "fork", place: -1 });
}

function noteOf(narrowed: boolean, noRss: boolean, views: Views): string {
  if (narrowed) return "only what is chosen; RSS and peak are known of all together";
  if (noRss && !views.data.header.diff) return "RSS was not read";
  return "";
}

/** Of what is highest: the peak's name stands below those of marks. */
const headroom = ({ lines }: Plot): number => (lines.length ? 1.12 : 1.04);

function highestOf(plot: Plot, stack: Stack | null): number {
  const { start, end, peak } = plot;
  let highest = peak && isShown(plot, peak.time) ? peak.bytes : 0;
  for (const { x, y } of plot.curves) {
    // From the last before to the first behind: its lines come in from there.
    const first = Math.max(rowAt(x, start), 0);
    const stop = Math.min(rowAt(x, end) + 2, x.length);
    highest = Math.max(highest, largest(y, first, stop));
  }
  return stack ? Math.max(highest, highestIn(stack, [start, end]) ?? 0) : highest;
}

function processName(views: Views, row: number): string {
  const process = views.data.header.processes[row];
  if (!process) return "a process";
  const command = clean(process.command).split(" ");
  return `${process.pid} ${basename(command[0] ?? "")} ${command.slice(1, 3).map(basename).join(" ")}`.trim();
}

export const isShown = ({ start, end }: Plot, time: number): boolean => start <= time && time <= end;

const last = (values: ArrayLike<number>): number => Number(values[values.length - 1] ?? 0);
const floats = (values: ArrayLike<number>): Float64Array => Float64Array.from(values);

/** The span that `time` is in, of those that end at `ends`; behind all the last. -1: none. */
export function spanAt(ends: ArrayLike<number>, time: number): number {
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle]! > time) high = middle;
    else low = middle + 1;
  }
  return ends.length ? low : -1;
}

/** The row of the timeline that holds at `time`; -1 before the first. */
export function rowAt(times: ArrayLike<number>, time: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
