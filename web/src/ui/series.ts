/** The timeline as uPlot's series: outline, areas from the highest down, gap, curves; one time column. */
import uPlot from "uplot";
import { hatching } from "./gap";
import type { Theme } from "./paint";
import { edges, type Plot } from "./plot";

/** A column for the times of all, and one for each series: what a series has no value for is undefined. */
export function columnsOf(plot: Plot): uPlot.AlignedData {
  const tables: uPlot.AlignedData[] = [];
  // Each area is filled down to zero, and the next one drawn over it: no seams between them.
  if (plot.outline) tables.push([plot.outline.x, plot.outline.y]);
  if (plot.bands.length) tables.push([plot.x, ...edges(plot).reverse()]);
  if (plot.gap) tables.push([plot.gap.x, plot.gap.low, plot.gap.high]);
  for (const { x, y } of plot.curves) tables.push([x, y]);
  return tables.length ? uPlot.join(tables) : [[]];
}

/** How each of `columnsOf` is drawn. */
export function seriesOf(plot: Plot, theme: Theme): Pick<uPlot.Options, "series" | "bands"> {
  const plain: uPlot.Series = { scale: "y", pxAlign: 0, spanGaps: true, points: { show: false } };
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  if (plot.outline) {
    const { colour, fill } = plot.outline;
    series.push({ ...plain, width: 1.5, stroke: colour, fill, fillTo: 0 });
  }
  for (const { colour } of [...plot.bands].reverse()) {
    series.push({ ...plain, width: 0, fill: colour, fillTo: 0 });
  }
  if (plot.gap) {
    const low = series.push({ ...plain, width: 0 }) - 1;
    const high = series.push({ ...plain, width: 0 }) - 1;
    let known: { ratio: number; fill: CanvasPattern | string } | null = null;
    const fill = (u: uPlot): CanvasPattern | string => {
      const ratio = uPlot.pxRatio;
      if (known?.ratio !== ratio) known = { ratio, fill: hatching(u.ctx, theme, ratio) };
      return known.fill;
    };
    bands.push({ series: [high, low], fill });
  }
  for (const { colour, dashed } of plot.curves) {
    series.push({ ...plain, width: 1.5, stroke: colour, ...(dashed && { dash: [5, 3] }) });
  }
  return { series, bands };
}

/** Plots that are drawn by the same series have the same form. */
export const formOf = (plot: Plot): string =>
  JSON.stringify([
    plot.outline !== null,
    plot.bands.map(({ colour }) => colour),
    plot.gap !== null,
    plot.curves.map(({ colour, dashed }) => [colour, dashed]),
  ]);
