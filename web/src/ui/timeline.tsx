/** The live heap over time, as a chart (of a comparison two) or as a table, and what is chosen of it. */
import { useMemo, useState } from "preact/hooks";
import { Chart, type Looked } from "./chart";
import { themeOf } from "./paint";
import type { Change, State } from "./state";
import { At, TimeLegend } from "./timeparts";
import { isShown, timeplotsOf } from "./timeplot";
import { BriefTimes, TimeTable } from "./timetable";
import type { Views } from "./views";
import { RangeWords } from "./words";

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
  const [looked, setLooked] = useState<Looked | null>(null);
  const { header } = views.data;
  const { range, seen } = state;
  const isKnown = views.ruler("new").count > 0;
  const { threads, processes, templates, recursion } = state;
  const made = useMemo(
    () => timeplotsOf(views, state, themeOf(document.documentElement), withRss),
    [views, threads, processes, templates, recursion, withRss, props.theme, String(seen)],
  );
  const empty = made.every(
    ({ plot }) => plot.x.length < 2 && !plot.curves.some((curve) => curve.x.length),
  );
  const { keys, stack, note } = made[made.length - 1]!;
  const asTable = state.time === "table";
  return (
    <section class="time" aria-label="Live heap over time">
      <div class="heading">
        <h2>{header.diff ? "Live heap over time, before and after" : "Live heap over time"}</h2>
        {note && <span class="hint">{note}</span>}
        <span class="grow" />
        {!asTable && looked?.byKeys ? (
          <span class="hint" aria-live="polite">
            <At views={views} sides={made} time={looked.moment} short />
          </span>
        ) : (
          isKnown &&
          !asTable && (
            <span class="hint wide-on">drag, or use arrow keys with shift, to choose a range</span>
          )
        )}
        {seen && (
          <button type="button" class="quiet" onClick={() => onChange({ seen: null })}>
            whole time
          </button>
        )}
        {range && String(range) !== String(seen) && (
          <button type="button" class="quiet" onClick={() => onChange({ seen: range })}>
            zoom in
          </button>
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
        <TimeTable views={views} made={made} onRange={(range) => onChange({ range })} />
      ) : (
        <>
          {made.map((side) => (
            <Chart
              key={side.title}
              {...props}
              made={side}
              sides={made}
              looked={looked && isShown(side.plot, looked.moment) ? looked : null}
              onLook={setLooked}
            />
          ))}
          <BriefTimes views={views} stack={header.diff ? null : stack} plot={made[made.length - 1]!.plot} />
          <TimeLegend keys={keys} withRss={withRss} onRss={setRss} onSite={props.onSite} />
        </>
      )}
      {state.range && (
        <RangeWords views={views} state={state} onClear={() => onChange({ range: null })} />
      )}
    </section>
  );
}

