/** Which places in code count as one frame, and which are not shown. */
import type { Dataset } from "./dataset";
import { Kind, Origin } from "./header";
import { calledBy } from "./modules";
import { mergedName } from "./templates";

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

/** The frames that nodes are shown as. */
export interface Frames {
  /** By node: itself or the nearest of its callers that begins a frame; -1: there is none. */
  node: Int32Array;
  /** By node: its group, where it begins a frame; -1: it does not. */
  group: Int32Array;
}

/** By location numbers below that of locations: of its line within its group, and of its function on that line. */
export interface Lines {
  line: Int32Array;
  named: Int32Array;
}

/** Which locations are one group, wherever it is placed. */
class Members {
  readonly ofLocation: Int32Array;
  readonly hidden: Uint8Array;
  readonly merges: Uint8Array;
  readonly merged: Uint8Array; // by group: frames of a library
  readonly first: Int32Array; // by group: its first location
  readonly names: (string | undefined)[] = [];
  private found: Frames | null = null;
  private told: Lines | null = null;

  constructor(
    private readonly data: Dataset,
    grouping: Grouping,
  ) {
    const { count, origin } = data.locations;
    this.ofLocation = new Int32Array(count);
    this.hidden = new Uint8Array(count);
    const functions = functionNumbers(data, grouping.templates === "hide");
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
      const key = keyOf(data, merge ? "module" : grouping.by, i, functions[i]!);
      let group = numbers.get(key);
      if (group === undefined) {
        group = numbers.size;
        numbers.set(key, group);
        locations.push(i);
        merged.push(merge ? 1 : 0);
      }
      this.ofLocation[i] = group;
    }
    this.first = Int32Array.from(locations);
    this.merged = Uint8Array.from(merged);
    this.merges = this.merged.map((one) => (one || grouping.recursion === "merge" ? 1 : 0));
  }

  get frames(): Frames {
    return (this.found ??= framesOf(this.data, this));
  }

  get lines(): Lines {
    return (this.told ??= linesOf(this.data, this.ofLocation));
  }
}

export class Groups {
  readonly count: number;
  readonly ofLocation: Int32Array;
  readonly hidden: Uint8Array; // by location: its frames are not shown, their callees are
  /** By group: calls of itself, one right below the other, are one frame. */
  readonly merges: Uint8Array;
  readonly location: Int32Array; // by group: the one of its locations that it is placed at

  constructor(
    private readonly data: Dataset,
    readonly grouping: Grouping,
    private readonly members = new Members(data, grouping),
    location = members.first,
  ) {
    this.count = location.length;
    this.ofLocation = members.ofLocation;
    this.hidden = members.hidden;
    this.merges = members.merges;
    this.location = location;
  }

  /** The same groups with other ones of their locations, `location` by group. */
  placed(location: Int32Array): Groups {
    return new Groups(this.data, this.grouping, this.members, location);
  }

  /** Computed at the first call. */
  get frames(): Frames {
    return this.members.frames;
  }

  /** Computed at the first call. */
  get lines(): Lines {
    return this.members.lines;
  }

  /** What the group is called: a function, `file:line`, a file or a module. */
  name(group: number): string {
    return (this.members.names[group] ??= this.nameOf(group));
  }

  private nameOf(group: number): string {
    const at = this.data.locations;
    const { texts } = this.data;
    const i = this.location[group]!;
    const file = texts[at.file[i]!]!;
    const module = texts[at.module[i]!]!;
    const name = this.function(i);
    if (this.members.merged[group] || this.grouping.by === "module") return module || name;
    if (this.grouping.by === "line" && isLine(this.data, i)) return this.where(i);
    if (this.grouping.by === "file") return file || module || name;
    return this.grouping.templates === "hide" ? mergedName(name, at.language[i]!) : name;
  }

  private function(location: number): string {
    const at = this.data.locations;
    const { texts, header } = this.data;
    const name = texts[at.function[location]!]!;
    if (at.kind[location] !== Kind.python) return name;
    const [file, module] = [texts[at.file[location]!]!, texts[at.module[location]!]!];
    return calledBy(name, file, module, header.modules ?? {});
  }

  /** Where the group is: `file:line`, a file, a module; for a line its function; or "". */
  place(group: number): string {
    const at = this.data.locations;
    const { texts } = this.data;
    const i = this.location[group]!;
    const file = texts[at.file[i]!]!;
    if (this.members.merged[group] || this.grouping.by === "module") return "";
    if (this.grouping.by === "line") return isLine(this.data, i) ? this.function(i) : "";
    if (this.grouping.by === "file") return file ? texts[at.module[i]!]! : "";
    return file ? this.where(i) : texts[at.module[i]!]!;
  }

  /** `file:line`; a line that the newer recording does not have, as the older one has it. */
  private where(i: number): string {
    const at = this.data.locations;
    const { texts } = this.data;
    const file = texts[at.file[i]!]!;
    if (at.line[i]) return `${file}:${at.line[i]}`;
    return at.oldLine[i] ? `${texts[at.oldFile[i]!]!}:${at.oldLine[i]} (before)` : file;
  }

  origin(group: number): number {
    return this.data.locations.origin[this.location[group]!]!;
  }

  language(group: number): number {
    return this.data.locations.language[this.location[group]!]!;
  }
}

/** For each location a number of its function's name; of all instances of a template the same. */
function functionNumbers(data: Dataset, templates: boolean): Int32Array {
  const { count, function: name, language } = data.locations;
  if (!templates) return name;
  const numbers = new Map<string, number>();
  const known = new Map<number, number>(); // by name and language
  const found = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const key = name[i]! * 256 + language[i]!;
    let number = known.get(key);
    if (number === undefined) {
      const text = mergedName(data.texts[name[i]!]!, language[i]!);
      number = numbers.get(text) ?? numbers.size;
      numbers.set(text, number);
      known.set(key, number);
    }
    found[i] = number;
  }
  return found;
}

/** Whether it is known which line of a file it is, in the newer recording or before. */
const isLine = ({ locations: at }: Dataset, i: number): boolean =>
  at.file[i] !== 0 && (at.line[i] !== 0 || at.oldLine[i] !== 0);

/** What locations of one group have in common. A merged library is the group of its module. */
function keyOf(data: Dataset, by: Grouping["by"], i: number, name: number): string {
  const at = data.locations;
  const file = at.file[i]!;
  const module = at.module[i]!;
  if (by === "line" && file && at.line[i]) return `l${file}:${at.line[i]}`;
  if (by === "line" && isLine(data, i)) return `b${at.oldFile[i]}:${at.oldLine[i]}`;
  if (by === "file" && file) return `f${file}`;
  if ((by === "file" || by === "module") && module) return `m${module}`;
  // A function without a file is told from its namesakes by the module that it is in.
  return `${name},${file},${file ? 0 : module}`;
}

function linesOf(data: Dataset, ofLocation: Int32Array): Lines {
  const { count, file, line, oldLine, function: name } = data.locations;
  const numbered = (key: (i: number) => string): Int32Array => {
    const numbers = new Map<string, number>();
    return Int32Array.from({ length: count }, (_, i) => {
      const text = key(i);
      const known = numbers.get(text) ?? numbers.size;
      numbers.set(text, known);
      return known;
    });
  };
  const lines = numbered((i) => `${ofLocation[i]!},${file[i]!},${line[i]!},${oldLine[i]!}`);
  return { line: lines, named: numbered((i) => `${lines[i]!},${name[i]!}`) };
}

function framesOf(data: Dataset, groups: Members): Frames {
  const { count, parent, location } = data.nodes;
  const { hidden, ofLocation, merges } = groups;
  const node = new Int32Array(count);
  const group = new Int32Array(count).fill(-1);
  for (let i = 0; i < count; i++) {
    const above = parent[i]! < 0 ? -1 : node[parent[i]!]!;
    const place = location[i]!;
    const own = ofLocation[place]!;
    if (hidden[place] || (merges[own] && above >= 0 && group[above] === own)) {
      node[i] = above;
    } else {
      node[i] = i;
      group[i] = own;
    }
  }
  return { node, group };
}

/** `groups.frames.node`. */
export function shownNodes(_data: Dataset, groups: Groups): Int32Array {
  return groups.frames.node;
}
