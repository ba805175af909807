/** How large blocks were, and how long they lived. */
import type { Dataset } from "./dataset";
import { binarySize, duration, size } from "./format";
import { touched } from "./ruler";
import { changesIn } from "./selection";

/** Whose blocks are counted, as `sample.thread` and `sample.process` number them; null: all. */
export interface Owners {
  threads: ReadonlySet<number> | null;
  processes: ReadonlySet<number> | null;
}

const ALL: Owners = { threads: null, processes: null };

export interface Bucket {
  label: string;
  count: number; // blocks
}

export type HistogramKind = "size" | "life" | "age";

/** What part of its blocks each sample allocated (or freed) in a range of time, 0 to 1. */
function partIn(data: Dataset, kind: HistogramKind, range: [number, number]): Float64Array {
  const change = kind === "size" ? "blocks_in" : "blocks_out";
  const within = changesIn(data, change, touched(data.bins, range));
  const whole = changesIn(data, change, [0, data.bins.count]);
  return within.map((blocks, sample) => (whole[sample]! > 0 ? blocks / whole[sample]! : 0));
}

/** Whether the histograms of a range are only estimates: sizes and lifetimes were not recorded by time. */
export const isEstimate = (data: Dataset): boolean => !data.has("spread.count");

/**
 * `size`: allocations by size; `life`: freed blocks by how long they lived in time; `age`: the same in
 * further allocations of their thread. Those of a `range` are exact, unless `isEstimate`: then each sample's
 * blocks in it are taken to be as they were over the whole time.
 */
export function histogram(
  data: Dataset,
  kind: HistogramKind,
  owners: Owners = ALL,
  range: [number, number] | null = null,
): Bucket[] {
  const buckets = labels(data, kind).map((label) => ({ label, count: 0 }));
  if (range && !isEstimate(data)) return spreadIn(data, kind, owners, range, buckets);
  const sample = data.column(`${kind}.sample`);
  const bucket = data.column(`${kind}.bucket`);
  const count = data.column(`${kind}.count`);
  const { thread, process } = data.samples;
  const part = range && partIn(data, kind, range);
  for (let i = 0; i < sample.length; i++) {
    const of = sample[i]!;
    if (!counts(owners, thread[of]!, process[of]!)) continue;
    buckets[bucket[i]!]!.count += part ? count[i]! * part[of]! : count[i]!;
  }
  if (part) for (const one of buckets) one.count = Math.round(one.count);
  return buckets;
}

const counts = ({ threads, processes }: Owners, thread: number, process: number): boolean =>
  (!threads || threads.has(thread)) && (!processes || processes.has(process));

/** Adds to `buckets` what the bins of `range` have of them. */
function spreadIn(
  data: Dataset,
  kind: HistogramKind,
  owners: Owners,
  range: [number, number],
  buckets: Bucket[],
): Bucket[] {
  const [first, stop] = touched(data.bins, range);
  const rows = data.column("bin.spreads");
  const thread = data.column("spread.thread");
  const process = data.column("spread.process");
  const bucket = data.column("spread.bucket");
  const count = data.column("spread.count");
  const begins = firstOf(data, kind);
  let at = 0;
  for (let bin = 0; bin < stop; bin++) {
    const end = at + rows[bin]!;
    if (bin < first) at = end;
    for (; at < end; at++) {
      const one = buckets[bucket[at]! - begins];
      if (one && counts(owners, thread[at]!, process[at]!)) one.count += count[at]!;
    }
  }
  return buckets;
}

/** The first bucket of its kind: those of ages come first, then lifetimes, then sizes. */
function firstOf(data: Dataset, kind: HistogramKind): number {
  const ages = data.header.lifetime_bounds.length + 1;
  const lives = data.header.lifetime_time_bounds_ns.length + 1;
  return { age: 0, life: ages, size: ages + lives }[kind];
}

function labels(data: Dataset, kind: HistogramKind): string[] {
  const { size_bounds, lifetime_bounds, lifetime_time_bounds_ns } = data.header;
  if (kind === "size") {
    const last = size_bounds[size_bounds.length - 1] ?? 0;
    return [...size_bounds.map((bound) => `up to ${exact(bound)}`), `over ${exact(last)}`];
  }
  if (kind === "life") {
    const last = lifetime_time_bounds_ns[lifetime_time_bounds_ns.length - 1] ?? 0;
    const text = (ns: number): string => duration(ns / 1e9);
    return [...lifetime_time_bounds_ns.map((ns) => `below ${text(ns)}`), `${text(last)} and more`];
  }
  let from = 0;
  const found = lifetime_bounds.map((bound) => {
    const label = from === bound ? `${bound}` : `${from}–${bound}`;
    from = bound + 1;
    return label;
  });
  return [...found, `${from} and more`];
}

/** Bounds are powers of two: named so that nothing is rounded. */
const exact = (bytes: number): string =>
  bytes < 1024 ? size(bytes) : binarySize(bytes).replace(".0 ", " ");
