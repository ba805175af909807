/** Where most of the memory went, in one sentence: the first thing that someone wants to know. */
import { amount, percent, signed, type Row } from "../model";
import { shortName, shortPlace } from "./naming";
import { INITIAL, type State } from "./state";
import type { Views } from "./views";

const NAMED = 3; // functions

interface Most {
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
  const all = rows.reduce((sum, row) => sum + value(row), 0);
  const most: Most[] = rows
    .map((row) => ({ group: row.key, value: value(row) }))
    .sort((a, b) => b.value - a.value)
    .slice(0, NAMED)
    .filter((one) => one.value > 0);
  if (!most.length) return null;
  const line = hottest(views, state, groups.location[most[0]!.group]!, value);
  const part = (one: Most): string =>
    pair ? signed(one.value, metric.unit) : `${percent(one.value / all)}`;
  const name = (group: number) => (
    <button
      type="button"
      class="link name"
      title="callers and callees"
      onClick={() => props.onOpen(groups.location[group]!)}
    >
      {shortName(groups, group)}
    </button>
  );
  return (
    <p class="answer">
      <span class="sign" aria-hidden="true">
        →
      </span>
      <span>
        {pair ? `grown most ${metric.words}: ` : `most ${metric.words}: `}
        <strong>
          {pair ? signed(most[0]!.value, metric.unit) : amount(most[0]!.value, metric.unit)}
        </strong>
        {!pair && ` (${percent(most[0]!.value / all)})`} in <strong>{name(most[0]!.group)}</strong>
        {line && (
          <>
            {", mostly "}
            <button
              type="button"
              class="link place"
              title="source"
              onClick={() => props.onSource(line.file, line.number)}
            >
              {line.words}
            </button>
          </>
        )}
        {most.length > 1 && "; then "}
        {most.slice(1).map((one, i) => (
          <>
            {i > 0 && ", "}
            {part(one)} in {name(one.group)}
          </>
        ))}
      </span>
    </p>
  );
}

/** The line of the same function that most is charged to. */
function hottest(
  views: Views,
  state: State,
  place: number,
  value: (row: Row) => number,
): { file: number; number: number; words: string } | null {
  const { locations } = views.data;
  const groups = views.groups(state, "line");
  const rows = new Map(views.table(state, "line").map((row) => [row.key, row]));
  let best: { value: number; at: number } | null = null;
  for (let at = 0; at < locations.count; at++) {
    const same =
      locations.function[at] === locations.function[place] &&
      locations.file[at] === locations.file[place];
    const row = same && locations.line[at] ? rows.get(groups.ofLocation[at]!) : undefined;
    if (row && (!best || value(row) > best.value)) best = { value: value(row), at };
  }
  if (!best) return null;
  const { at } = best;
  const file = locations.file[at]!;
  const number = locations.line[at]!;
  return { file, number, words: shortPlace(`${views.data.texts[file]!}:${number}`) };
}
