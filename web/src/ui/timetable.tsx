/** The timeline as a table: a row for each span of time that is kept. */
import { useMemo } from "preact/hooks";
import { duration, durations, largest, rowTops, size, type Spans, type Stack } from "../model";
import { highestIn, rowAt, valueAt, type Timeplot } from "./timeplot";
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
  const spans = views.ruler("new");
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
  return (
    <Rows
      label={LABEL}
      count={bins.count}
      onOpen={(bin) => props.onRange([Number(bins.start[bin]), Number(bins.end[bin])])}
      columns={[
        times(bins),
        figure("live", "live at its end", (bin) => size(props.stack.total[bin]!)),
        figure("highest", "highest in it", (bin) => size(props.stack.highest[bin]!)),
        figure("came", "allocated", (bin) => size(sums.came[bin]!)),
        figure("went", "freed", (bin) => size(sums.went[bin]!)),
        figure("rss", "RSS", rss),
      ]}
    />
  );
}

const BRIEF = 40; // rows

/** The timeline in few rows, for who cannot see it. */
export function BriefTimes({ views, stack }: { views: Views; stack: Stack | null }) {
  const { timeline, bins, header, sides } = views.data;
  const older = sides.base.timeline;
  const before = (time: number): string => {
    const row = rowAt(older.time, time);
    return row >= 0 ? size(older.live[row]!) : "";
  };
  const ends = stack ? bins.end : timeline.time;
  const rows = Math.min(ends.length, BRIEF);
  const at = Array.from({ length: rows }, (_, i) => Math.floor(((i + 1) * ends.length) / rows) - 1);
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
                <td>{size(largest(tops, k ? at[k - 1]! + 1 : 0, i + 1))}</td>
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
