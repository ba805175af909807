/** Lines, functions, files or modules with their figures. */
import { useMemo } from "preact/hooks";
import {
  amount, compile, count, fits, percent, signed, signedPercent, type Grouping, type Groups, type Row,
} from "../model";
import { fullName, fullPlace, rowName, shortName, shortPlace } from "./naming";
import { Rows, type Column } from "./rows";
import type { State } from "./state";
import { clean } from "./text";
import type { Metric, Views } from "./views";

const PRINTED = 30;
const PYTHON = 1; // of languages

export type Figure = "site" | "self" | "inclusive";
const BASES = { site: "baseSite", self: "baseSelf", inclusive: "baseInclusive" } as const;
const FIGURES: Figure[] = ["site", "self", "inclusive"];
const TITLES: Record<Figure, [string, string]> = {
  site: [
    "charged to",
    "memory is charged to the innermost frame that is your own code; the rows add up to all of it",
  ],
  self: ["self", "asked for by this code itself, not by what it calls"],
  inclusive: ["inclusive", "with all that it calls; counted once however deep the recursion"],
};

export const figureOf = (row: Row, figure: Figure): number => row[figure];
const baseOf = (row: Row, figure: Figure): number => row[BASES[figure]];

export interface Sort {
  key: string;
  ascending: boolean;
}

/** "self": largest first; "-self": smallest first. */
export function sortOf(text: string, known: readonly string[]): Sort {
  const ascending = text.startsWith("-");
  const key = text.replace("-", "");
  return known.includes(key) ? { key, ascending } : { key: known[0]!, ascending: false };
}

export const sortText = (sort: Sort, key: string): string =>
  sort.key === key && !sort.ascending ? `-${key}` : key;

const isChanged = (row: Row): boolean =>
  FIGURES.some((figure) => row[figure] !== baseOf(row, figure));

/**
 * Rows that a search leaves, in order; of a comparison those that changed. `either`: what changed
 * most comes first, whether it grew or shrank.
 */
export function ordered(
  all: Row[],
  sort: Sort,
  groups: Groups,
  pair: boolean,
  text: string,
  either = false,
): Row[] {
  const query = compile(text);
  const rows = pair ? all.filter(isChanged) : all;
  const left =
    text && !query.error
      ? rows.filter((row) => fits(query, groups, row.key))
      : [...rows];
  const way = sort.ascending ? 1 : -1;
  if (sort.key === "name") {
    const names = new Map(left.map((row) => [row, shortName(groups, row.key)]));
    return left.sort((a, b) => -way * (names.get(a)! < names.get(b)! ? -1 : 1));
  }
  const figure = sort.key as Figure;
  const change = (row: Row): number => row[figure] - baseOf(row, figure);
  const value = (row: Row): number =>
    !pair ? row[figure] : either ? Math.abs(change(row)) : change(row);
  return left.sort((a, b) => way * (value(a) - value(b)) || b.inclusive - a.inclusive);
}

export function GroupTable(props: {
  views: Views;
  state: State;
  by: Grouping["by"];
  title: string;
  onSort: (sort: string) => void;
  onOpen: (row: Row, groups: Groups) => void;
}) {
  const { views, state, by } = props;
  const groups = views.placed(state, by);
  const metric = views.metric(state);
  const rows = views.table(state, by);
  const pair = metric.pair !== null;
  const either = views.data.header.diff !== null;
  const sort = sortOf(state.sort, [...FIGURES, "name"]);
  const list = useMemo(
    () => ordered(rows, sort, groups, pair, state.search, either),
    [rows, sort.key, sort.ascending, groups, pair, state.search],
  );
  if (!rows.length) return <p class="empty">Nothing: no memory is counted here.</p>;
  if (!list.length) {
    return (
      <p class="empty">
        {state.search ? `None of the ${props.title} fits the search.` : "Nothing changed."}
      </p>
    );
  }
  const same = pair && !state.search ? rows.length - list.length : 0;
  const columns = columnsOf(list, groups, metric, totalOf(rows, pair), by);
  return (
    <>
      <Rows
        label={`${props.title}, ${metric.words}`}
        count={list.length}
        columns={columns}
        sorted={sort}
        onSort={(key) => props.onSort(sortText(sort, key))}
        onOpen={(row) => props.onOpen(list[row]!, groups)}
        keyOf={(row) => list[row]!.key}
      />
      {same > 0 && <p class="hint">and {count(same)} that did not change</p>}
    </>
  );
}

function totalOf(rows: Row[], pair: boolean): number {
  let sum = 0;
  for (const row of rows) sum += pair ? Math.abs(row.site - row.baseSite) : row.site;
  return sum;
}

function columnsOf(
  list: Row[],
  groups: Groups,
  metric: Metric,
  total: number,
  by: Grouping["by"],
): Column[] {
  const placeOf = (row: Row): string => groups.place(row.key);
  const pair = metric.pair !== null;
  const text = (row: Row, figure: Figure): string =>
    pair
      ? signed(row[figure] - baseOf(row, figure), metric.unit)
      : amount(row[figure], metric.unit);
  const share = (row: Row): number =>
    total ? (pair ? row.site - row.baseSite : row.site) / total : 0;
  const isHidden = (row: Row): boolean => groups.hidden[groups.location[row.key]!] === 1;
  const named: Column = {
    key: "name",
    title: by,
    width: "minmax(160px, 3fr)",
    sortable: true,
    cell: (i) => (
      <>
        <span class="name" title={fullName(groups, list[i]!.key)}>
          {by === "function" && groups.language(list[i]!.key) !== PYTHON ? (
            rowName(groups, list[i]!.key) // it ends with its parameters
          ) : (
            <Ending text={rowName(groups, list[i]!.key)} />
          )}
        </span>
        {by !== "line" && (
          <span class="place narrow-on">
            <Ending text={shortPlace(placeOf(list[i]!))} />
          </span>
        )}
      </>
    ),
  };
  const place: Column = {
    key: "place",
    title: by === "line" ? "function" : "place",
    width: "minmax(120px, 3fr)",
    narrow: true,
    cell: (i) => (
      <span class="place" title={clean(placeOf(list[i]!))}>
        <Ending text={shortPlace(placeOf(list[i]!))} />
      </span>
    ),
  };
  const [site, self, inclusive] = FIGURES.map((figure): Column => ({
    key: figure,
    title: TITLES[figure][0],
    help: TITLES[figure][1],
    figure: true,
    width: "minmax(80px, 104px)",
    sortable: true,
    narrow: figure === "self",
    cell: (i) =>
      figure !== "site" && isHidden(list[i]!) ? (
        <span class="dim" title="its frames are hidden: what they have counts for their callers">
          –
        </span>
      ) : (
        text(list[i]!, figure)
      ),
  })) as [Column, Column, Column];
  const bar: Column = {
    key: "bar",
    title: pair ? "part of all change" : "share charged",
    help: pair ? "of what grew and what shrank, added up" : undefined,
    width: "minmax(120px, 170px)",
    narrow: true,
    cell: (i) => <Bar share={share(list[i]!)} signed={pair} />,
  };
  return [site, bar, self, inclusive, named, place];
}

/** Where it does not fit it is cut at its head: ends tell names and paths apart. */
export const Ending = ({ text }: { text: string }) => (
  <span class="ending">
    <bdi dir="ltr">{text}</bdi>
  </span>
);

/** A share as a bar and in figures. */
export function Bar(props: { share: number; signed?: boolean }) {
  const { share } = props;
  const way = !props.signed ? "" : share < 0 ? " less" : " more";
  const width = `${Math.min(100, Math.abs(share) * 100).toFixed(1)}%`;
  return (
    <span class="barred">
      <span class="track">
        {share !== 0 && <span class={`bar${way}`} style={{ width }} />}
      </span>
      <span class="percent">{props.signed ? signedPercent(share) : percent(share)}</span>
    </span>
  );
}

/** The first rows as plain text: on paper, and beside the canvas for screen readers. */
export function TopTable(props: { views: Views; state: State }) {
  const { views, state } = props;
  const groups = views.placed(state, "function");
  const metric = views.metric(state);
  const rows = views.table(state, "function");
  const pair = metric.pair !== null;
  const list = useMemo(
    () =>
      ordered(
        rows, { key: "site", ascending: false }, groups, pair, "", views.data.header.diff !== null,
      ).slice(0, PRINTED),
    [views, rows, groups, pair],
  );
  const text = (row: Row, figure: Figure): string =>
    pair ? signed(row[figure] - baseOf(row, figure), metric.unit) : amount(row[figure], metric.unit);
  return (
    <div class="only-read top-table">
      <table class="plain">
        <caption>
          The {list.length} functions that {pair ? "changed most" : "most is charged to"},{" "}
          {metric.words}
        </caption>
        <thead>
          <tr>
            <th scope="col">function</th>
            {FIGURES.map((figure) => (
              <th key={figure} scope="col" class="figure">
                {TITLES[figure][0]}
              </th>
            ))}
            <th scope="col">place</th>
          </tr>
        </thead>
        <tbody>
          {list.map((row) => (
            <tr key={row.key}>
              <th scope="row" class="name">
                {fullName(groups, row.key)}
              </th>
              {FIGURES.map((figure) => (
                <td key={figure} class="figure">
                  {figure !== "site" && groups.hidden[groups.location[row.key]!]
                    ? "–"
                    : text(row, figure)}
                </td>
              ))}
              <td class="place">{fullPlace(groups, row.key)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
