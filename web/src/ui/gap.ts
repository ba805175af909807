/** Draws what is resident but not live heap: hatched, and named where there is room. */
import type { Theme } from "./paint";
import { between, halo, xOf, yOf, type Area, type Plot } from "./plot";

const NEED = 16; // px that the name needs between both curves
const PEAK_LABEL = 110; // px to either side of the peak that its label may take
const STEP = 12; // px between places that are tried

export function drawGap(
  context: CanvasRenderingContext2D,
  plot: Plot,
  area: Area,
  theme: Theme,
): void {
  const { x, low, high } = plot.gap!;
  context.save();
  between(context, plot, area, x, low, high);
  context.clip();
  context.strokeStyle = theme.dim;
  context.globalAlpha = 0.28;
  context.lineWidth = 1;
  context.beginPath();
  for (let at = area.left - area.height; at < area.left + area.width; at += 7) {
    context.moveTo(at, area.top + area.height);
    context.lineTo(at + area.height, area.top);
  }
  context.stroke();
  context.restore();
  nameGap(context, plot, area, theme);
}

/** The gap's name, at the place where it stands most clearly between both curves. */
function nameGap(
  context: CanvasRenderingContext2D,
  plot: Plot,
  area: Area,
  theme: Theme,
): void {
  const { x, low, high, name } = plot.gap!;
  const room = context.measureText(name).width + 12;
  // Upper and lower bounds by pixel, so that trying a place costs its width.
  const top = new Float64Array(Math.ceil(area.width) + 1).fill(Infinity); // where nothing is
  const bottom = new Float64Array(top.length).fill(-Infinity);
  for (let i = 1; i < x.length; i++) {
    const from = Math.max(0, Math.floor(xOf(plot, area, x[i - 1]!) - area.left));
    const to = Math.min(top.length - 1, Math.ceil(xOf(plot, area, x[i]!) - area.left));
    const above = Math.max(yOf(plot, area, high[i - 1]!), yOf(plot, area, high[i]!));
    const below = Math.min(yOf(plot, area, low[i - 1]!), yOf(plot, area, low[i]!));
    for (let at = from; at <= to; at++) {
      const known = top[at]! < Infinity;
      top[at] = known ? Math.max(top[at]!, above) : above;
      bottom[at] = known ? Math.min(bottom[at]!, below) : below;
    }
  }
  if (plot.peak) {
    // The peak's own label stands above and beside it.
    const [at, y] = [xOf(plot, area, plot.peak.time), yOf(plot, area, plot.peak.bytes)];
    for (let j = -PEAK_LABEL; j <= PEAK_LABEL; j++) {
      const i = Math.round(at - area.left) + j;
      if (i >= 0 && i < bottom.length) bottom[i] = Math.min(bottom[i]!, y - 18);
    }
  }
  let best = { clear: NEED, at: -1, y: 0 };
  for (let at = 0; at + room < area.width; at += STEP) {
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
  halo(context, name, area.left + best.at + 6, best.y, theme);
}
