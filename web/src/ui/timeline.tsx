/** The live heap over time: looked at by pointing, and a range of it chosen by dragging or keys. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { duration, size, snap } from "../model";
import { keyOn, type Ground, type Range } from "./brush";
import { themeOf } from "./paint";
import { formOf } from "./series";
import type { Change, State } from "./state";
import { TimeChart } from "./timechart";
import { At, TimeLegend } from "./timeparts";
import { binAt, timeplotOf, type Timeplot } from "./timeplot";
import { BriefTimes, TimeTable } from "./timetable";
import { Tip } from "./tip";
import type { Views } from "./views";
import { useWidth } from "./width";
import { RangeWords } from "./words";

const HEIGHT = 210;

interface Props {
  views: Views;
  state: State;
  theme: string;
  onChange: (change: Change, step?: boolean) => void;
  onSite: (location: number) => void;
}

export function Timeline(props: Props) {
  const { views, state, onChange } = props;
  const [withRss, setRss] = useState(true);
  const [told, setTold] = useState<number | null>(null); // the moment that keys have gone to
  const { header, bins } = views.data;
  const { threads, processes, templates, recursion } = state;
  const made = useMemo(
    () => timeplotOf(views, state, themeOf(document.documentElement), withRss),
    [views, threads, processes, templates, recursion, withRss, props.theme],
  );
  const empty = !made.plot.x.length && !made.plot.curves.some((curve) => curve.x.length);
  const asTable = state.time === "table";
  return (
    <section class="time" aria-label="Live heap over time">
      <div class="heading">
        <h2>{header.diff ? "Live heap over time, before and after" : "Live heap over time"}</h2>
        {made.note && <span class="hint">{made.note}</span>}
        <span class="grow" />
        {!asTable && told !== null ? (
          <span class="hint" aria-live="polite">
            <At views={views} made={made} time={told} short />
          </span>
        ) : (
          bins.count > 0 &&
          !asTable && (
            <span class="hint wide-on">drag, or use arrow keys with shift, to choose a range</span>
          )
        )}
        <button
          type="button"
          class="quiet"
          aria-pressed={asTable}
          onClick={() => onChange({ time: asTable ? "chart" : "table" }, false)}
        >
          as table
        </button>
      </div>
      {empty ? (
        <p class="empty">Nothing was recorded over time.</p>
      ) : asTable ? (
        <TimeTable views={views} stack={made.stack} onRange={(range) => onChange({ range })} />
      ) : (
        <>
          <Chart {...props} made={made} onTold={setTold} />
          <BriefTimes views={views} stack={made.stack} />
          <TimeLegend keys={made.keys} withRss={withRss} onRss={setRss} onSite={props.onSite} />
        </>
      )}
      {state.range && (
        <RangeWords views={views} state={state} onClear={() => onChange({ range: null })} />
      )}
    </section>
  );
}

function Chart(props: Props & { made: Timeplot; onTold: (moment: number | null) => void }) {
  const { views, state, onChange, onTold } = props;
  const { bins } = views.data;
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<TimeChart | null>(null);
  const width = useWidth(box);
  const [dragging, setDragging] = useState(false);
  const [moment, setMoment] = useState<number | null>(null);
  const [pointer, setPointer] = useState<{ x: number; y: number } | null>(null);
  const latest = useRef(props.made);
  if (!dragging) latest.current = props.made; // what is dragged over stays
  const made = latest.current;
  const { plot } = made;
  const told = pointer ? null : moment;
  useEffect(() => onTold(told), [told]);

  const wide = width > 1;
  useLayoutEffect(() => {
    if (!wide) return;
    const theme = themeOf(document.documentElement);
    const one = (chart.current = new TimeChart(box.current!, plot, width, HEIGHT, theme));
    return () => {
      chart.current = null;
      one.destroy();
    };
  }, [wide, formOf(plot), props.theme]);
  useLayoutEffect(() => {
    chart.current?.resize(width, HEIGHT);
    chart.current?.show(plot);
    chart.current?.choose(state.range);
    chart.current?.point(moment);
  });

  const onDown = (event: PointerEvent): void => {
    if (event.button !== 0 || !bins.count || !chart.current) return;
    box.current!.setPointerCapture(event.pointerId);
    chart.current.begin(event);
    setDragging(true);
    setPointer(null);
    setMoment(null);
  };
  const onMove = (event: PointerEvent): void => {
    const one = chart.current;
    if (!one) return;
    if (one.dragging) return one.drag(event);
    const at = one.hover(event);
    setMoment(at);
    setPointer(at === null ? null : { x: event.clientX, y: event.clientY });
    box.current!.style.cursor = one.onEdge(event) ? "ew-resize" : "crosshair";
  };
  const onUp = (event: PointerEvent): void => {
    const one = chart.current;
    if (!one?.dragging) return;
    const wanted = one.end(event);
    setDragging(false);
    if (wanted) onChange({ range: bins.count ? snap(views.data, wanted) : null }, true);
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || !bins.count) return;
    // Keys count in bins, so that a range that is moved keeps its length.
    const toBins = (at: Range): Range => [binAt(views, at[0]), binAt(views, at[1] - 1) + 1];
    const counted: Ground = { start: 0, end: bins.count, step: keyStep(bins.count) };
    const at = moment === null ? null : binAt(views, moment);
    const done = keyOn(counted, state.range && toBins(state.range), at, event.key, event.shiftKey);
    if (!done) return;
    event.preventDefault();
    event.stopPropagation();
    setPointer(null);
    setMoment(done.moment === null ? null : timeOfBin(views, done.moment));
    const next = done.range;
    if (!next || next[0] >= next[1]) {
      if (state.range) onChange({ range: null });
      return;
    }
    const [first, stop] = [Math.floor(next[0]), Math.ceil(next[1])];
    onChange(
      { range: [Number(bins.start[first]), Number(bins.end[stop - 1])] },
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
        setMoment(null);
        setPointer(null);
      }}
      onDblClick={() => onChange({ range: null })}
      onKeyDown={onKey}
      style={{ height: `${HEIGHT}px` }}
    >
      {moment !== null && pointer && (
        <Tip x={pointer.x} y={pointer.y}>
          <At views={views} made={made} time={moment} />
        </Tip>
      )}
    </div>
  );
}

const keyStep = (count: number): number => Math.max(1, Math.round(count / 100));

function timeOfBin(views: Views, bin: number): number {
  const { start, end, count } = views.data.bins;
  const at = Math.min(Math.max(Math.floor(bin), 0), count - 1);
  return (Number(start[at]) + Number(end[at])) / 2;
}

function labelOf(made: Timeplot, state: State, moment: number | null, views: Views): string {
  const peak = made.plot.peak;
  const parts = [
    `Live heap from 0 to ${duration(made.plot.end / 1e9)}`,
    peak ? `peak ${size(peak.bytes)} at ${duration(peak.time / 1e9)}` : "",
    state.range
      ? `chosen ${duration(state.range[0] / 1e9)} to ${duration(state.range[1] / 1e9)}`
      : "",
    moment === null ? "" : `at ${duration(moment / 1e9)}`,
    views.data.bins.count ? "arrow keys move, with shift they choose a range, Escape clears it" : "",
  ];
  return parts.filter(Boolean).join("; ");
}
