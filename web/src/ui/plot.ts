/** Draws the timeline: areas, curves, the gap to the resident set, marks, the peak, the range. */
import { duration, size } from "../model";
import { drawGap } from "./gap";
import { FONT, type Theme } from "./paint";
import { tail } from "./text";

export interface Band {
  colour: string;
  height: Float64Array; // at each of the plot's x
}

export interface Curve {
  colour: string;
  dashed: boolean;
  x: Float64Array;
  y: Float64Array;
}

export interface Plot {
  start: number; // ns
  end: number;
  highest: number; // bytes, the top of the scale
  x: Float64Array; // ns, of the bands
  bands: Band[]; // from the bottom
  curves: Curve[];
  gap: { x: Float64Array; low: Float64Array; high: Float64Array; name: string } | null;
  lines: { time: number; label: string; dashed: boolean }[];
  peak: { time: number; bytes: number } | null;
}

export interface Area {
  left: number;
  top: number;
  width: number;
  height: number;
}

export const MARGIN = { left: 62, right: 14, top: 20, bottom: 24 };

export function areaOf(width: number, height: number): Area {
  return {
    left: MARGIN.left,
    top: MARGIN.top,
    width: Math.max(width - MARGIN.left - MARGIN.right, 10),
    height: Math.max(height - MARGIN.top - MARGIN.bottom, 10),
  };
}

export const xOf = (plot: Plot, area: Area, time: number): number =>
  area.left + ((time - plot.start) / (plot.end - plot.start || 1)) * area.width;

export const timeAt = (plot: Plot, area: Area, x: number): number =>
  plot.start +
  Math.min(1, Math.max(0, (x - area.left) / area.width)) * (plot.end - plot.start || 1);

export const yOf = (plot: Plot, area: Area, bytes: number): number =>
  area.top + area.height - (bytes / (plot.highest || 1)) * area.height;

/** Steps of 1, 2 or 5 times a power of ten, about `wanted` of them up to `highest`. */
export function ticks(highest: number, wanted: number): number[] {
  if (!(highest > 0)) return [0];
  const rough = highest / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough)! * power;
  const found: number[] = [];
  for (let i = 0; i * step <= highest * 1.0001; i++) found.push(i * step);
  return found;
}

export function drawPlot(
  context: CanvasRenderingContext2D,
  plot: Plot,
  width: number,
  height: number,
  theme: Theme,
): void {
  const area = areaOf(width, height);
  context.font = FONT;
  context.lineJoin = "round";
  drawGrid(context, plot, area, theme);
  context.save();
  context.beginPath();
  context.rect(area.left, 0, area.width, area.top + area.height);
  context.clip();
  drawBands(context, plot, area);
  if (plot.gap) drawGap(context, plot, area, theme);
  for (const curve of plot.curves) drawCurve(context, plot, area, curve);
  drawLines(context, plot, area, theme);
  context.restore();
}

function drawGrid(
  context: CanvasRenderingContext2D,
  plot: Plot,
  area: Area,
  theme: Theme,
): void {
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const tick of ticks(plot.highest, 4)) {
    const y = Math.round(yOf(plot, area, tick)) + 0.5;
    context.strokeStyle = theme.line;
    context.lineWidth = 1;
    line(context, area.left, y, area.left + area.width, y);
    context.fillStyle = theme.dim;
    context.fillText(short(size(tick)), area.left - 8, y);
  }
  context.textBaseline = "top";
  const span = plot.end - plot.start;
  const wanted = Math.max(2, Math.floor(area.width / 110));
  for (const tick of ticks(span, wanted)) {
    const x = xOf(plot, area, plot.start + tick);
    context.textAlign = x > area.left + area.width - 20 ? "right" : tick ? "center" : "left";
    context.fillStyle = theme.dim;
    context.fillText(short(duration((plot.start + tick) / 1e9)), x, area.top + area.height + 7);
  }
}

/** Without zeros behind the point: ticks are at round figures. */
const short = (figure: string): string => figure.replace(/\.0+ /, " ");

function drawBands(context: CanvasRenderingContext2D, plot: Plot, area: Area): void {
  const n = plot.x.length;
  const low = new Float64Array(n);
  const high = new Float64Array(n);
  for (const band of plot.bands) {
    for (let i = 0; i < n; i++) high[i] = low[i]! + Math.max(band.height[i]!, 0);
    context.fillStyle = band.colour;
    between(context, plot, area, plot.x, low, high);
    context.fill();
    low.set(high);
  }
}

/** The path between two curves. */
export function between(
  context: CanvasRenderingContext2D,
  plot: Plot,
  area: Area,
  x: Float64Array,
  low: Float64Array,
  high: Float64Array,
): void {
  context.beginPath();
  for (let i = 0; i < x.length; i++) {
    context.lineTo(xOf(plot, area, x[i]!), yOf(plot, area, high[i]!));
  }
  for (let i = x.length - 1; i >= 0; i--) {
    context.lineTo(xOf(plot, area, x[i]!), yOf(plot, area, low[i]!));
  }
  context.closePath();
}

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

function drawCurve(
  context: CanvasRenderingContext2D,
  plot: Plot,
  area: Area,
  curve: Curve,
): void {
  context.strokeStyle = curve.colour;
  context.lineWidth = 1.5;
  context.setLineDash(curve.dashed ? [5, 3] : []);
  context.beginPath();
  for (let i = 0; i < curve.x.length; i++) {
    context.lineTo(xOf(plot, area, curve.x[i]!), yOf(plot, area, curve.y[i]!));
  }
  context.stroke();
  context.setLineDash([]);
}

function drawLines(
  context: CanvasRenderingContext2D,
  plot: Plot,
  area: Area,
  theme: Theme,
): void {
  context.textBaseline = "top";
  context.textAlign = "left";
  const sorted = [...plot.lines].sort((a, b) => a.time - b.time);
  const at = (time: number): number => Math.round(xOf(plot, area, time)) + 0.5;
  for (const { time, dashed } of sorted) {
    context.strokeStyle = theme.dim;
    context.lineWidth = 1;
    context.setLineDash(dashed ? [3, 3] : []);
    line(context, at(time), MARGIN.top - 4, at(time), area.top + area.height);
  }
  context.setLineDash([]);
  const end = area.left + area.width;
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

function drawPeak(
  context: CanvasRenderingContext2D,
  plot: Plot,
  area: Area,
  theme: Theme,
  peak: { time: number; bytes: number },
): void {
  const x = xOf(plot, area, peak.time);
  const y = yOf(plot, area, peak.bytes);
  // Of a moment that is shorter than what the curve tells apart only this shows how high it was.
  const below = yOf(plot, area, heightAt(plot, peak.time));
  if (below - y > 5) {
    context.strokeStyle = theme.text;
    context.lineWidth = 1;
    line(context, Math.round(x) + 0.5, y, Math.round(x) + 0.5, below);
  }
  context.fillStyle = theme.text;
  context.strokeStyle = theme.ground;
  context.lineWidth = 2;
  context.beginPath();
  context.arc(x, y, 4.5, 0, 2 * Math.PI);
  context.fill();
  context.stroke();
  const text = `peak ${size(peak.bytes)}`;
  const wide = context.measureText(text).width;
  const right = x + 10 + wide < area.left + area.width;
  const left = right ? x + 8 : x - 8 - wide;
  const foot = Math.max(footAbove(plot, area, left, wide, y - 2), 14);
  context.fillStyle = theme.ground;
  context.globalAlpha = 0.85;
  context.fillRect(left - 3, foot - 14, wide + 6, 15);
  context.globalAlpha = 1;
  context.textAlign = "left";
  context.textBaseline = "bottom";
  halo(context, text, left, foot, theme);
}

const LABEL = 16; // px, with what is around it

/** Where a label may stand at or above `foot` so that no curve goes through it there. */
export function footAbove(
  plot: Plot,
  area: Area,
  left: number,
  wide: number,
  foot: number,
): number {
  let highest = foot;
  for (const { x, y } of plot.curves) {
    for (let i = 0; i < x.length; i++) {
      const at = xOf(plot, area, x[i]!);
      const height = yOf(plot, area, y[i]!);
      const meets = at >= left - 4 && at <= left + wide + 4 && height > foot - LABEL;
      if (meets) highest = Math.min(highest, height);
    }
  }
  return highest < foot ? highest - 3 : foot;
}

/** How high the areas are, or the first curve, at `time`. */
export function heightAt(plot: Plot, time: number): number {
  const curve = plot.curves[0];
  const x = plot.bands.length ? plot.x : (curve?.x ?? new Float64Array(0));
  const after = x.findIndex((at) => at >= time);
  if (after < 0) return 0;
  const at = (i: number): number =>
    plot.bands.length
      ? plot.bands.reduce((sum, band) => sum + Math.max(band.height[i]!, 0), 0)
      : curve!.y[i]!;
  if (after === 0) return at(0);
  const part = (time - x[after - 1]!) / (x[after]! - x[after - 1]! || 1);
  return at(after - 1) + part * (at(after) - at(after - 1));
}

/** The chosen range, the peak, which no range makes pale, and the moment looked at. */
export function drawOver(
  context: CanvasRenderingContext2D,
  plot: Plot,
  width: number,
  height: number,
  theme: Theme,
  range: [number, number] | null,
  moment: number | null,
): void {
  const area = areaOf(width, height);
  const bottom = area.top + area.height;
  if (range) {
    const from = xOf(plot, area, range[0]);
    const to = xOf(plot, area, range[1]);
    context.fillStyle = theme.ground;
    context.globalAlpha = 0.6;
    context.fillRect(area.left, area.top, Math.max(from - area.left, 0), area.height);
    context.fillRect(to, area.top, Math.max(area.left + area.width - to, 0), area.height);
    context.globalAlpha = 1;
    context.strokeStyle = theme.accent;
    context.lineWidth = 2;
    context.strokeRect(from, area.top, Math.max(to - from, 1), area.height);
  }
  if (plot.peak) drawPeak(context, plot, area, theme, plot.peak);
  if (moment !== null) {
    const x = Math.round(xOf(plot, area, moment)) + 0.5;
    context.strokeStyle = theme.text;
    context.lineWidth = 1;
    line(context, x, area.top, x, bottom);
  }
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
