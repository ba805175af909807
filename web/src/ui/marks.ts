/** What stands on the timeline besides its curves: marks, forks, the peak, the chosen range. */
import { size } from "../model";
import { FONT, type Theme } from "./paint";
import { footAbove, heightAt, type Face, type Plot } from "./plot";
import { tail } from "./text";

/** Lines at marks and forks, each named where there is room beside the one before. */
export function drawLines(
  context: CanvasRenderingContext2D,
  plot: Plot,
  face: Face,
  theme: Theme,
): void {
  context.font = FONT;
  context.textBaseline = "top";
  context.textAlign = "left";
  const sorted = [...plot.lines].sort((a, b) => a.time - b.time);
  const at = (time: number): number => Math.round(face.x(time)) + 0.5;
  for (const { time, dashed } of sorted) {
    context.strokeStyle = theme.dim;
    context.lineWidth = 1;
    context.setLineDash(dashed ? [3, 3] : []);
    line(context, at(time), face.top - 4, at(time), face.top + face.height);
  }
  context.setLineDash([]);
  const end = face.left + face.width;
  let free = -Infinity; // where the last label ends
  for (const { time, label } of sorted) {
    const short = tail(label, 150, (text) => context.measureText(text).width);
    const wide = context.measureText(short).width;
    const x = Math.min(at(time), end - wide - 2);
    if (x < free) continue;
    halo(context, short, x, 1, theme);
    free = x + wide + 8;
  }
}

/** All outside of a range, given in px, pale. */
export function drawRange(
  context: CanvasRenderingContext2D,
  [from, to]: [number, number],
  face: Face,
  theme: Theme,
): void {
  const { left, top, width, height } = face;
  context.fillStyle = theme.ground;
  context.globalAlpha = 0.6;
  context.fillRect(left, top, Math.max(from - left, 0), height);
  context.fillRect(to, top, Math.max(left + width - to, 0), height);
  context.globalAlpha = 1;
  context.strokeStyle = theme.accent;
  context.lineWidth = 2;
  context.strokeRect(from, top, Math.max(to - from, 1), height);
}

/** The peak, which no range makes pale. */
export function drawPeak(
  context: CanvasRenderingContext2D,
  plot: Plot,
  face: Face,
  theme: Theme,
  peak: { time: number; bytes: number },
): void {
  const x = face.x(peak.time);
  const y = face.y(peak.bytes);
  // Of a moment that is shorter than what the curve tells apart only this shows how high it was.
  const below = face.y(heightAt(plot, peak.time));
  if (below - y > 5) {
    context.strokeStyle = theme.text;
    context.lineWidth = 1;
    line(context, Math.round(x) + 0.5, y, Math.round(x) + 0.5, below);
  }
  context.font = FONT;
  const text = `peak ${size(peak.bytes)}`;
  const wide = context.measureText(text).width;
  const right = x + 10 + wide < face.left + face.width;
  const left = right ? x + 8 : x - 8 - wide;
  const foot = Math.max(footAbove(plot, face, left, wide, y - 2), 14);
  context.fillStyle = theme.ground;
  context.globalAlpha = 0.85;
  context.fillRect(left - 3, foot - 14, wide + 6, 15);
  context.globalAlpha = 1;
  context.textAlign = "left";
  context.textBaseline = "bottom";
  halo(context, text, left, foot, theme);
  context.fillStyle = theme.text;
  context.strokeStyle = theme.ground;
  context.lineWidth = 2;
  context.beginPath();
  context.arc(x, y, 4.5, 0, 2 * Math.PI);
  context.fill();
  context.stroke();
}

/** Text that reads on whatever is below it. */
export function halo(
  context: CanvasRenderingContext2D,
  text: string,
  x: number,
  y: number,
  theme: Theme,
): void {
  context.lineWidth = 4;
  context.strokeStyle = theme.ground;
  context.strokeText(text, x, y);
  context.fillStyle = theme.text;
  context.fillText(text, x, y);
}

function line(
  context: CanvasRenderingContext2D,
  x0: number,
  y0: number,
  x1: number,
  y1: number,
): void {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}
