/** The page's data, decoded: a header, and columns of numbers. */
import { checkHeader, checkParts } from "./check";
import { unpack, type Column } from "./columns";
import { exitsOf, firstRows, writtenExits, type Exits } from "./exits";
import type { Header } from "./header";
import type { Spans } from "./ruler";
import { peakOf, topsOf } from "./tops";

const VERSION = 2;

type Sum = [string, string?];

/** Figures of the whole time as sums of changes: what is added up, and what is taken away. */
const SUMS = new Map<string, Sum>([
  ["total_bytes", ["bytes_in"]],
  ["allocations", ["blocks_in", "reallocations"]],
  ["reallocations", ["reallocations"]],
  ["copied_bytes", ["copied_bytes"]],
  ["temporary_allocations", ["temporary"]],
  ["short_lived_allocations", ["short_lived"]],
  ["alive_at_exit_bytes", ["bytes_in", "bytes_out"]],
  ["alive_at_exit_allocations", ["blocks_in", "blocks_out"]],
]);

/** Stack nodes in depth-first order, a parent before its children. */
export interface Nodes {
  count: number;
  depth: Int32Array;
  location: Int32Array;
  parent: Int32Array; // -1: outermost
  end: Int32Array; // one past the last descendant
}

/** What is kept for each stack of each thread and kind of memory, in order of node. */
export interface Samples {
  count: number;
  node: Int32Array;
  site: Int32Array; // the location that the memory is charged to: one's own code, where there is any
  thread: Int32Array; // row of header.threads + 1; 0: not known
  process: Int32Array; // row of header.processes
}

/** The changes in bin i are rows first[i] to first[i + 1] of `change.*`. */
export interface Bins extends Spans {
  first: Int32Array;
}

export interface Timeline {
  time: Column; // ns
  live: Column;
  peak: Column; // the highest live heap since the row before
  rss: Column; // 0: not read
  pss: Column;
}

/** Which recording: of a comparison the newer or the older one; one alone is the newer. */
export type Which = "new" | "base";

/** What one recording did over time. */
export interface Side {
  bins: Bins;
  timeline: Timeline;
  /** Computed at the first use. */
  readonly exits: Exits;
  /** The highest live heap in each bin, bytes; 0: not known. Computed at the first use. */
  readonly tops: Float64Array;
  /** Of its changes and births. */
  column(name: string): Column;
}

/** Places in code; texts by number. */
export interface Locations {
  count: number;
  function: Int32Array;
  file: Int32Array;
  module: Int32Array;
  line: Int32Array; // 0: unknown, as the three below
  oldFile: Int32Array; // of a line that only the older recording has, if the newer one has no number for it
  oldLine: Int32Array; // there; else 0
  column: Int32Array; // from 1, in bytes of UTF-8
  endLine: Int32Array;
  endColumn: Int32Array; // one past the last
  language: Int32Array;
  origin: Int32Array;
  kind: Int32Array;
}

export class Dataset {
  readonly nodes: Nodes;
  readonly samples: Samples;
  readonly locations: Locations;
  readonly sides: Record<Which, Side>;
  readonly texts: string[];
  private readonly unpacked = new Map<string, Column>();
  private readonly infos = new Map<string, Header["columns"][number]>();

  /** `data`: the columns, from behind the header. Throws in words if they are damaged. */
  constructor(
    readonly header: Header,
    private readonly data: Uint8Array,
  ) {
    checkHeader(header, data, VERSION);
    for (const info of header.columns) this.infos.set(info.name, info);
    this.texts = this.readTexts();
    const depth = this.ints("node.depth");
    this.nodes = { count: depth.length, depth, location: this.ints("node.location"), ...links(depth) };
    const node = this.ints("sample.node");
    this.samples = {
      count: node.length,
      node,
      site: this.ints("sample.site"),
      thread: this.ints("sample.thread"),
      process: this.ints("sample.process"),
    };
    const number = firstOfEqual(this.texts);
    const texts = (name: string): Int32Array =>
      this.ints(name).map((text) => number[text] ?? text);
    const { length: count } = this.column("location.function");
    this.locations = {
      count,
      function: texts("location.function"),
      file: texts("location.file"),
      module: texts("location.module"),
      line: this.ints("location.line"),
      oldFile: this.has("location.old_line") ? texts("location.old_file") : new Int32Array(count),
      oldLine: this.has("location.old_line") ? this.ints("location.old_line") : new Int32Array(count),
      column: this.ints("location.column"),
      endLine: this.ints("location.end_line"),
      endColumn: this.ints("location.end_column"),
      language: this.ints("location.language"),
      origin: this.ints("location.origin"),
      kind: this.ints("location.kind"),
    };
    checkParts(this);
    this.sides = { new: this.readSide(""), base: this.readSide("base.") };
  }

  /** Of the newer recording. */
  get bins(): Bins {
    return this.sides.new.bins;
  }

  get timeline(): Timeline {
    return this.sides.new.timeline;
  }

  has(name: string): boolean {
    return this.infos.has(name) || this.sumOf(name) !== null;
  }

  /** How many rows a column has, without unpacking it. */
  rows(name: string): number {
    return this.infos.get(name)?.rows ?? 0;
  }

  /**
   * The numbers of a column, unpacked at their first use; empty if there is none of the name. Figures
   * of samples that are no more than sums of their changes need not be in the file.
   */
  column(name: string): Column {
    let found = this.unpacked.get(name);
    if (!found) {
      const info = this.infos.get(name);
      const sum = info ? null : this.sumOf(name);
      if (info) found = unpack(this.data, info);
      else found = sum ? this.summed(sum) : new Int32Array(0);
      this.unpacked.set(name, found);
    }
    return found;
  }

  /** What the figure of samples of that name is the sum of; null: it is none of changes. */
  private sumOf(name: string): { of: Sum; prefix: string } | null {
    const [owner, figure] = name.split(".") as [string, string?];
    const of = SUMS.get(figure ?? "");
    const prefix = owner === "sample" ? "" : owner === "base" ? "base." : null;
    if (!of || prefix === null || !this.infos.has(`${prefix}change.sample`)) return null;
    return { of, prefix };
  }

  private summed({ of: [plus, minus], prefix }: { of: Sum; prefix: string }): Float64Array {
    const sums = new Float64Array(this.column("sample.node").length);
    const sample = this.column(`${prefix}change.sample`);
    const add = (of: string, sign: number): void => {
      const column = this.column(`${prefix}change.${of}`);
      for (let i = 0; i < column.length; i++) sums[sample[i]!]! += sign * column[i]!;
    };
    add(plus, 1);
    if (minus) add(minus, -1);
    return sums;
  }

  private ints(name: string): Int32Array {
    const found = this.column(name);
    return found instanceof Int32Array ? found : Int32Array.from(found);
  }

  private readTexts(): string[] {
    const info = this.infos.get("texts");
    if (!info) return [""];
    const bytes = this.data.subarray(info.offset, info.offset + info.rows);
    return new TextDecoder().decode(bytes).split("\0");
  }

  private readSide(prefix: string): Side {
    const column = (name: string): Column => this.column(prefix + name);
    const bins = this.readBins(prefix);
    const { samples, header } = this;
    const timeline = this.readTimeline(prefix);
    let exits: Exits | null = null;
    let tops: Float64Array | null = null;
    const read = (): Exits =>
      this.infos.has(`${prefix}exit.rows`)
        ? writtenExits(column, bins.count)
        : exitsOf(column, bins, samples, header.processes);
    return {
      bins,
      timeline,
      column,
      get exits(): Exits {
        return (exits ??= read());
      },
      get tops(): Float64Array {
        const peak = peakOf(prefix ? header.diff : header);
        return (tops ??= topsOf(bins, timeline, peak));
      },
    };
  }

  private readBins(prefix: string): Bins {
    const changes = this.ints(`${prefix}bin.changes`);
    const first = firstRows(changes);
    const start = this.column(`${prefix}bin.start`);
    const end = this.column(`${prefix}bin.end`);
    const count = changes.length;
    const whole = first[count] === this.rows(`${prefix}change.sample`);
    if (!whole || start.length !== count || end.length !== count) {
      throw new Error("its changes over time are damaged");
    }
    return { count, start, end, first };
  }

  private readTimeline(prefix: string): Timeline {
    const column = (name: string): Column => this.column(`${prefix}time.${name}`);
    return {
      time: column("time"),
      live: column("live"),
      peak: column("peak"),
      rss: column("rss"),
      pss: column("pss"),
    };
  }
}

/** For each text the number of the first that is equal: equal names have to be one. */
function firstOfEqual(texts: string[]): Int32Array {
  const known = new Map<string, number>();
  return Int32Array.from(texts, (text, i) => {
    const first = known.get(text) ?? i;
    if (first === i) known.set(text, i);
    return first;
  });
}

/** Parents and ends from depths in depth-first order. */
export function links(depth: Int32Array): { parent: Int32Array; end: Int32Array } {
  const count = depth.length;
  const parent = new Int32Array(count);
  const end = new Int32Array(count).fill(count);
  const open: number[] = []; // the way from the outermost node to the one before
  for (let i = 0; i < count; i++) {
    while (open.length > depth[i]!) end[open.pop()!] = i;
    parent[i] = open.length ? open[open.length - 1]! : -1;
    open.push(i);
  }
  return { parent, end };
}

/** The bytes of base64 text. Throws in words if it is none. */
export function fromBase64(text: string): Uint8Array {
  const native = (Uint8Array as { fromBase64?: (text: string) => Uint8Array }).fromBase64;
  let binary: string;
  try {
    if (native) return native.call(Uint8Array, text);
    binary = atob(text.trim());
  } catch {
    throw new Error("it is no base64 text");
  }
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** The page's data from its compressed form. Rejects with what is wrong with it. */
export async function decode(compressed: Uint8Array): Promise<Dataset> {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("this browser is too old to unpack it (no DecompressionStream)");
  }
  const stream = new Blob([compressed as BlobPart])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"));
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new Error("it cannot be unpacked");
  }
  if (bytes.length < 4) throw new Error("it is cut off");
  const size = new DataView(bytes.buffer).getUint32(0, true);
  if (4 + size > bytes.length) throw new Error("its header is cut off");
  return new Dataset(parsed(bytes.subarray(4, 4 + size)), bytes.subarray(4 + size));
}

function parsed(text: Uint8Array): Header {
  try {
    return JSON.parse(new TextDecoder().decode(text)) as Header;
  } catch {
    throw new Error("its header is damaged");
  }
}
