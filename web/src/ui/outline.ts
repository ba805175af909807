/** The upper edge of the live heap: as high as it rose, and not only as high as spans end. */
import type { Column, Top } from "../model";

/** What lived at the end of each span, and the highest within. */
export interface Course {
  starts: Column; // ns
  ends: Column;
  total: ArrayLike<number>; // bytes
  highest: ArrayLike<number>;
}

/**
 * From end to end of spans, and over the highest of those in which the heap rose above both by more
 * than `least` bytes; null: it did in none. Where two such meet, from one's highest to the other's.
 * A span's highest stands in its middle, the recording's `peak` at its time.
 */
export function outlineOf(
  { starts, ends, total, highest }: Course,
  least: number,
  peak: Top | null,
): { x: Float64Array; y: Float64Array } | null {
  const x = [0];
  const y = [0];
  const put = (time: number, bytes: number): void => {
    x.push(time);
    y.push(Math.max(bytes, 0));
  };
  let roseBefore = false;
  let some = false;
  for (let span = 0; span < ends.length; span++) {
    const before = span ? total[span - 1]! : 0;
    const [start, end] = [Math.max(starts[span]!, x[x.length - 1]!), ends[span]!];
    const joined = start === x[x.length - 1]!;
    const isPeak = peak?.bytes === highest[span] && peak!.time > start && peak!.time < end;
    const time = isPeak ? peak!.time : (start + end) / 2;
    const part = (time - start) / (end - start || 1);
    const shown = isPeak ? before + part * (total[span]! - before) : Math.max(before, total[span]!);
    const rose = highest[span]! - shown > least;
    if (!joined) put(start, before);
    if (rose) {
      if (joined && roseBefore) {
        x.pop();
        y.pop();
      }
      put(time, highest[span]!);
      some = true;
    }
    put(end, total[span]!);
    roseBefore = rose;
  }
  return some ? { x: Float64Array.from(x), y: Float64Array.from(y) } : null;
}
