/** The spans of time that ranges are made of. */
import type { Column } from "./columns";

export type Range = [number, number]; // ns

/** In order; nothing changes between one's end and the next's start. */
export interface Spans {
  count: number;
  start: Column; // ns
  end: Column;
}

/** The spans that `range` touches, as [first, last + 1]: equal where it touches none. */
export function touched({ start, end, count }: Spans, range: Range): [number, number] {
  let first = 0;
  while (first < count && end[first]! <= range[0]) first++;
  let stop = count;
  while (stop > first && start[stop - 1]! >= range[1]) stop--;
  return [first, stop];
}

/** From where to where the spans are that `range` touches; null: it touches none. */
export function covered(spans: Spans, range: Range): Range | null {
  const [first, stop] = touched(spans, range);
  return first === stop ? null : [Number(spans.start[first]), Number(spans.end[stop - 1])];
}

/** `range` moved outwards to where spans begin and end; where it touches none, one beside it. */
export function snap(spans: Spans, range: Range): Range {
  if (!spans.count) return range;
  const at = Math.min(touched(spans, range)[0], spans.count - 1);
  return covered(spans, range) ?? [Number(spans.start[at]), Number(spans.end[at])];
}

/** When the last of them ends. */
export const endOf = ({ end, count }: Spans): number => (count ? Number(end[count - 1]) : 0);

/** What a range on the chart of `own` snaps to: its spans, and behind its end those of `other`. */
export function rulerOf(own: Spans, other: Spans): Spans {
  const over = endOf(own);
  const [first] = touched(other, [over, Infinity]);
  if (first === other.count) return own;
  const start = Float64Array.from([...own.start, ...other.start.subarray(first)]);
  start[own.count] = Math.max(start[own.count]!, over);
  const end = Float64Array.from([...own.end, ...other.end.subarray(first)]);
  return { start, end, count: start.length };
}
