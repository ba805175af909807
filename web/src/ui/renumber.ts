/** The same view of newer data, where groups, files and threads may have other numbers. */
import type { Groups } from "../model";
import type { State } from "./state";
import type { Views } from "./views";

export function renumbered(state: State, from: Views, to: Views): State {
  const [before, after] = [from.groups(state), to.groups(state)];
  const numbers = new Map<string, number>();
  for (let group = 0; group < after.count; group++) numbers.set(nameOf(after, group), group);
  const now = (group: number): number | undefined =>
    group < before.count ? numbers.get(nameOf(before, group)) : undefined;
  const zoom: number[] = [];
  for (const group of state.zoom) {
    const found = now(group);
    if (found === undefined) break;
    zoom.push(found);
  }
  const sandwich = state.sandwich === null ? null : (now(state.sandwich) ?? null);
  const folded = state.folded.map(now).filter((group) => group !== undefined);
  let source = state.source;
  if (source) {
    const file = to.data.texts.indexOf(from.data.texts[source[0]] ?? "");
    source = file > 0 ? [file, source[1]] : null;
  }
  return { ...state, zoom, sandwich, folded, source };
}

const nameOf = (groups: Groups, group: number): string =>
  `${groups.name(group)}\0${groups.place(group)}`;
