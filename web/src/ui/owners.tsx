/** Threads and processes with their figures. */
import { useMemo } from "preact/hooks";
import { amount, duration, signed, size, type Row } from "../model";
import { Bar, sortOf, sortText } from "./grouptable";
import { Rows, type Column } from "./rows";
import type { Change, State } from "./state";
import { clean } from "./text";
import type { Views } from "./views";

interface Owner {
  key: number;
  id: number; // tid or pid
  name: string;
  start: number;
  end: number | null;
  beside: string;
  row: Row | null;
}

export function Owners(props: {
  views: Views;
  state: State;
  by: "thread" | "process";
  onChange: (change: Change) => void;
}) {
  const { views, state, by, onChange } = props;
  const metric = views.metric(state);
  const rows = views.owners(state, by);
  const sort = sortOf(state.sort, ["site", "name", "id", "start"]);
  const list = useMemo(() => {
    const found = by === "thread" ? threads(views, rows) : processes(views, rows);
    return sorted(found, sort.key, sort.ascending, metric.pair !== null);
  }, [views, rows, by, sort.key, sort.ascending, metric.pair]);
  const pair = metric.pair !== null;
  const value = (owner: Owner): number =>
    owner.row ? owner.row.site - (pair ? owner.row.baseSite : 0) : 0;
  const total = list.reduce((sum, owner) => sum + Math.abs(value(owner)), 0);
  if (!list.length) return <p class="empty">Nothing is known of {by}s.</p>;
  const at = (row: number): Owner => list[row]!;
  const columns: Column[] = [
    {
      key: "name",
      title: by === "thread" ? "thread" : "command",
      width: "minmax(180px, 3fr)",
      sortable: true,
      cell: (row) => (
        <span class="name" title={at(row).name}>
          {at(row).name}
        </span>
      ),
    },
    {
      key: "id",
      title: by === "thread" ? "id" : "pid",
      figure: true,
      width: "90px",
      sortable: true,
      cell: (row) => (at(row).id ? String(at(row).id) : ""),
    },
    {
      key: "site",
      title: metric.words,
      help: metric.definition,
      figure: true,
      width: "minmax(100px, 190px)",
      sortable: true,
      cell: (row) =>
        pair ? signed(value(at(row)), metric.unit) : amount(value(at(row)), metric.unit),
    },
    {
      key: "bar",
      title: "share",
      width: "minmax(90px, 170px)",
      narrow: true,
      cell: (row) => <Bar share={total ? value(at(row)) / total : 0} signed={pair} />,
    },
    {
      key: "start",
      title: "from – to",
      width: "minmax(130px, 1fr)",
      narrow: true,
      sortable: true,
      cell: (row) => lived(at(row)),
    },
    {
      key: "beside",
      title: by === "thread" ? "process" : "its peak",
      width: "minmax(100px, 1fr)",
      narrow: true,
      cell: (row) => at(row).beside,
    },
  ];
  const only = (row: number): void => {
    const key = at(row).key;
    onChange(by === "thread" ? { threads: [key], tab: "flame" } : { processes: [key], tab: "flame" });
  };
  return (
    <>
      <p class="hint">Choose a row to look at that {by} only.</p>
      <Rows
        label={`${by === "thread" ? "Threads" : "Processes"}, ${metric.words}`}
        count={list.length}
        columns={columns}
        sorted={sort}
        onSort={(key) => onChange({ sort: sortText(sort, key) })}
        onOpen={only}
        keyOf={(row) => at(row).key}
      />
    </>
  );
}

function threads(views: Views, rows: Row[]): Owner[] {
  const { header } = views.data;
  const of = new Map(rows.map((row) => [row.key, row]));
  const all = header.threads.map((thread, i): Owner => ({
    key: i + 1,
    id: thread.tid,
    name: clean(thread.name) || "thread",
    start: thread.start_ns,
    end: thread.end_ns,
    beside: header.processes[thread.process] ? `pid ${header.processes[thread.process]!.pid}` : "",
    row: of.get(i + 1) ?? null,
  }));
  const unknown = of.get(0);
  if (unknown) {
    const name = "not known which";
    all.push({ key: 0, id: 0, name, start: 0, end: null, beside: "", row: unknown });
  }
  return all;
}

function processes(views: Views, rows: Row[]): Owner[] {
  const of = new Map(rows.map((row) => [row.key, row]));
  return views.data.header.processes.map((process, i): Owner => ({
    key: i,
    id: process.pid,
    name: clean(process.command) || "process",
    start: process.start_ns,
    end: process.end_ns,
    beside: process.peak_bytes ? size(process.peak_bytes) : "",
    row: of.get(i) ?? null,
  }));
}

function sorted(list: Owner[], key: string, ascending: boolean, pair: boolean): Owner[] {
  const way = ascending ? 1 : -1;
  const number = (owner: Owner): number => {
    if (key === "id") return owner.id;
    if (key === "start") return -owner.start;
    return owner.row ? owner.row.site - (pair ? owner.row.baseSite : 0) : 0;
  };
  if (key === "name") return list.sort((a, b) => -way * a.name.localeCompare(b.name));
  return list.sort((a, b) => way * (number(a) - number(b)) || a.key - b.key);
}

const lived = ({ start, end }: Owner): string =>
  `${duration(start / 1e9)} – ${end === null ? "the end" : duration(end / 1e9)}`;
