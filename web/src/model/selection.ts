/** Which memory is looked at: a metric, of a range of time or of all of it, of some threads. */
import type { Column } from "./columns";
import type { Dataset, Side, Which } from "./dataset";
import { toldBy, type RangeName } from "./header";
import { covered, touched, type Range } from "./ruler";

export interface Selection {
  metric: string; // of header.metrics; with a range, of header.ranges
  range: Range | null;
  threads: ReadonlySet<number> | null; // as in sample.thread; null: all
  processes: ReadonlySet<number> | null; // rows
}

/**
 * The metric of each sample. Figures of a range come from the changes in the bins that it
 * touches; `grown` may be negative.
 */
export function sampleValues(
  data: Dataset,
  selection: Selection,
  which: Which = "new",
): Float64Array {
  const values = selection.range
    ? rangeValues(data, data.sides[which], selection.metric as RangeName, selection.range)
    : wholeValues(data, selection.metric, which);
  const { thread, process } = data.samples;
  const { threads, processes } = selection;
  if (threads || processes) {
    for (let i = 0; i < values.length; i++) {
      if ((threads && !threads.has(thread[i]!)) || (processes && !processes.has(process[i]!))) {
        values[i] = 0;
      }
    }
  }
  return values;
}

/** The figure of each sample over the whole recording, by the name of its column. */
export function figure(data: Dataset, column: string, which: Which = "new"): Column {
  return data.column(`${which === "base" ? "base" : "sample"}.${column}`);
}

function wholeValues(data: Dataset, metric: string, which: Which): Float64Array {
  const found = data.header.metrics.find((one) => one.name === metric) ?? data.header.metrics[0];
  const values = new Float64Array(data.samples.count);
  if (found) values.set(figure(data, found.column, which).subarray(0, values.length));
  return values;
}

/** Of a range wholly behind the recording's end nothing changes, and what lives is as at its end. */
function rangeValues(data: Dataset, side: Side, name: RangeName, range: Range): Float64Array {
  const [first, stop] = touched(side.bins, range);
  const values = new Float64Array(data.samples.count);
  const add = (column: string, sign: 1 | -1 = 1): void =>
    sumUp(side, values, column, [first, stop], sign);
  const { told, by } = toldBy(name);
  switch (told) {
    case "live_start":
      live(side, values, first, by);
      break;
    case "live_end":
      live(side, values, stop, by);
      break;
    case "grown":
      add(`${by}_in`);
      add(`${by}_out`, -1);
      break;
    case "allocated":
      add("bytes_in");
      break;
    case "freed":
      add(`${by}_out`);
      break;
    case "allocations":
      add("blocks_in");
      add("reallocations", -1);
      break;
    case "temporary":
    case "short_lived":
    case "reallocations":
      add(told);
      break;
    case "copied":
      add("copied_bytes");
      break;
    case "survived":
      if (first < stop) survive(data, side, values, range, by);
  }
  return values;
}

/** What a process leaves behind at its exit was never freed, but is no part of the live heap. */
function live(side: Side, values: Float64Array, stop: number, by: "bytes" | "blocks"): void {
  sumUp(side, values, `${by}_in`, [0, stop]);
  sumUp(side, values, `${by}_out`, [0, stop], -1);
  const { first, sample, [by]: held } = side.exits;
  for (let i = 0; i < first[stop]!; i++) values[sample[i]!]! -= held[i]!;
}

/** Adds a column of the changes in bins `from` to `until`, or takes it away. */
function sumUp(
  { bins, column }: Side,
  values: Float64Array,
  name: string,
  [from, until]: [number, number],
  sign: 1 | -1 = 1,
): void {
  const change = column(`change.${name}`);
  if (!change.length) return;
  const sample = column("change.sample");
  const stop = bins.first[until]!;
  for (let i = bins.first[from]!; i < stop; i++) values[sample[i]!]! += sign * change[i]!;
}

/** A column of the changes of each sample, summed up over bins `from` to `until`. */
export function changesIn(
  data: Dataset,
  name: string,
  bins: [number, number],
): Float64Array {
  const values = new Float64Array(data.samples.count);
  sumUp(data.sides.new, values, name, bins);
  return values;
}

/** A span of time between two moments at which the ages of what lived were recorded. */
export interface Survival {
  start: number; // ns
  end: number;
  first: number; // births from this cell on
  last: number; // and alive at this moment
}

/** The span nearest to `range`; null: the ages of blocks were not recorded, or nothing was then. */
export function survivalSpan({ bins, column }: Side, range: Range): Survival | null {
  const times = column("birth.time");
  const cover = covered(bins, range);
  if (!times.length || !cover) return null;
  const [from, until] = cover;
  let last = 0;
  for (let i = 1; i < times.length; i++) {
    if (Math.abs(times[i]! - until) <= Math.abs(times[last]! - until)) last = i;
  }
  let first = 0; // births in cell j come after times[j - 1], in cell 0 after the start
  const start = (cell: number): number => (cell ? times[cell - 1]! : 0);
  for (let cell = 1; cell <= last; cell++) {
    if (Math.abs(start(cell) - from) <= Math.abs(start(first) - from)) first = cell;
  }
  return { start: start(first), end: times[last]!, first, last };
}

function survive(
  data: Dataset,
  side: Side,
  values: Float64Array,
  range: Range,
  by: "bytes" | "blocks",
): void {
  const span = survivalSpan(side, range);
  if (!span) {
    const suffix = by === "blocks" ? "_blocks" : "";
    const live = rangeValues(data, side, `live_end${suffix}`, range);
    const grown = rangeValues(data, side, `grown${suffix}`, range);
    for (let i = 0; i < values.length; i++) {
      values[i] = Math.max(0, Math.min(grown[i]!, live[i]!));
    }
    return;
  }
  const [sample, born, died, held] = ["sample", "born", "died", by].map((name) =>
    side.column(`birth.${name}`),
  ) as [Column, Column, Column, Column];
  for (let i = 0; i < sample.length; i++) {
    const counts = born[i]! >= span.first && born[i]! <= span.last && died[i]! > span.last;
    if (counts) values[sample[i]!]! += held[i]!;
  }
}

/** What was allocated in the selection's range and is alive at its end, as far as it is known. */
export interface Survivors {
  low: number; // bytes
  high: number;
  span: Survival | null; // where it is known exactly: of this span
}

export function survivedBounds(data: Dataset, selection: Selection): Survivors {
  const { range } = selection;
  const of = (metric: RangeName): Float64Array => sampleValues(data, { ...selection, metric });
  const low = total(of("survived"));
  const span = range && survivalSpan(data.sides.new, range);
  if (span) return { low, high: low, span };
  const allocated = of("allocated");
  const live = of("live_end");
  return { low, high: total(allocated.map((bytes, i) => Math.min(bytes, live[i]!))), span: null };
}

/** Own and inclusive sums of each node. */
export interface NodeValues {
  own: Float64Array;
  inclusive: Float64Array;
}

export function nodeValues(data: Dataset, values: Float64Array): NodeValues {
  const { count, end } = data.nodes;
  const own = new Float64Array(count);
  const { node } = data.samples;
  for (let i = 0; i < values.length; i++) own[node[i]!]! += values[i]!;
  const before = new Float64Array(count + 1);
  for (let i = 0; i < count; i++) before[i + 1] = before[i]! + own[i]!;
  const inclusive = new Float64Array(count);
  for (let i = 0; i < count; i++) inclusive[i] = before[end[i]!]! - before[i]!;
  return { own, inclusive };
}

/** The sum of all. */
export function total(values: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum;
}
