/** What a chart of the timeline shows, and where things stand on it. */

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

export interface Outline {
  colour: string;
  fill: string; // below it, where no area is
  x: Float64Array;
  y: Float64Array;
}

export interface Plot {
  start: number; // ns
  end: number;
  highest: number; // bytes, the top of the scale
  x: Float64Array; // ns, of the bands
  bands: Band[]; // from the bottom
  outline: Outline | null; // how high all of them rose where that is more than they show
  curves: Curve[];
  gap: { x: Float64Array; low: Float64Array; high: Float64Array; name: string } | null;
  lines: { time: number; label: string; dashed: boolean }[];
  peak: { time: number; bytes: number } | null;
}

/** The plotting area in px of the canvas's box, and where on it a time and a figure stand. */
export interface Face {
  left: number;
  top: number;
  width: number;
  height: number;
  x(time: number): number;
  y(bytes: number): number;
}

/** The upper edge of each area: it and all below. */
export function edges(plot: Plot): Float64Array[] {
  const sum = new Float64Array(plot.x.length);
  return plot.bands.map((band) => {
    for (let i = 0; i < sum.length; i++) sum[i]! += Math.max(band.height[i]!, 0);
    return sum.slice();
  });
}

/** How high the outline is, the areas, or the first curve, at `time`. */
export function heightAt(plot: Plot, time: number): number {
  const curve = plot.outline ?? plot.curves[0];
  const areas = plot.bands.length > 0 && !plot.outline;
  const x = areas ? plot.x : (curve?.x ?? new Float64Array(0));
  const after = x.findIndex((at) => at >= time);
  if (after < 0) return 0;
  const at = (i: number): number =>
    areas
      ? plot.bands.reduce((sum, band) => sum + Math.max(band.height[i]!, 0), 0)
      : curve!.y[i]!;
  if (after === 0) return at(0);
  const part = (time - x[after - 1]!) / (x[after]! - x[after - 1]! || 1);
  return at(after - 1) + part * (at(after) - at(after - 1));
}

const LABEL = 16; // px, with what is around it

/** Where a label may stand at or above `foot` so that no curve goes through it there. */
export function footAbove(
  plot: Plot,
  face: Face,
  left: number,
  wide: number,
  foot: number,
): number {
  let highest = foot;
  for (const { x, y } of plot.curves) {
    for (let i = 0; i < x.length; i++) {
      const at = face.x(x[i]!);
      const height = face.y(y[i]!);
      const meets = at >= left - 4 && at <= left + wide + 4 && height > foot - LABEL;
      if (meets) highest = Math.min(highest, height);
    }
  }
  return highest < foot ? highest - 3 : foot;
}
