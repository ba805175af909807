/** A chart of the live heap over time: looked at by pointing, and a range chosen by dragging or keys. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { durations, duration, size, snap, touched, type Spans } from "../model";
import { keyOn, type Ground, type Range } from "./brush";
import { themeOf } from "./paint";
import { formOf } from "./series";
import type { Change, State } from "./state";
import { TimeChart } from "./timechart";
import { At } from "./timeparts";
import { spanAt, type Timeplot } from "./timeplot";
import { Tip } from "./tip";
import type { Views } from "./views";
import { useWidth } from "./width";

const ALONE = 210; // px high
const BESIDE = 160; // each of two

/** A moment that is looked at, by pointing at it or by keys. */
export interface Looked {
  moment: number;
  byKeys: boolean;
}

export function Chart(props: {
  views: Views;
  state: State;
  theme: string;
  made: Timeplot;
  sides: Timeplot[]; // it, and what is compared to it
  looked: Looked | null;
  onLook: (looked: Looked | null) => void;
  onChange: (change: Change, step?: boolean) => void;
}) {
  const { views, state, onChange, onLook } = props;
  const ruler = views.ruler(props.made.which);
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<TimeChart | null>(null);
  const width = useWidth(box);
  const [dragging, setDragging] = useState(false);
  const moment = props.looked?.moment ?? null;
  const height = props.sides.length > 1 ? BESIDE : ALONE;
  const look = (at: number | null, byKeys = false): void =>
    onLook(at === null ? null : { moment: at, byKeys });
  const [pointer, setPointer] = useState<{ x: number; y: number } | null>(null);
  const latest = useRef(props.made);
  if (!dragging) latest.current = props.made; // what is dragged over stays
  const made = latest.current;
  const { plot } = made;

  const wide = width > 1;
  useLayoutEffect(() => {
    if (!wide) return;
    const theme = themeOf(document.documentElement);
    const one = (chart.current = new TimeChart(box.current!, plot, width, height, theme));
    return () => {
      chart.current = null;
      one.destroy();
    };
  }, [wide, formOf(plot), props.theme]);
  useLayoutEffect(() => {
    chart.current?.resize(width, height);
    chart.current?.show(plot);
    chart.current?.choose(state.range);
    chart.current?.point(moment);
  });

  const onDown = (event: PointerEvent): void => {
    if (event.button !== 0 || !ruler.count || !chart.current) return;
    box.current!.setPointerCapture(event.pointerId);
    chart.current.begin(event);
    setDragging(true);
    setPointer(null);
    look(null);
  };
  const onMove = (event: PointerEvent): void => {
    const one = chart.current;
    if (!one) return;
    if (one.dragging) return one.drag(event);
    const at = one.hover(event);
    look(at);
    setPointer(at === null ? null : { x: event.clientX, y: event.clientY });
    box.current!.style.cursor = one.onEdge(event) ? "ew-resize" : "crosshair";
  };
  const onUp = (event: PointerEvent): void => {
    const one = chart.current;
    if (!one?.dragging) return;
    const wanted = one.end(event);
    setDragging(false);
    if (wanted) onChange({ range: snap(ruler, wanted) }, true);
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || !ruler.count) return;
    // Keys count in spans, so that a range that is moved keeps its length.
    const toSpans = (at: Range): Range => [spanAt(ruler.end, at[0]), spanAt(ruler.end, at[1] - 1) + 1];
    const [from, until] = touched(ruler, [plot.start, plot.end]);
    const counted: Ground = { start: from, end: until, step: keyStep(until - from) };
    const at = moment === null ? null : spanAt(ruler.end, moment);
    const done = keyOn(counted, state.range && toSpans(state.range), at, event.key, event.shiftKey);
    if (!done) return;
    event.preventDefault();
    event.stopPropagation();
    setPointer(null);
    look(done.moment === null ? null : middleOf(ruler, done.moment), true);
    const next = done.range;
    if (!next || next[0] >= next[1]) {
      if (state.range) onChange({ range: null });
      return;
    }
    const [first, stop] = [Math.floor(next[0]), Math.ceil(next[1])];
    onChange(
      { range: [Number(ruler.start[first]), Number(ruler.end[stop - 1])] },
      state.range === null,
    );
  };
  return (
    <div
      class={dragging ? "chart dragging" : "chart"}
      ref={box}
      tabIndex={0}
      role="application"
      aria-roledescription="timeline"
      aria-label={labelOf(made, state, moment, views)}
      onPointerDown={onDown}
      onPointerMove={onMove}
      onPointerUp={onUp}
      onPointerCancel={(event) => {
        chart.current?.cancel(event);
        setDragging(false);
      }}
      onPointerLeave={() => {
        if (dragging) return;
        look(null);
        setPointer(null);
      }}
      onDblClick={() => onChange({ range: null })}
      onKeyDown={onKey}
      style={{ height: `${height}px` }}
    >
      {made.title && <h3>{made.title}</h3>}
      {moment !== null && pointer && (
        <Tip x={pointer.x} y={pointer.y}>
          <At views={views} sides={props.sides} time={moment} />
        </Tip>
      )}
    </div>
  );
}

const keyStep = (count: number): number => Math.max(1, Math.round(count / 100));

function middleOf({ start, end, count }: Spans, span: number): number {
  const at = Math.min(Math.max(Math.floor(span), 0), count - 1);
  return (Number(start[at]) + Number(end[at])) / 2;
}

function labelOf(made: Timeplot, state: State, moment: number | null, views: Views): string {
  const { peak, ...plot } = made.plot;
  const [start, end] = plot.start
    ? durations(plot.start / 1e9, plot.end / 1e9)
    : ["0", duration(plot.end / 1e9)];
  const parts = [
    `Live heap${made.title && `, ${made.title},`} from ${start} to ${end}`,
    peak ? `peak ${size(peak.bytes)} at ${duration(peak.time / 1e9)}` : "",
    state.range
      ? `chosen ${duration(state.range[0] / 1e9)} to ${duration(state.range[1] / 1e9)}`
      : "",
    moment === null ? "" : `at ${duration(moment / 1e9)}`,
    views.ruler(made.which).count ? "arrow keys move, with shift they choose a range, Escape clears it" : "",
  ];
  return parts.filter(Boolean).join("; ");
}
