/** How large blocks were, and how long they lived. */
import type { Dataset } from "./dataset";
import { binarySize, duration, size } from "./format";
import { touched } from "./ruler";
import { changesIn } from "./selection";

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

/**
 * `size`: allocations by size; `life`: freed blocks by how long they lived in time; `age`: the same in
 * further allocations of their thread. `counts(sample)`: which samples to count; null: all. Sizes and
 * lifetimes are kept by sample and not by time: in a `range`, each sample's blocks are taken to be as
 * they were over the whole time.
 */
export function histogram(
  data: Dataset,
  kind: HistogramKind,
  counts: ((sample: number) => boolean) | null = null,
  range: [number, number] | null = null,
): Bucket[] {
  const buckets = labels(data, kind).map((label) => ({ label, count: 0 }));
  const sample = data.column(`${kind}.sample`);
  const bucket = data.column(`${kind}.bucket`);
  const count = data.column(`${kind}.count`);
  const part = range && partIn(data, kind, range);
  for (let i = 0; i < sample.length; i++) {
    if (counts && !counts(sample[i]!)) continue;
    buckets[bucket[i]!]!.count += part ? count[i]! * part[sample[i]!]! : count[i]!;
  }
  if (part) for (const one of buckets) one.count = Math.round(one.count);
  return buckets;
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
