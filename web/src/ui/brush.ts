/** Choosing a range of time on the timeline: by its edges, and by keys. Times in ns. */

export type Range = [number, number];

/** What keys move on. */
export interface Ground {
  start: number;
  end: number;
  step: number; // how far a key moves
}

const EDGE = 7; // px around a range's edge that take hold of it

/** Which edge of `[left, right]` (px) stays where a drag begins at `x`; null: `x` is at none. */
export function staying(range: Range | null, x: number): 0 | 1 | null {
  if (!range) return null;
  const [left, right] = range;
  if (Math.abs(x - right) <= EDGE) return 0;
  return Math.abs(x - left) <= EDGE ? 1 : null;
}

/**
 * What a key does. Without a range the arrows move the moment that is looked at, and with shift
 * begin a range there; with one they move it, and with shift widen it (up and down: both ends).
 * Returns null for keys that mean nothing here.
 */
export function keyOn(
  ground: Ground,
  range: Range | null,
  moment: number | null,
  key: string,
  shift: boolean,
): { range: Range | null; moment: number | null } | null {
  const { start, end, step } = ground;
  const within = (time: number): number => Math.min(end, Math.max(start, time));
  const forward = key === "ArrowRight" ? 1 : key === "ArrowLeft" ? -1 : 0;
  if (key === "Escape") return range || moment !== null ? { range: null, moment: null } : null;
  if (key === "Home" || key === "End") {
    const to = key === "Home" ? start : end;
    if (!range) return { range, moment: to };
    const long = range[1] - range[0];
    return { range: to === start ? [start, start + long] : [end - long, end], moment };
  }
  if (range) {
    const [a, b] = range;
    if (shift && forward > 0) return { range: [a, within(b + step)], moment };
    if (shift && forward < 0) return { range: [within(a - step), b], moment };
    if (shift && key === "ArrowUp") return { range: [within(a - step), within(b + step)], moment };
    if (shift && key === "ArrowDown") {
      return b - a > 2 * step ? { range: [a + step, b - step], moment } : { range, moment };
    }
    if (!forward) return null;
    const by = Math.max(start - a, Math.min(end - b, forward * step));
    return { range: [a + by, b + by], moment };
  }
  if (!forward) return null;
  const at = moment ?? (start + end) / 2;
  if (!shift) return { range, moment: within(at + forward * step) };
  const to = within(at + forward * step);
  return { range: to < at ? [to, at] : [at, to], moment };
}
