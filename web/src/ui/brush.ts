/** Choosing a range of time on the timeline: by mouse, touch and keys. Times in ns. */

export type Range = [number, number];

/** What a gesture on the chart works on. */
export interface Ground {
  start: number;
  end: number;
  step: number; // how far a key moves
  timeAt(x: number): number; // px within the chart
  xOf(time: number): number;
}

const EDGE = 7; // px around a range's edge that take hold of it
const LEAST = 4; // px that a drag has to cover to be one

/** A drag under way. `fixed`: the end that stays. */
export interface Drag {
  fixed: number;
  from: number; // px
  moved: boolean;
}

/** A drag that begins at `x`: an edge of `range` if it is there, else a new range. */
export function beginDrag(ground: Ground, range: Range | null, x: number): Drag {
  if (range) {
    const [left, right] = [ground.xOf(range[0]), ground.xOf(range[1])];
    if (Math.abs(x - right) <= EDGE) return { fixed: range[0], from: x, moved: true };
    if (Math.abs(x - left) <= EDGE) return { fixed: range[1], from: x, moved: true };
  }
  return { fixed: ground.timeAt(x), from: x, moved: false };
}

/** The range of a drag that is at `x` now; null: none yet. */
export function dragTo(ground: Ground, drag: Drag, x: number): Range | null {
  if (Math.abs(x - drag.from) >= LEAST) drag.moved = true;
  if (!drag.moved) return null;
  const time = ground.timeAt(x);
  return time < drag.fixed ? [time, drag.fixed] : [drag.fixed, time];
}

export const onEdge = (ground: Ground, range: Range | null, x: number): boolean =>
  range !== null &&
  (Math.abs(x - ground.xOf(range[0])) <= EDGE || Math.abs(x - ground.xOf(range[1])) <= EDGE);

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
