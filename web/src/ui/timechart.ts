/** The timeline's chart: uPlot, with the gestures of mouse, touch and pen that choose a range. */
import uPlot from "uplot";
import { axis, BYTES, bytesMark, TIMES, timeMark } from "./axes";
import { staying, type Range } from "./brush";
import { nameGap } from "./gap";
import { drawLines, drawPeak, drawRange } from "./marks";
import type { Theme } from "./paint";
import type { Face, Plot } from "./plot";
import { columnsOf, seriesOf } from "./series";
import { isShown } from "./timeplot";

const LEAST = 4; // px that a drag has to cover to be one
const NEAR = 2; // px beside the chart that still point at it
const ABOVE = 20; // px over the chart, for the names of marks
const BESIDE = 26; // px to its right, for half of the last mark's time
const APART = 90; // px from the time of one mark to the next, at least

type Handler = (event: MouseEvent) => unknown;

export class TimeChart {
  private readonly u: uPlot;
  private readonly handlers = new Map<string, Handler>();
  private range: Range | null = null;
  private moment: number | null = null;
  private placed = false; // it is known where times stand
  private pressing = false; // a drag is beginning
  private fixed: number | null = null; // the edge of the range that a drag leaves where it is
  private wanted: Range | null = null; // what a drag has chosen
  dragging = false;

  constructor(
    place: HTMLElement,
    private plot: Plot,
    width: number,
    height: number,
    private readonly theme: Theme,
  ) {
    // uPlot listens to a mouse; here it is told of whatever points, also beside the chart.
    const bound = (name: string): uPlot.Cursor.MouseListenerFactory => (_u, _target, handler) => {
      this.handlers.set(name, handler);
      return null;
    };
    this.u = new uPlot(
      {
        width,
        height,
        ...seriesOf(plot, theme),
        padding: [ABOVE, BESIDE, 0, 0],
        scales: {
          x: { time: false, range: () => [this.plot.start, this.plot.end] },
          y: { range: () => [0, this.plot.highest] },
        },
        axes: [axis(theme, 2, TIMES, timeMark, APART), axis(theme, 3, BYTES, bytesMark)],
        legend: { show: false },
        cursor: {
          y: false,
          points: { show: false },
          drag: { x: true, y: false, setScale: false, dist: LEAST },
          move: (_, left, top) => this.moved(left, top),
          bind: {
            mousedown: bound("down"),
            mousemove: bound("move"),
            mouseup: bound("up"),
            mouseleave: bound("leave"),
            mouseenter: bound("enter"),
            dblclick: bound("twice"),
          },
        },
        hooks: {
          draw: [() => this.drawBeside()],
          setScale: [() => this.settle()],
          setSize: [() => this.settle()],
          setSelect: [({ select }) => (this.wanted = this.times(select.left, select.width))],
        },
      },
      columnsOf(plot),
      place,
    );
    this.u.root.setAttribute("aria-hidden", "true");
  }

  /** The same series with other figures. */
  show(plot: Plot): void {
    if (plot === this.plot) return;
    this.plot = plot;
    this.u.setData(columnsOf(plot));
  }

  resize(width: number, height: number): void {
    if (width !== this.u.width || height !== this.u.height) this.u.setSize({ width, height });
  }

  /** Show `range` as chosen. */
  choose(range: Range | null): void {
    if (range?.[0] === this.range?.[0] && range?.[1] === this.range?.[1]) return;
    this.range = range;
    if (!this.dragging && this.placed) this.select();
  }

  /** Point at a moment. */
  point(moment: number | null): void {
    this.moment = moment;
    if (this.dragging || !this.placed) return;
    const left = moment === null ? -10 : this.u.valToPos(moment, "x");
    this.u.setCursor({ left, top: moment === null ? -10 : 0 }, false);
  }

  /** The moment that the pointer is at; null: beside the chart. */
  hover(event: MouseEvent): number | null {
    this.u.syncRect(true); // all above it may have moved
    const { left, width } = this.u.rect;
    const inside = event.clientX >= left - NEAR && event.clientX <= left + width + NEAR;
    if (!inside) {
      this.point(null);
      return null;
    }
    this.call("move", event);
    this.moment = this.u.posToVal(this.u.cursor.left ?? 0, "x");
    return this.moment;
  }

  /** Whether the pointer is where a drag would take hold of the chosen range's edge. */
  onEdge = (event: MouseEvent): boolean =>
    staying(this.chosen(), event.clientX - this.u.rect.left) !== null;

  begin(event: MouseEvent): void {
    this.u.syncRect(true);
    this.pressing = true;
    this.call("down", event);
    this.pressing = false;
    this.dragging = true;
  }

  drag(event: MouseEvent): void {
    this.call("move", event);
    this.u.redraw(false);
  }

  /** The range that was dragged; null: none, it was a click. */
  end(event: MouseEvent): Range | null {
    // From where it is let go: what was moved last may not have been told yet.
    this.call("move", event);
    return this.release(event);
  }

  cancel(event: MouseEvent): void {
    this.release(event);
  }

  destroy(): void {
    this.u.destroy();
  }

  /** Where what is chosen and pointed at stands now. */
  private settle(): void {
    this.placed = true;
    if (this.dragging) return;
    this.select(false);
    this.point(this.moment);
  }

  private release(event: MouseEvent): Range | null {
    this.wanted = null;
    this.call("up", event);
    this.dragging = false;
    this.select();
    return this.wanted;
  }

  private call(name: string, { clientX, clientY }: MouseEvent): void {
    // With some movement, or uPlot takes it for a press that is told twice.
    this.handlers.get(name)?.(new MouseEvent("mousemove", { clientX, clientY, movementX: 1 }));
  }

  /** Where the cursor goes when something points at `left`, and where a drag begins. */
  private moved(left: number, top: number): [number, number] {
    if (left < 0 && !this.dragging && !this.pressing) return [left, top]; // it is hidden
    const inside = Math.min(Math.max(left, 0), this.u.bbox.width / uPlot.pxRatio);
    if (!this.pressing) return [inside, top];
    const chosen = this.chosen();
    const stays = staying(chosen, left);
    this.fixed = stays === null ? null : this.range![stays];
    return [stays === null ? inside : chosen![stays], top];
  }

  private times(left: number, width: number): Range {
    const [from, to] = [this.u.posToVal(left, "x"), this.u.posToVal(left + width, "x")];
    if (this.fixed === null) return [from, to];
    // To the ns, and not to what pixels give.
    return Math.abs(from - this.fixed) < Math.abs(to - this.fixed) ? [this.fixed, to] : [from, this.fixed];
  }

  /** Where the chosen range stands, in px of the chart. */
  private chosen(): Range | null {
    const { range } = this;
    if (!range) return null;
    const width = this.u.bbox.width / uPlot.pxRatio;
    const [from, to] = range.map((time) => Math.min(Math.max(this.u.valToPos(time, "x"), 0), width));
    return [from!, to!];
  }

  private select(redraw = true): void {
    const [from, to] = this.chosen() ?? [0, 0];
    const height = this.range ? this.u.bbox.height / uPlot.pxRatio : 0;
    this.u.setSelect({ left: from, width: to - from, top: 0, height }, false);
    if (redraw) this.u.redraw(false);
  }

  private face(): Face {
    const ratio = uPlot.pxRatio;
    const { bbox } = this.u;
    const [left, top] = [bbox.left / ratio, bbox.top / ratio];
    return {
      left,
      top,
      width: bbox.width / ratio,
      height: bbox.height / ratio,
      x: (time) => left + this.u.valToPos(time, "x"),
      y: (bytes) => top + this.u.valToPos(bytes, "y"),
    };
  }

  /** All that is no series. */
  private drawBeside(): void {
    const { plot, theme } = this;
    const { ctx, select } = this.u;
    const face = this.face();
    ctx.save();
    ctx.scale(uPlot.pxRatio, uPlot.pxRatio);
    ctx.beginPath();
    ctx.rect(face.left, 0, face.width, face.top + face.height);
    ctx.save();
    ctx.clip();
    drawLines(ctx, plot, face, theme);
    if (plot.gap) nameGap(ctx, plot, face, theme);
    ctx.restore();
    if (select.width > 0) {
      const from = face.left + select.left;
      drawRange(ctx, [from, from + select.width], face, theme);
    }
    if (plot.peak && isShown(plot, plot.peak.time)) drawPeak(ctx, plot, face, theme, plot.peak);
    ctx.restore();
  }
}
