/** Finding frames by name. */
import type { Dataset } from "./dataset";
import type { Groups } from "./groups";
import type { NodeValues } from "./selection";

export interface Query {
  test(text: string): boolean;
  error: string; // what is wrong with it; then it finds nothing
}

/** Part of a name, in either case; or `/a regular expression/`. Nothing: finds nothing. */
export function compile(text: string): Query {
  if (text === "") return { test: () => false, error: "" };
  const expression = expressionIn(text);
  if (expression === null) {
    const wanted = text.toLowerCase();
    return { test: (name) => name.toLowerCase().includes(wanted), error: "" };
  }
  // Unicode's rules refuse what people write and means the same without them, as in /a\-b/.
  for (const flags of ["iu", "i"]) {
    try {
      const compiled = new RegExp(expression, flags);
      return { test: (name) => compiled.test(name), error: "" };
    } catch {
      // by the other rules, or not at all
    }
  }
  return { test: () => false, error: "this is no regular expression" };
}

const expressionIn = (text: string): string | null => /^\/(.+)\/$/s.exec(text)?.[1] ?? null;

const LOCALS = ".<locals>";

/** As names of Python are shown where room is short: what is shown can be searched for. */
export const withoutLocals = (name: string): string => name.replaceAll(LOCALS, "");

/** What a group is searched by: its name and place, as they are and as they are shown. */
function textsOf(groups: Groups, group: number): string[] {
  const texts = [groups.name(group), groups.place(group)];
  for (const text of texts.slice()) if (text.includes(LOCALS)) texts.push(withoutLocals(text));
  return texts;
}

export const fits = (query: Query, groups: Groups, group: number): boolean =>
  textsOf(groups, group).some(query.test);

export interface Found {
  matches: Uint8Array; // by group
  count: number; // of groups with any memory
  value: number; // of all memory with a match in its stack
  error: string;
}

/** The groups whose name or place is found, and what of `nodes` they have in their stacks. */
export function search(data: Dataset, groups: Groups, text: string, nodes: NodeValues): Found {
  const query = compile(text);
  const found: Found = {
    matches: new Uint8Array(groups.count), count: 0, value: 0, error: query.error,
  };
  if (text === "" || query.error) return found;
  if (expressionIn(text) === null) markParts(groups, text.toLowerCase(), found.matches);
  else markTested(groups, query, found.matches);
  sumUp(data, groups, nodes, found);
  return found;
}

function sumUp(data: Dataset, groups: Groups, { inclusive }: NodeValues, found: Found): void {
  const { count, end } = data.nodes;
  const { group } = groups.frames;
  const { matches } = found;
  const met = new Uint8Array(groups.count);
  let until = 0; // nodes below this are inside of a match
  for (let node = 0; node < count; node++) {
    const own = group[node]!;
    if (own < 0 || !matches[own] || inclusive[node] === 0) continue;
    if (!met[own]) {
      met[own] = 1;
      found.count++;
    }
    if (node < until) continue;
    until = end[node]!;
    found.value += inclusive[node]!;
  }
}

function markTested(groups: Groups, query: Query, matches: Uint8Array): void {
  for (let group = 0; group < groups.count; group++) {
    if (fits(query, groups, group)) matches[group] = 1;
  }
}

/** All that groups are called, as one text: to look through it takes a fifth of asking each. */
interface Index {
  text: string; // lower case, names and places parted by U+0000
  end: Int32Array; // of each group's part
}

const indexes = new WeakMap<Groups, Index>();

function indexOf(groups: Groups): Index {
  let index = indexes.get(groups);
  if (!index) {
    const parts: string[] = [];
    const end = new Int32Array(groups.count);
    let length = 0;
    for (let group = 0; group < groups.count; group++) {
      const part = `${textsOf(groups, group).join("\0")}\0`.toLowerCase();
      parts.push(part);
      end[group] = length += part.length;
    }
    indexes.set(groups, (index = { text: parts.join(""), end }));
  }
  return index;
}

function markParts(groups: Groups, wanted: string, matches: Uint8Array): void {
  if (wanted.includes("\0")) return;
  const { text, end } = indexOf(groups);
  let group = 0;
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, end[group])) {
    while (end[group]! <= at) group++;
    matches[group] = 1;
  }
}
