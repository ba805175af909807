/** Which memory is looked at: a metric, of a range of time or of all of it, of some threads. */
import type { Column } from "./columns";
import type { Dataset } from "./dataset";
import type { RangeName } from "./header";

export interface Selection {
  metric: string; // of header.metrics; with a range, of header.ranges
  range: [number, number] | null; // ns
  threads: ReadonlySet<number> | null; // as in sample.thread; null: all
  processes: ReadonlySet<number> | null; // rows
}

export type Which = "new" | "base";

/**
 * The metric of each sample. Figures of a range come from the changes in its bins (see `snap`);
 * `grown` may be negative.
 */
export function sampleValues(
  data: Dataset,
  selection: Selection,
  which: Which = "new",
): Float64Array {
  const values = selection.range
    ? rangeValues(data, selection.metric as RangeName, selection.range)
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

/** The bins that `range` is in, as [first, last + 1]; at least one. */
export function binsOf(data: Dataset, range: [number, number]): [number, number] {
  const { start, end, count } = data.bins;
  if (!count) return [0, 0];
  let first = 0;
  while (first < count - 1 && end[first]! <= range[0]) first++;
  let last = count - 1;
  while (last > first && start[last]! >= range[1]) last--;
  return [first, last + 1];
}

/** `range` moved outwards to where bins begin and end. */
export function snap(data: Dataset, range: [number, number]): [number, number] {
  const [first, stop] = binsOf(data, range);
  if (first === stop) return range;
  return [Number(data.bins.start[first]), Number(data.bins.end[stop - 1])];
}

function rangeValues(data: Dataset, name: RangeName, range: [number, number]): Float64Array {
  const [first, stop] = binsOf(data, range);
  const values = new Float64Array(data.samples.count);
  const add = (plus: string, minus: string | null = null): void =>
    sumUp(data, values, plus, minus, first, stop);
  switch (name) {
    case "live_start":
      live(data, values, first);
      break;
    case "live_end":
      live(data, values, stop);
      break;
    case "grown":
      add("bytes_in", "bytes_out");
      break;
    case "allocated":
      add("bytes_in");
      break;
    case "freed":
      add("bytes_out");
      break;
    case "allocations":
      add("blocks_in", "reallocations");
      break;
    case "temporary":
    case "short_lived":
      add(name);
      break;
    case "copied":
      add("copied_bytes");
      break;
    case "survived":
      survive(data, values, range);
  }
  return values;
}

/**
 * Which processes had not ended before bin `stop - 1` began. What one leaves behind at its exit was
 * never freed, but is no part of the live heap any more.
 */
export function aliveProcesses(data: Dataset, stop: number): boolean[] {
  const start = stop > 0 ? data.bins.start[stop - 1]! : 0;
  return data.header.processes.map(({ end_ns }) => stop <= 0 || end_ns === null || end_ns > start);
}

function live(data: Dataset, values: Float64Array, stop: number): void {
  sumUp(data, values, "bytes_in", "bytes_out", 0, stop);
  const alive = aliveProcesses(data, stop);
  const { process } = data.samples;
  for (let i = 0; i < values.length; i++) if (!alive[process[i]!]) values[i] = 0;
}

/** Adds a column of the changes in bins `from` to `until`, less another one. */
function sumUp(
  data: Dataset,
  values: Float64Array,
  plus: string,
  minus: string | null,
  from: number,
  until: number,
): void {
  const more = data.column(`change.${plus}`);
  const less = minus === null ? null : data.column(`change.${minus}`);
  if (!more.length) return;
  const sample = data.column("change.sample");
  const start = data.bins.first[from]!;
  const stop = data.bins.first[until]!;
  if (less?.length) {
    for (let i = start; i < stop; i++) values[sample[i]!]! += more[i]! - less[i]!;
  } else {
    for (let i = start; i < stop; i++) values[sample[i]!]! += more[i]!;
  }
}

/** A column of the changes of each sample, summed up over bins `from` to `until`. */
export function changesIn(
  data: Dataset,
  name: string,
  [from, until]: [number, number],
): Float64Array {
  const values = new Float64Array(data.samples.count);
  sumUp(data, values, name, null, from, until);
  return values;
}

/** A span of time between two moments at which the ages of what lived were recorded. */
export interface Survival {
  start: number; // ns
  end: number;
  first: number; // births from this cell on
  last: number; // and alive at this moment
}

/** The span nearest to `range`; null: the ages of blocks were not recorded. */
export function survivalSpan(data: Dataset, range: [number, number]): Survival | null {
  const times = data.column("birth.time");
  if (!times.length) return null;
  const [from, until] = snap(data, range);
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

function survive(data: Dataset, values: Float64Array, range: [number, number]): void {
  const span = survivalSpan(data, range);
  if (!span) {
    const live = rangeValues(data, "live_end", range);
    const grown = rangeValues(data, "grown", range);
    for (let i = 0; i < values.length; i++) {
      values[i] = Math.max(0, Math.min(grown[i]!, live[i]!));
    }
    return;
  }
  const alive = aliveProcesses(data, binsOf(data, [span.start, span.end])[1]);
  const { process } = data.samples;
  const sample = data.column("birth.sample");
  const born = data.column("birth.born");
  const died = data.column("birth.died");
  const bytes = data.column("birth.bytes");
  for (let i = 0; i < sample.length; i++) {
    const counts = born[i]! >= span.first && born[i]! <= span.last && died[i]! > span.last;
    if (counts && alive[process[sample[i]!]!]) values[sample[i]!]! += bytes[i]!;
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
  const span = range && survivalSpan(data, range);
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
