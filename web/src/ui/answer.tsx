/** Where most of the memory went, or what changed, in one sentence: the first thing that someone wants to know. */
import { amount, percent, signed, type Row } from "../model";
import { Link } from "./link";
import { fullName, shortName, shortPlace } from "./naming";
import { INITIAL, type State } from "./state";
import { tail } from "./text";
import type { Views } from "./views";

const NAMED = 3; // functions
const LONGEST = 80; // letters of a name

export interface Most {
  group: number;
  value: number;
}

export function Answer(props: {
  views: Views;
  onOpen: (location: number) => void;
  onSource: (file: number, line: number) => void;
}) {
  const { views } = props;
  const state: State = INITIAL;
  const metric = views.metric(state);
  const pair = metric.pair !== null;
  const value = (row: Row): number => row.site - (pair ? row.baseSite : 0);
  const groups = views.groups(state, "function");
  const rows = views.table(state, "function");
  const found = mostOf(rows, value, pair);
  const first = found.most[0];
  if (!first) return null;
  const line = hottest(views, state, groups.location[first.group]!, value);
  const text = (amountOf: number): string =>
    pair ? signed(amountOf, metric.unit) : amount(amountOf, metric.unit);
  const part = (one: Most): string => (pair ? text(one.value) : percent(one.value / found.all));
  const name = (group: number) => (
    <Link
      class="name"
      title={`${fullName(groups, group)}: callers and callees`}
      onClick={() => props.onOpen(groups.location[group]!)}
    >
      {tail(shortName(groups, group), LONGEST, (text) => text.length)}
    </Link>
  );
  const others = found.most.slice(1);
  return (
    <p class="answer">
      <span class="sign" aria-hidden="true">
        →
      </span>
      <span>
        {pair ? (
          <>
            {found.all ? <strong>{text(found.all)}</strong> : "no change"} {metric.words}:{" "}
          </>
        ) : (
          `most ${metric.words}: `
        )}
        <strong>{text(first.value)}</strong>
        {!pair && ` (${percent(first.value / found.all)})`} in <strong>{name(first.group)}</strong>
        {line && (
          <>
            {", mostly "}
            <Link
              class="place"
              title="source"
              onClick={() => props.onSource(line.file, line.number)}
            >
              {tail(line.words, LONGEST, (text) => text.length)}
            </Link>
          </>
        )}
        {others.length > 0 && "; then "}
        {others.map((one, i) => (
          <>
            {i > 0 && ", "}
            {part(one)} in {name(one.group)}
          </>
        ))}
        {found.other && (
          <>
            {found.other.value > 0 ? "; grown most: " : "; shrunk most: "}
            {text(found.other.value)} in {name(found.other.group)}
          </>
        )}
      </span>
    </p>
  );
}

/** What is largest; of a difference what changed most, and what most the other way. */
export function mostOf(
  rows: Row[],
  value: (row: Row) => number,
  pair: boolean,
): { all: number; most: Most[]; other: Most | null } {
  let all = 0;
  const list = rows.map((row): Most => {
    const one = { group: row.key, value: value(row) };
    all += one.value;
    return one;
  });
  const weight = (one: Most): number => (pair ? Math.abs(one.value) : one.value);
  list.sort((a, b) => weight(b) - weight(a));
  const most = list.slice(0, NAMED).filter((one) => weight(one) > 0);
  const way = Math.sign(most[0]?.value ?? 0);
  const oneWay = pair && most.every((one) => Math.sign(one.value) === way);
  const other = oneWay ? list.find((one) => one.value * way < 0) : undefined;
  return { all, most, other: other ?? null };
}

/** The line of the same function that most is charged to, or of a difference that changed most. */
function hottest(
  views: Views,
  state: State,
  place: number,
  value: (row: Row) => number,
): { file: number; number: number; words: string } | null {
  const { locations } = views.data;
  const groups = views.groups(state, "line");
  const rows = new Map(views.table(state, "line").map((row) => [row.key, row]));
  let best: { weight: number; at: number } | null = null;
  for (let at = 0; at < locations.count; at++) {
    const same =
      locations.function[at] === locations.function[place] &&
      locations.file[at] === locations.file[place];
    const row = same && locations.line[at] ? rows.get(groups.ofLocation[at]!) : undefined;
    const weight = row ? Math.abs(value(row)) : 0;
    if (row && (!best || weight > best.weight)) best = { weight, at };
  }
  if (!best) return null;
  const { at } = best;
  const file = locations.file[at]!;
  const number = locations.line[at]!;
  return { file, number, words: shortPlace(`${views.data.texts[file]!}:${number}`) };
}
