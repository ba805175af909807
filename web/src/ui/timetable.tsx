/** The timeline as a table: a row for each span of time that is kept. */
import { useMemo } from "preact/hooks";
import { duration, durations, largest, rowTops, size, touched, type Spans, type Stack } from "../model";
import type { Plot } from "./plot";
import { highestIn, isShown, rowAt, valueAt, type Timeplot } from "./timeplot";
import { Rows, type Column } from "./rows";
import type { Views } from "./views";

const seconds = (ns: number): string => duration(ns / 1e9);

interface Props {
  views: Views;
  made: Timeplot[]; // one, or both that are compared
  onRange: (range: [number, number]) => void;
}

export function TimeTable(props: Props) {
  const { views, made } = props;
  const stack = made[made.length - 1]!.stack;
  if (made.length > 1) return <BothBins {...props} />;
  return views.data.bins.count && stack ? (
    <Bins {...props} stack={stack} />
  ) : (
    <Moments views={views} />
  );
}

const LABEL = "Live heap over time; choose a row to look at its range only";
const figure = (key: string, title: string, cell: (row: number) => string): Column => ({
  key, title, cell, figure: true, width: "minmax(90px, 1fr)",
});
const times = (spans: Spans): Column => ({
  key: "time",
  title: "time",
  width: "minmax(190px, 1.4fr)",
  cell: (row) => durations(Number(spans.start[row]) / 1e9, Number(spans.end[row]) / 1e9).join(" – "),
});

function BothBins({ views, made, onRange }: Props) {
  const { plot } = made[made.length - 1]!;
  const all = views.ruler("new");
  const [first, stop] = touched(all, [plot.start, plot.end]);
  const spans: Spans = {
    start: all.start.subarray(first, stop), end: all.end.subarray(first, stop), count: stop - first,
  };
  const at = (side: number, of: (stack: Stack, span: [number, number]) => number | null) =>
    (row: number): string => {
      const { stack } = made[side]!;
      const value = stack && of(stack, [Number(spans.start[row]), Number(spans.end[row])]);
      return value === null ? "–" : size(value);
    };
  const live = (side: number) => at(side, (stack, [, end]) => valueAt(stack, stack.total, end));
  const highest = (side: number) => at(side, highestIn);
  return (
    <Rows
      label={LABEL}
      count={spans.count}
      onOpen={(row) => onRange([Number(spans.start[row]), Number(spans.end[row])])}
      columns={[
        times(spans),
        figure("live", "live at its end, after", live(1)),
        figure("before", "before", live(0)),
        figure("highest", "highest in it, after", highest(1)),
        figure("highest before", "before", highest(0)),
      ]}
    />
  );
}

function Bins(props: Props & { stack: Stack }) {
  const { data } = props.views;
  const { bins, timeline } = data;
  const sums = useMemo(() => {
    const per = (name: string): Float64Array => {
      const column = data.column(name);
      const all = new Float64Array(bins.count);
      for (let bin = 0; bin < bins.count; bin++) {
        for (let i = bins.first[bin]!; i < bins.first[bin + 1]!; i++) all[bin]! += column[i] ?? 0;
      }
      return all;
    };
    return { came: per("change.bytes_in"), went: per("change.bytes_out") };
  }, [data]);
  const rss = (bin: number): string => {
    const row = rowAt(timeline.time, Number(bins.end[bin]));
    return row >= 0 && timeline.rss[row] ? size(timeline.rss[row]!) : "";
  };
  const { plot } = props.made[0]!;
  const [first, stop] = touched(bins, [plot.start, plot.end]);
  const from = (of: (bin: number) => string) => (row: number) => of(first + row);
  const { stack, onRange } = props;
  return (
    <Rows
      label={LABEL}
      count={stop - first}
      onOpen={(row) => onRange([Number(bins.start[first + row]), Number(bins.end[first + row])])}
      columns={[
        { ...times(bins), cell: from(times(bins).cell as (bin: number) => string) },
        figure("live", "live at its end", from((bin) => size(stack.total[bin]!))),
        figure("highest", "highest in it", from((bin) => size(stack.highest[bin]!))),
        figure("came", "allocated", from((bin) => size(sums.came[bin]!))),
        figure("went", "freed", from((bin) => size(sums.went[bin]!))),
        figure("rss", "RSS", from(rss)),
      ]}
    />
  );
}

const BRIEF = 40; // rows

/** The timeline in few rows, for who cannot see it. */
export function BriefTimes({ views, stack, plot }: { views: Views; stack: Stack | null; plot: Plot }) {
  const { timeline, bins, header, sides } = views.data;
  const older = sides.base.timeline;
  const before = (time: number): string => {
    const row = rowAt(older.time, time);
    return row >= 0 ? size(older.live[row]!) : "";
  };
  const ends = stack ? bins.end : timeline.time;
  const shown = Array.from(ends.keys()).filter((row) => isShown(plot, Number(ends[row])));
  const rows = Math.min(shown.length, BRIEF);
  const at = Array.from({ length: rows }, (_, i) => shown[Math.floor(((i + 1) * shown.length) / rows) - 1]!);
  const tops = stack ? stack.highest : rowTops(timeline);
  return (
    <div class="only-read">
      <table>
        <caption>Live heap over time</caption>
        <thead>
          <tr>
            <th scope="col">time</th>
            <th scope="col">{header.diff ? "live heap, after" : "live heap"}</th>
            <th scope="col">highest since the row above</th>
            <th scope="col">{header.diff ? "before" : "RSS"}</th>
          </tr>
        </thead>
        <tbody>
          {at.map((i, k) => {
            const row = rowAt(timeline.time, Number(ends[i]));
            const live = stack ? stack.total[i]! : timeline.live[i]!;
            return (
              <tr key={i}>
                <th scope="row">{seconds(Number(ends[i]))}</th>
                <td>{size(live)}</td>
                <td>{size(largest(tops, k ? at[k - 1]! + 1 : shown[0], i + 1))}</td>
                <td>
                  {header.diff
                    ? before(Number(ends[i]))
                    : row >= 0 && timeline.rss[row]
                      ? size(timeline.rss[row]!)
                      : "not read"}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Moments({ views }: { views: Views }) {
  const { timeline, header, sides } = views.data;
  const older = sides.base.timeline;
  const before = (row: number): string => {
    const at = rowAt(older.time, timeline.time[row]!);
    return at < 0 ? "" : size(older.live[at]!);
  };
  const time = (row: number): string =>
    durations((row ? timeline.time[row - 1]! : 0) / 1e9, timeline.time[row]! / 1e9)[1];
  const tops = rowTops(timeline);
  const columns: Column[] = [
    { key: "time", title: "time", width: "1fr", cell: time },
    {
      key: "live",
      title: header.diff ? "live heap, after" : "live heap",
      figure: true,
      width: "1fr",
      cell: (row) => size(timeline.live[row]!),
    },
    {
      key: "highest",
      title: "highest since the row above",
      figure: true,
      width: "1fr",
      cell: (row) => size(tops[row]!),
    },
  ];
  if (header.diff) {
    columns.push({ key: "before", title: "before", figure: true, width: "1fr", cell: before });
  }
  return <Rows label="Live heap over time" count={timeline.time.length} columns={columns} />;
}
