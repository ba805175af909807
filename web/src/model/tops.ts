/** How high the live heap rose within spans of time, of which their ends tell nothing. */
import type { Timeline } from "./dataset";
import type { Header } from "./header";
import type { Spans } from "./ruler";

/** The highest moment of a recording. */
export interface Top {
  time: number; // ns
  bytes: number;
}

/** null: nothing was ever live, or it is not known. */
export function peakOf(of: Pick<Header, "summary" | "recording"> | null | undefined): Top | null {
  const bytes = of?.summary?.["peak_bytes"] ?? 0;
  return bytes ? { time: of!.recording.peak_ns, bytes } : null;
}

/**
 * The highest live heap in each span, in bytes; 0: not known. A row of the timeline tells the highest
 * since the row before. The time of the peak, `top`, is known better than by a row, and nothing
 * rises above it.
 */
export function topsOf(spans: Spans, timeline: Timeline, top: Top | null): Float64Array {
  const { start, count } = spans;
  const { time, peak } = timeline;
  const tops = new Float64Array(count);
  let first = 0; // the first span that ends behind the row before
  for (let row = 0; row < time.length; row++) {
    const [from, to] = [row ? time[row - 1]! : 0, time[row]!];
    const told = Math.min(peak[row] ?? 0, top?.bytes ?? Infinity);
    if (told === top?.bytes && from < top.time && top.time <= to) continue; // told below
    while (first < count && spans.end[first]! <= from) first++;
    const at = spanOf(spans, first, ...whenHighest(timeline, row, from, told));
    if (at >= 0) tops[at] = Math.max(tops[at]!, told);
  }
  if (top && count) {
    const behind = start.findIndex((one) => one >= top.time);
    tops[Math.max((behind < 0 ? count : behind) - 1, 0)] = top.bytes;
  }
  return tops;
}

/** From when to when it was as high as a row tells: of a heap that grew or shrank at that end. */
function whenHighest({ time, live }: Timeline, row: number, from: number, told: number): [number, number] {
  const [before, after, to] = [row ? live[row - 1]! : 0, live[row]!, time[row]!];
  if (told - Math.max(before, after) > Math.abs(after - before)) return [from, to];
  return after > before ? [to - 1, to] : [from, Math.min(from + 1, to)];
}

/** The span that shares most with the time `from` to `to`, of those from `first` on; -1: none does. */
function spanOf({ start, end, count }: Spans, first: number, from: number, to: number): number {
  let [best, most] = [-1, 0];
  for (let span = first; span < count && start[span]! < to; span++) {
    const shared = Math.min(end[span]!, to) - Math.max(start[span]!, from);
    if (shared > most) [best, most] = [span, shared];
  }
  return best;
}

/** `tops`, at least as high as what lived at the start and the end of each span. */
export function boundsOf(tops: Float64Array, live: ArrayLike<number>): Float64Array {
  return tops.map((top, i) => Math.max(top, live[i]!, i ? live[i - 1]! : 0));
}

/** The highest live heap since the row before, of each row of a timeline. */
export const rowTops = ({ live, peak }: Timeline): Float64Array =>
  boundsOf(Float64Array.from(peak), live);

/** The largest of `values[from]` to `values[until - 1]`; 0: there is none above. */
export function largest(values: ArrayLike<number>, from = 0, until = values.length): number {
  let found = 0;
  for (let i = from; i < until; i++) found = Math.max(found, values[i]!);
  return found;
}
