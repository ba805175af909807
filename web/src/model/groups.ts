/** Which places in code count as one frame, and which are not shown. */
import type { Dataset } from "./dataset";
import { Kind, Origin } from "./header";
import { plainName } from "./templates";

export interface Grouping {
  by: "function" | "line" | "file" | "module";
  interpreter: "show" | "hide"; // and allocators
  library: "show" | "merge" | "hide";
  recursion: "show" | "merge";
  templates: "show" | "hide"; // the arguments of
}

export const EVERYTHING: Grouping = {
  by: "function",
  interpreter: "show",
  library: "show",
  recursion: "show",
  templates: "show",
};

export class Groups {
  readonly count: number;
  readonly ofLocation: Int32Array;
  readonly hidden: Uint8Array; // by location: its frames are not shown, their callees are
  /** By group: calls of itself, one right below the other, are one frame. */
  readonly merges: Uint8Array;
  readonly location: Int32Array; // by group: one of its locations
  private readonly merged: Uint8Array; // by group: frames of a library
  private readonly names: (string | undefined)[] = [];

  constructor(
    private readonly data: Dataset,
    readonly grouping: Grouping,
  ) {
    const { count, origin } = data.locations;
    this.ofLocation = new Int32Array(count);
    this.hidden = new Uint8Array(count);
    const numbers = new Map<string, number>();
    const locations: number[] = [];
    const merged: number[] = [];
    for (let i = 0; i < count; i++) {
      const whose = origin[i]!;
      this.hidden[i] =
        (grouping.interpreter === "hide" &&
          (whose === Origin.interpreter || whose === Origin.allocator)) ||
        (grouping.library === "hide" && whose === Origin.library)
          ? 1
          : 0;
      const merge = grouping.library === "merge" && whose === Origin.library;
      const key = merge ? `m${this.moduleKey(i)}` : this.keyOf(i);
      let group = numbers.get(key);
      if (group === undefined) {
        group = numbers.size;
        numbers.set(key, group);
        locations.push(i);
        merged.push(merge ? 1 : 0);
      }
      this.ofLocation[i] = group;
    }
    this.count = locations.length;
    this.location = Int32Array.from(locations);
    this.merged = Uint8Array.from(merged);
    this.merges = this.merged.map((one) => (one || grouping.recursion === "merge" ? 1 : 0));
  }

  private moduleKey(i: number): string {
    const module = this.data.locations.module[i]!;
    return module ? String(module) : this.functionKey(i);
  }

  private functionKey(i: number): string {
    const at = this.data.locations;
    const { templates } = this.grouping;
    const text = this.data.texts[at.function[i]!]!;
    const name = templates === "hide" && at.kind[i] === Kind.native ? plainName(text) : text;
    // A function without a file is told from its namesakes by the module that it is in.
    return `${name}\0${at.file[i]}\0${at.file[i] ? 0 : at.module[i]}`;
  }

  private keyOf(i: number): string {
    const at = this.data.locations;
    switch (this.grouping.by) {
      case "line":
        return at.file[i] && at.line[i] ? `l${at.file[i]}:${at.line[i]}` : this.functionKey(i);
      case "file":
        if (at.file[i]) return `f${at.file[i]}`;
        return at.module[i] ? `m${at.module[i]}` : this.functionKey(i);
      case "module":
        return `m${this.moduleKey(i)}`;
      default:
        return this.functionKey(i);
    }
  }

  /** What the group is called: a function, `file:line`, a file or a module. */
  name(group: number): string {
    return (this.names[group] ??= this.nameOf(group));
  }

  private nameOf(group: number): string {
    const at = this.data.locations;
    const { texts } = this.data;
    const i = this.location[group]!;
    const file = texts[at.file[i]!]!;
    const module = texts[at.module[i]!]!;
    const name = texts[at.function[i]!]!;
    if (this.merged[group] || this.grouping.by === "module") return module || name;
    if (this.grouping.by === "line" && file && at.line[i]) return `${file}:${at.line[i]}`;
    if (this.grouping.by === "file") return file || module || name;
    const short = this.grouping.templates === "hide" && at.kind[i] === Kind.native;
    return short ? plainName(name) : name;
  }

  /** Where the group is: `file:line`, a file, a module; for a line its function; or "". */
  place(group: number): string {
    const at = this.data.locations;
    const { texts } = this.data;
    const i = this.location[group]!;
    const file = texts[at.file[i]!]!;
    if (this.merged[group] || this.grouping.by === "module") return "";
    if (this.grouping.by === "line") return file && at.line[i] ? texts[at.function[i]!]! : "";
    if (this.grouping.by === "file") return file ? texts[at.module[i]!]! : "";
    if (!file) return texts[at.module[i]!]!;
    return at.line[i] ? `${file}:${at.line[i]}` : file;
  }

  origin(group: number): number {
    return this.data.locations.origin[this.location[group]!]!;
  }

  language(group: number): number {
    return this.data.locations.language[this.location[group]!]!;
  }
}

/**
 * For each node itself or the nearest of its callers that is shown and begins a frame of its own;
 * -1: there is none.
 */
export function shownNodes(data: Dataset, groups: Groups): Int32Array {
  let found = shownOf.get(groups);
  if (!found) shownOf.set(groups, (found = findShown(data, groups)));
  return found;
}

const shownOf = new WeakMap<Groups, Int32Array>(); // groups are of one data set

function findShown(data: Dataset, groups: Groups): Int32Array {
  const { count, parent, location } = data.nodes;
  const shown = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const above = parent[i]! < 0 ? -1 : shown[parent[i]!]!;
    const place = location[i]!;
    if (groups.hidden[place]) {
      shown[i] = above;
      continue;
    }
    const group = groups.ofLocation[place]!;
    const joins = above >= 0 && groups.merges[group] && groups.ofLocation[location[above]!] === group;
    shown[i] = joins ? above : i;
  }
  return shown;
}
