/** Threads and processes with their figures. */
import { useMemo } from "preact/hooks";
import { amount, duration, signed, size, type Row } from "../model";
import { Bar, sortOf, sortText } from "./grouptable";
import { Rows, type Column } from "./rows";
import type { Change, State } from "./state";
import { clean } from "./text";
import { alikeThreads } from "./threads";
import { shortWords, type Views } from "./views";

interface Owner {
  keys: number[]; // several: threads that are alike
  id: string; // of the one, or how many they are
  order: number; // by id
  name: string;
  start: number;
  end: number | null;
  beside: string;
  now: number;
  before: number;
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
    return sorted(found, sort.key, sort.ascending);
  }, [views, rows, by, sort.key, sort.ascending]);
  const pair = metric.pair !== null;
  const value = (owner: Owner): number => owner.now - owner.before;
  const total = list.reduce((sum, owner) => sum + Math.abs(value(owner)), 0);
  if (!list.length) return <p class="empty">Nothing is known of {by}s.</p>;
  const at = (row: number): Owner => list[row]!;
  const columns: Column[] = [
    {
      key: "site",
      title: shortWords(metric),
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
      key: "name",
      title: by === "thread" ? "thread" : "command",
      width: "minmax(140px, 3fr)",
      sortable: true,
      cell: (row) => (
        <>
          <span class="name" title={at(row).name}>
            {at(row).name}
          </span>
          <span class="place narrow-on">{at(row).id}</span>
        </>
      ),
    },
    {
      key: "id",
      title: by === "thread" ? "id" : "pid",
      width: "minmax(100px, 1fr)",
      sortable: true,
      narrow: true,
      cell: (row) => at(row).id,
    },
    {
      key: "start",
      title: "from – to",
      width: "minmax(130px, 1fr)",
      narrow: true,
      sortable: true,
      cell: (row) => lived(at(row)),
    },
  ];
  if (list.some((owner) => owner.beside)) {
    columns.push({
      key: "beside",
      title: by === "thread" ? "process" : "its peak",
      width: "minmax(100px, 1fr)",
      narrow: true,
      cell: (row) => at(row).beside,
    });
  }
  const only = (row: number): void => {
    const { keys } = at(row);
    onChange(by === "thread" ? { threads: keys, tab: "flame" } : { processes: keys, tab: "flame" });
  };
  return (
    <>
      <p class="hint">Choose a row to look at {by === "thread" ? "its threads" : "that process"} only.</p>
      <Rows
        label={`${by === "thread" ? "Threads" : "Processes"}, ${metric.words}`}
        count={list.length}
        columns={columns}
        sorted={sort}
        onSort={(key) => onChange({ sort: sortText(sort, key) })}
        onOpen={only}
        keyOf={(row) => at(row).keys[0]!}
      />
    </>
  );
}

function threads(views: Views, rows: Row[]): Owner[] {
  const { header } = views.data;
  const of = new Map(rows.map((row) => [row.key, row]));
  const several = header.processes.length > 1;
  const all = alikeThreads(header).map(({ name, ids, beside }): Owner => {
    const members = ids.map((id) => header.threads[id - 1]!);
    const { process, tid } = members[0]!;
    const pid = header.processes[process]?.pid;
    return {
      keys: ids,
      id: beside,
      order: tid,
      name,
      start: members.reduce((least, one) => Math.min(least, one.start_ns), Infinity),
      end: members.some((one) => one.end_ns === null)
        ? null
        : members.reduce((most, one) => Math.max(most, one.end_ns!), 0),
      beside: several && pid !== undefined ? `pid ${pid}` : "",
      ...summed(ids, of),
    };
  });
  if (of.has(0)) {
    const name = "not known which";
    all.push({
      keys: [0], id: "", order: 0, name, start: 0, end: null, beside: "", ...summed([0], of),
    });
  }
  return all;
}

function summed(keys: number[], of: Map<number, Row>): { now: number; before: number } {
  let [now, before] = [0, 0];
  for (const key of keys) {
    now += of.get(key)?.site ?? 0;
    before += of.get(key)?.baseSite ?? 0;
  }
  return { now, before };
}

function processes(views: Views, rows: Row[]): Owner[] {
  const of = new Map(rows.map((row) => [row.key, row]));
  return views.data.header.processes.map((process, i): Owner => ({
    keys: [i],
    id: process.pid ? String(process.pid) : "",
    order: process.pid,
    name: clean(process.command) || "process",
    start: process.start_ns,
    end: process.end_ns,
    beside: process.peak_bytes ? size(process.peak_bytes) : "",
    ...summed([i], of),
  }));
}

function sorted(list: Owner[], key: string, ascending: boolean): Owner[] {
  const way = ascending ? 1 : -1;
  const number = (owner: Owner): number => {
    if (key === "id") return owner.order;
    if (key === "start") return -owner.start;
    return owner.now - owner.before;
  };
  if (key === "name") return list.sort((a, b) => -way * a.name.localeCompare(b.name));
  return list.sort((a, b) => way * (number(a) - number(b)) || a.keys[0]! - b.keys[0]!);
}

const lived = ({ start, end }: Owner): string =>
  `${duration(start / 1e9)} – ${end === null ? "the end" : duration(end / 1e9)}`;
