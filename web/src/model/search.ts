/** Finding frames by name. */
import type { Dataset } from "./dataset";
import { shownNodes, type Groups } from "./groups";
import type { NodeValues } from "./selection";

export interface Query {
  test(text: string): boolean;
  error: string; // what is wrong with it; then it finds nothing
}

/** Part of a name, in either case; or `/a regular expression/`. Nothing: finds nothing. */
export function compile(text: string): Query {
  if (text === "") return { test: () => false, error: "" };
  const expression = /^\/(.+)\/$/s.exec(text);
  if (!expression) {
    const wanted = text.toLowerCase();
    return { test: (name) => name.toLowerCase().includes(wanted), error: "" };
  }
  try {
    const compiled = new RegExp(expression[1]!, "iu");
    return { test: (name) => compiled.test(name), error: "" };
  } catch {
    return { test: () => false, error: "this is no regular expression" };
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
  for (let group = 0; group < groups.count; group++) {
    if (query.test(groups.name(group)) || query.test(groups.place(group))) matches[group] = 1;
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
