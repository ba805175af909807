/** How long it took from what a person did until it was drawn, for benchmarks. ms. */

export interface FrameTime {
  what: string; // "zoom", "search", "draw", …
  ms: number;
}

const KEPT = 2000;
export const frameTimes: FrameTime[] = [];
let waiting: { what: string; begun: number } | null = null;

/** Something was done that changes the picture. `anew`: even if something else waits to be drawn. */
export function begin(what: string, anew = true): void {
  if (!anew && waiting) return;
  waiting = { what, begun: performance.now() };
}

/** The picture was drawn, in `ms`. */
export function drawn(ms: number): void {
  if (frameTimes.length >= KEPT) frameTimes.splice(0, KEPT / 2);
  if (waiting) frameTimes.push({ what: waiting.what, ms: performance.now() - waiting.begun });
  frameTimes.push({ what: "draw", ms });
  waiting = null;
}
