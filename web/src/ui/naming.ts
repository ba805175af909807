/** How a group of frames is called where room is short, and where it is. */
import { withoutLocals, type FlameNode, type Groups } from "../model";
import { clean, fileName, shortPath } from "./text";

const NAMELESS = /(?:^|[.:])<[^<>]*>$/; // <string>, f.<locals>.<lambda>: many bear such a name

/** A short name that tells `group` apart. Cleaned. */
export function shortName(groups: Groups, group: number): string {
  const name = withoutLocals(groups.name(group));
  const place = groups.place(group);
  if (name.startsWith("/")) {
    const short = clean(shortPath(name));
    return groups.grouping.by === "line" && place ? `${clean(place)} ${short}` : short;
  }
  if (place && NAMELESS.test(name)) return `${clean(name)} ${clean(fileName(place))}`;
  return clean(name);
}

/** A place as it is told from others: without what all of its kind are under. Cleaned. */
export const shortPlace = (place: string): string => clean(shortPath(withoutLocals(place)));

/** What a row of a table is called, which has the place in a column of its own. */
export function rowName(groups: Groups, group: number): string {
  const name = withoutLocals(groups.name(group));
  return clean(name.startsWith("/") ? shortPath(name) : name);
}

export const fullName = (groups: Groups, group: number): string => clean(groups.name(group));
export const fullPlace = (groups: Groups, group: number): string => clean(groups.place(group));

/** The groups on the way to `node`, from below the root. */
export function pathTo(node: FlameNode): number[] {
  const path: number[] = [];
  for (let at: FlameNode | null = node; at?.parent; at = at.parent) path.push(at.group);
  return path.reverse();
}

/** The node that `path` leads to; as far as it goes. */
export function follow(root: FlameNode, path: number[]): FlameNode {
  let at = root;
  for (const group of path) {
    const next = at.children().find((child) => child.group === group);
    if (!next) return at;
    at = next;
  }
  return at;
}
