/** Data sets for tests: written out, at random, and packed as the Python side packs them. */
import { deflateSync } from "node:zlib";
import { Dataset, type Header } from "../src/model";

export interface Place {
  function: string;
  file?: string;
  line?: number;
  oldFile?: string;
  oldLine?: number;
  module?: string;
  origin?: number;
  kind?: number;
  language?: number;
}

export interface Sample {
  stack: number[]; // places, outermost first
  site?: number; // place; the innermost by default
  thread?: number;
  process?: number;
  figures?: Record<string, number>;
  base?: Record<string, number>;
}

export interface Change {
  bin: number;
  sample: number;
  bytes_in?: number;
  bytes_out?: number;
  blocks_in?: number;
  blocks_out?: number;
  reallocations?: number;
  copied_bytes?: number;
}

/** What a recording did over time. */
export interface Course {
  bins?: [number, number][];
  changes?: Change[];
  births?: { time: number[]; rows: [sample: number, born: number, died: number, bytes: number, blocks?: number][] };
  exits?: [bin: number, sample: number, bytes: number, blocks?: number][]; // else from the ends of processes
}

export interface Description extends Course {
  places: Place[];
  samples: Sample[];
  older?: Course; // of the other recording, in a comparison
  columns?: Record<string, number[]>;
  without?: string[]; // columns
  header?: Partial<Header>;
}

const METRICS = ["peak_bytes", "total_bytes"];
const CHANGES = [
  "bytes_in", "bytes_out", "blocks_in", "blocks_out", "reallocations", "copied_bytes", "temporary",
  "short_lived",
];

export function make(description: Description): Dataset {
  const { header, columns, texts } = describe(description);
  const packed = pack(header, columns, texts);
  const size = new DataView(packed.buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(packed.subarray(4, 4 + size))) as Header;
  return new Dataset(head, packed.subarray(4 + size));
}

export function compressed(description: Description): Uint8Array {
  const { header, columns, texts } = describe(description);
  return new Uint8Array(deflateSync(pack(header, columns, texts)));
}

interface Described {
  header: Partial<Header>;
  columns: Record<string, number[]>;
  texts: string[];
}

function describe(given: Description): Described {
  const texts = [""];
  const text = (of: string): number => {
    const known = texts.indexOf(of);
    return known >= 0 ? known : texts.push(of) - 1;
  };
  const places = given.places;
  const { depth, location, node } = tree(given.samples.map((one) => one.stack));
  const order = given.samples.map((_, i) => i).sort((a, b) => node[a]! - node[b]! || a - b);
  const rank = new Map(order.map((sample, at) => [sample, at]));
  const samples = order.map((i) => given.samples[i]!);
  const columns: Record<string, number[]> = {
    "location.function": places.map((one) => text(one.function)),
    "location.file": places.map((one) => text(one.file ?? "")),
    "location.module": places.map((one) => text(one.module ?? "")),
    "location.line": places.map((one) => one.line ?? 0),
    "location.old_file": places.map((one) => text(one.oldFile ?? "")),
    "location.old_line": places.map((one) => one.oldLine ?? 0),
    "location.origin": places.map((one) => one.origin ?? 0),
    "location.kind": places.map((one) => one.kind ?? 0),
    "location.language": places.map((one) => one.language ?? 0),
    "node.depth": depth,
    "node.location": location,
    "sample.node": order.map((i) => node[i]!),
    "sample.site": samples.map((one) => one.site ?? one.stack[one.stack.length - 1]!),
    "sample.thread": samples.map((one) => one.thread ?? 0),
    "sample.process": samples.map((one) => one.process ?? 0),
  };
  for (const name of METRICS) {
    columns[`sample.${name}`] = samples.map((one) => one.figures?.[name] ?? 0);
    columns[`base.${name}`] = samples.map((one) => one.base?.[name] ?? 0);
  }
  Object.assign(columns, course("", given, rank));
  if (given.older) Object.assign(columns, course("base.", given.older, rank));
  Object.assign(columns, given.columns);
  for (const name of given.without ?? []) delete columns[name];
  const header: Partial<Header> = {
    version: 2,
    metrics: METRICS.map((column) => ({
      name: column.split("_")[0]!, words: column, unit: "bytes", column,
      beside: column, beside_words: "", definition: "", notes: [],
    })),
    threads: [1, 2].map((tid, like) => (
      { process: 0, tid, name: "", like, start_ns: 0, end_ns: null }
    )),
    alike: ["", ""],
    here: "/home/u/app",
    modules: {},
    processes: [{ pid: 1, image: 0, command: "a", start_ns: 0, end_ns: null, peak_bytes: 0 }],
    size_bounds: [16, 1024],
    lifetime_bounds: [0, 1, 7],
    lifetime_time_bounds_ns: [1e6, 1e9],
    ...given.header,
  };
  return { header, columns, texts };
}

/** `rank`: of each sample its row. */
function course(prefix: string, given: Course, rank: Map<number, number>): Record<string, number[]> {
  const columns: Record<string, number[]> = {};
  const put = (name: string, values: number[]): void => {
    columns[prefix + name] = values;
  };
  const bins = given.bins ?? [];
  const changes = (given.changes ?? [])
    .map((one) => ({ ...one, sample: rank.get(one.sample)! }))
    .sort((a, b) => a.bin - b.bin || a.sample - b.sample);
  put("bin.start", bins.map(([start]) => start));
  put("bin.end", bins.map(([, end]) => end));
  put("bin.changes", bins.map((_, bin) => changes.filter((one) => one.bin === bin).length));
  put("change.sample", changes.map((one) => one.sample));
  for (const name of CHANGES) {
    put(
      `change.${name}`,
      changes.map((one) => (one as unknown as Record<string, number | undefined>)[name] ?? 0),
    );
  }
  const births = given.births ?? { time: [], rows: [] };
  put("birth.time", births.time);
  put("birth.sample", births.rows.map(([sample]) => rank.get(sample)!));
  put("birth.born", births.rows.map(([, born]) => born));
  put("birth.died", births.rows.map(([, , died]) => died));
  put("birth.bytes", births.rows.map(([, , , bytes]) => bytes));
  put("birth.blocks", births.rows.map(([, , , , blocks]) => blocks ?? 0));
  const { exits } = given;
  if (exits) {
    put("exit.rows", bins.map((_, bin) => exits.filter((row) => row[0] === bin).length));
    put("exit.sample", exits.map(([, sample]) => rank.get(sample)!));
    put("exit.bytes", exits.map(([, , bytes]) => bytes));
    put("exit.blocks", exits.map(([, , , blocks]) => blocks ?? 0));
  }
  return columns;
}

/** Nodes of a prefix tree in depth-first order, and each stack's innermost one. */
function tree(stacks: number[][]): { depth: number[]; location: number[]; node: number[] } {
  interface Branch { place: number; below: Map<number, Branch>; ends: number[] }
  const root: Branch = { place: -1, below: new Map(), ends: [] };
  stacks.forEach((stack, i) => {
    let at = root;
    for (const place of stack) {
      let next = at.below.get(place);
      if (!next) at.below.set(place, (next = { place, below: new Map(), ends: [] }));
      at = next;
    }
    at.ends.push(i);
  });
  const depth: number[] = [];
  const location: number[] = [];
  const node: number[] = [];
  const open: [Branch, number][] = [...root.below.values()].reverse().map((one) => [one, 0]);
  while (open.length) {
    const [branch, level] = open.pop()!;
    for (const i of branch.ends) node[i] = depth.length;
    depth.push(level);
    location.push(branch.place);
    for (const one of [...branch.below.values()].reverse()) open.push([one, level + 1]);
  }
  return { depth, location, node };
}

const STEPS = new Set(["sample.node", "change.sample", "bin.start"]);

export function pack(header: object, columns: Record<string, number[]>, texts: string[]): Uint8Array {
  const infos: object[] = [];
  const pieces: Uint8Array[] = [];
  let offset = 0;
  const put = (name: string, rows: number, width: number, delta: boolean, data: Uint8Array): void => {
    infos.push({ name, rows, width, offset, delta });
    pieces.push(data);
    offset += data.length;
  };
  const joined = new TextEncoder().encode(texts.join("\0"));
  put("texts", joined.length, 1, false, joined);
  for (const [name, values] of Object.entries(columns)) {
    const delta = STEPS.has(name) || values.some((value) => value < 0);
    const steps = values.map((value, i) => {
      const step = value - (i ? values[i - 1]! : 0);
      return step < 0 ? -2 * step - 1 : 2 * step;
    });
    const stored = delta ? steps : values;
    const largest = stored.reduce((most, one) => Math.max(most, one), 0);
    let width = 1;
    while (largest >= 256 ** width) width++;
    const data = new Uint8Array(stored.length * width);
    stored.forEach((value, i) => {
      for (let plane = 0; plane < width; plane++) {
        data[plane * stored.length + i] = Math.floor(value / 256 ** plane) % 256;
      }
    });
    put(name, stored.length, width, delta, data);
  }
  let head = new TextEncoder().encode(JSON.stringify({ ...header, columns: infos }));
  const padded = new Uint8Array(head.length + ((8 - ((4 + head.length) % 8)) % 8)).fill(32);
  padded.set(head);
  head = padded;
  const out = new Uint8Array(4 + head.length + offset);
  new DataView(out.buffer).setUint32(0, head.length, true);
  out.set(head, 4);
  let at = 4 + head.length;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

/** Repeatable numbers. */
export class Random {
  constructor(private state: number) {}
  /** 0 to bound - 1. */
  below(bound: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * bound);
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

const NAMES = ["main", "load", "std::vector<int>::push", "std::vector<char>::push", "f", "g"];

/** Stacks with recursion, namesakes, and code of everybody. */
export function randomDescription(random: Random, samples = 20, deep = 7): Description {
  const places: Place[] = Array.from({ length: 2 + random.below(12) }, () => ({
    function: random.pick(NAMES),
    file: random.pick(["", "/a.py", "/b.cpp"]),
    line: random.below(4),
    module: random.pick(["", "app", "lib.so"]),
    origin: random.below(5),
  }));
  return {
    places,
    samples: Array.from({ length: random.below(samples) }, () => ({
      stack: Array.from({ length: 1 + random.below(deep) }, () => random.below(places.length)),
      site: random.below(places.length),
      thread: random.below(3),
      figures: { peak_bytes: random.below(3) * random.below(5000), total_bytes: random.below(9) },
      base: { peak_bytes: random.below(3) * random.below(5000) },
    })),
  };
}
