/** What the timeline shows, from the data: which areas, curves and marks. */
import type { Stack } from "../model";
import { seriesColour } from "./colours";
import { shortName } from "./naming";
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
  plot: Plot;
  keys: Key[];
  stack: Stack | null;
  note: string; // what is not shown, and why
}

const GAP = "RSS beyond the live heap";
const HEADROOM = 1.08; // of what is highest: the peak's name stands below those of marks
const GAP_KEY = "resident, but not live heap: code, stacks, freed memory not given back";

export function timeplotOf(views: Views, state: State, theme: Theme, withRss: boolean): Timeplot {
  const { data } = views;
  const { header, timeline, baseTimeline } = data;
  const found = header.diff ? null : views.stack(state);
  const narrowed = state.threads !== null || state.processes !== null;
  const hasRss = !narrowed && !header.diff && timeline.rss.some((rss) => rss > 0);
  const end = Math.max(
    header.recording.duration_ns,
    header.diff?.recording.duration_ns ?? 0,
    last(timeline.time),
    last(baseTimeline.time),
    last(data.bins.end),
  );
  const plot: Plot = {
    start: 0,
    end: end || 1,
    highest: 1,
    x: new Float64Array(0),
    bands: [],
    curves: [],
    gap: null,
    lines: [
      ...header.marks.map((mark) => ({
        time: mark.time_ns,
        label: clean(mark.name),
        dashed: false,
      })),
      ...header.forks.map((fork) => ({
        time: fork.time_ns,
        label: processName(views, fork.process),
        dashed: true,
      })),
    ],
    peak: null,
  };
  const keys: Key[] = [];
  if (found) {
    plot.x = Float64Array.of(0, ...data.bins.end);
    found.stack.series.forEach((series, i) => {
      const colour = seriesColour(i, theme.dark);
      plot.bands.push({ colour, height: from0(series) });
      const group = found.stack.groups[i]!;
      keys.push({ name: shortName(found.groups, group), colour, kind: "area", place: found.groups.location[group]! });
    });
    const colour = seriesColour(-1, theme.dark);
    if (found.stack.rest.some((value) => value > 0)) {
      plot.bands.push({ colour, height: from0(found.stack.rest) });
      keys.push({ name: "all others", colour, kind: "area", place: -1 });
    }
  } else {
    const [time, live] = [floats(timeline.time), floats(timeline.live)];
    plot.curves.push({ colour: theme.accent, dashed: false, x: time, y: live });
    keys.push({ name: "live heap", colour: theme.accent, kind: "line", place: -1 });
    if (header.diff) {
      keys[0]!.name = "live heap, after";
      const x = floats(baseTimeline.time);
      plot.curves.push({ colour: theme.dim, dashed: true, x, y: floats(baseTimeline.live) });
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
  if (header.marks.length) {
    keys.push({ name: "a mark that the program set", colour: "", kind: "mark", place: -1 });
  }
  if (header.forks.length) {
    keys.push({ name: "a process starts", colour: "", kind: "fork", place: -1 });
  }
  const peakBytes = header.summary["peak_bytes"] ?? 0;
  if (!narrowed && peakBytes) {
    plot.peak = { time: (header.summary["peak_time_seconds"] ?? 0) * 1e9, bytes: peakBytes };
  }
  plot.highest = highestOf(plot, found?.stack ?? null) * HEADROOM || 1;
  return { plot, keys, stack: found?.stack ?? null, note: noteOf(narrowed, !hasRss, views) };
}

function noteOf(narrowed: boolean, noRss: boolean, views: Views): string {
  if (narrowed) return "only what is chosen; RSS and peak are known of all together";
  if (noRss && !views.data.header.diff) return "RSS was not read";
  return "";
}

function highestOf(plot: Plot, stack: Stack | null): number {
  let highest = plot.peak?.bytes ?? 0;
  for (const curve of plot.curves) for (const y of curve.y) highest = Math.max(highest, y);
  if (stack) for (const y of stack.total) highest = Math.max(highest, y);
  return highest;
}

function processName(views: Views, row: number): string {
  const process = views.data.header.processes[row];
  if (!process) return "a process";
  const command = clean(process.command).split(" ");
  return `${process.pid} ${basename(command[0] ?? "")} ${command.slice(1, 3).map(basename).join(" ")}`.trim();
}

const last = (values: ArrayLike<number>): number => Number(values[values.length - 1] ?? 0);
const floats = (values: ArrayLike<number>): Float64Array => Float64Array.from(values);

function from0(values: Float64Array): Float64Array {
  const all = new Float64Array(values.length + 1);
  all.set(values, 1);
  return all;
}

/** The bin that `time` is in; -1 if there are none. */
export function binAt(views: Views, time: number): number {
  const { end, count } = views.data.bins;
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (end[middle]! > time) high = middle;
    else low = middle + 1;
  }
  return count ? low : -1;
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
