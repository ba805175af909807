/** Finding frames by name. */
import type { Dataset } from "./dataset";
import { shownNodes, type Groups } from "./groups";
import type { NodeValues } from "./selection";

export interface Query {
  test(text: string): boolean;
  plain: string | null; // in small letters; null: a regular expression, or nothing
  error: string; // what is wrong with it; then it finds nothing
}

/** What is searched, by group: names and places, and both in small letters. */
interface Written {
  names: string[];
  places: string[];
  small: string[]; // name and place, told apart
}

const written = new WeakMap<Groups, Written>();

function writtenOf(groups: Groups): Written {
  let found = written.get(groups);
  if (!found) {
    const names: string[] = [];
    const places: string[] = [];
    const small: string[] = [];
    for (let group = 0; group < groups.count; group++) {
      names.push(groups.name(group));
      places.push(groups.place(group));
      small.push(`${names[group]}\0${places[group]}`.toLowerCase());
    }
    written.set(groups, (found = { names, places, small }));
  }
  return found;
}

/** Part of a name, in either case; or `/a regular expression/`. Nothing: finds nothing. */
export function compile(text: string): Query {
  if (text === "") return { test: () => false, plain: null, error: "" };
  const expression = /^\/(.+)\/$/s.exec(text);
  if (!expression) {
    const wanted = text.toLowerCase();
    return { test: (name) => name.toLowerCase().includes(wanted), plain: wanted, error: "" };
  }
  try {
    const compiled = new RegExp(expression[1]!, "iu");
    return { test: (name) => compiled.test(name), plain: null, error: "" };
  } catch {
    return { test: () => false, plain: null, error: "this is no regular expression" };
  }
}

export interface Found {
  matches: Uint8Array; // by group
  count: number; // of groups with any memory
  value: number; // of all memory with a match in its stack
  error: string;
}

/** The groups whose name or place is found, and what of `nodes` they have in their stacks. */
export function search(data: Dataset, groups: Groups, text: string, nodes: NodeValues): Found {
  const query = compile(text);
  const matches = new Uint8Array(groups.count);
  const found: Found = { matches, count: 0, value: 0, error: query.error };
  if (text === "" || query.error) return found;
  const { names, places, small } = writtenOf(groups);
  const wanted = query.plain;
  for (let group = 0; group < groups.count; group++) {
    const fits =
      wanted === null
        ? query.test(names[group]!) || query.test(places[group]!)
        : small[group]!.includes(wanted);
    if (fits) matches[group] = 1;
  }
  const { count, end, location } = data.nodes;
  const met = new Uint8Array(groups.count);
  const shown = shownNodes(data, groups);
  let until = 0; // nodes below this are inside of a match
  for (let node = 0; node < count; node++) {
    if (shown[node] !== node || nodes.inclusive[node] === 0) continue;
    const group = groups.ofLocation[location[node]!]!;
    if (!matches[group]) continue;
    if (!met[group]) {
      met[group] = 1;
      found.count++;
    }
    if (node < until) continue;
    until = end[node]!;
    found.value += nodes.inclusive[node]!;
  }
  return found;
}
