/** What is resident but not live heap: how it is hatched, and where its name stands. */
import { halo } from "./marks";
import { FONT, type Theme } from "./paint";
import type { Face, Plot } from "./plot";

const NEED = 16; // px that the name needs between both curves
const PEAK_LABEL = 110; // px to either side of the peak that its label may take
const STEP = 12; // px between places that are tried
const APART = 7; // px between lines

/** Lines that rise to the right, as a fill on a canvas of `ratio` pixels to a px. */
export function hatching(
  context: CanvasRenderingContext2D,
  theme: Theme,
  ratio: number,
): CanvasPattern | string {
  const side = Math.round(APART * ratio);
  const tile = document.createElement("canvas");
  tile.width = tile.height = side;
  const on = tile.getContext("2d");
  if (!on) return "transparent";
  on.strokeStyle = theme.dim;
  on.globalAlpha = 0.28;
  on.lineWidth = ratio;
  // With its neighbours' lines, which reach over the corners.
  for (const from of [-side, 0, side]) {
    on.moveTo(from - side, side * 2);
    on.lineTo(from + side * 2, -side);
  }
  on.stroke();
  return context.createPattern(tile, "repeat") ?? "transparent";
}

/** The gap's name, at the place where it stands most clearly between both curves. */
export function nameGap(
  context: CanvasRenderingContext2D,
  plot: Plot,
  face: Face,
  theme: Theme,
): void {
  const { x, low, high, name } = plot.gap!;
  context.font = FONT;
  const room = context.measureText(name).width + 12;
  // Upper and lower bounds by pixel, so that trying a place costs its width.
  const top = new Float64Array(Math.ceil(face.width) + 1).fill(Infinity); // where nothing is
  const bottom = new Float64Array(top.length).fill(-Infinity);
  for (let i = 1; i < x.length; i++) {
    const from = Math.max(0, Math.floor(face.x(x[i - 1]!) - face.left));
    const to = Math.min(top.length - 1, Math.ceil(face.x(x[i]!) - face.left));
    const above = Math.max(face.y(high[i - 1]!), face.y(high[i]!));
    const below = Math.min(face.y(low[i - 1]!), face.y(low[i]!));
    for (let at = from; at <= to; at++) {
      const known = top[at]! < Infinity;
      top[at] = known ? Math.max(top[at]!, above) : above;
      bottom[at] = known ? Math.min(bottom[at]!, below) : below;
    }
  }
  if (plot.peak) {
    // The peak's own label stands above and beside it.
    const [at, y] = [face.x(plot.peak.time), face.y(plot.peak.bytes)];
    for (let j = -PEAK_LABEL; j <= PEAK_LABEL; j++) {
      const i = Math.round(at - face.left) + j;
      if (i >= 0 && i < bottom.length) bottom[i] = Math.min(bottom[i]!, y - 18);
    }
  }
  let best = { clear: NEED, at: -1, y: 0 };
  for (let at = 0; at + room < face.width; at += STEP) {
    let [from, to] = [-Infinity, Infinity];
    for (let j = at; j < at + room; j++) {
      from = Math.max(from, top[j]!);
      to = Math.min(to, bottom[j]!);
    }
    if (to - from > best.clear) {
      best = { clear: to - from, at, y: (from + to) / 2 };
    }
  }
  if (best.at < 0) return;
  context.textAlign = "left";
  context.textBaseline = "middle";
  halo(context, name, face.left + best.at + 6, best.y, theme);
}
