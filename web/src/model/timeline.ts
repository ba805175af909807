/** The live heap over time, by the places that hold the most of it. */
import type { Dataset } from "./dataset";
import type { Groups } from "./groups";
import type { Selection } from "./selection";

export interface Stack {
  groups: number[]; // largest first
  series: Float64Array[]; // bytes live at the end of each bin, by group
  rest: Float64Array; // of all others
  total: Float64Array;
}

/**
 * The `top` groups, by the most that was charged to them at a time. Charged is the innermost frame
 * that is one's own code. Of `selection` threads and processes count.
 */
export function stack(data: Dataset, groups: Groups, selection: Selection, top: number): Stack {
  const { bins } = data;
  const ofSample = groupOfSamples(data, groups, selection);
  const highest = new Float64Array(groups.count);
  replay(data, ofSample, groups.count, (_, live, changed, many) => {
    for (let k = 0; k < many; k++) {
      const group = changed[k]!;
      if (live[group]! > highest[group]!) highest[group] = live[group]!;
    }
  });
  const chosen = Array.from(highest.keys())
    .filter((group) => highest[group]! > 0)
    .sort((a, b) => highest[b]! - highest[a]! || a - b)
    .slice(0, top);
  const rest = chosen.length;
  const place = new Int32Array(groups.count).fill(rest);
  chosen.forEach((group, k) => (place[group] = k));
  const series = Array.from({ length: rest + 1 }, () => new Float64Array(bins.count));
  replay(data, ofSample.map((group) => (group < 0 ? -1 : place[group]!)), rest + 1, (bin, live) => {
    series.forEach((one, k) => (one[bin] = live[k]!));
  });
  const total = new Float64Array(bins.count);
  for (const one of series) for (let bin = 0; bin < bins.count; bin++) total[bin]! += one[bin]!;
  return { groups: chosen, series: series.slice(0, rest), rest: series[rest]!, total };
}

/** -1: not selected. */
function groupOfSamples(data: Dataset, groups: Groups, selection: Selection): Int32Array {
  const { samples } = data;
  const { threads, processes } = selection;
  const found = new Int32Array(samples.count);
  for (let i = 0; i < samples.count; i++) {
    const counts =
      (!threads || threads.has(samples.thread[i]!)) &&
      (!processes || processes.has(samples.process[i]!));
    found[i] = counts ? groups.ofLocation[samples.site[i]!]! : -1;
  }
  return found;
}

/**
 * Called for each bin with the bytes that live at its end by number, and the numbers that changed
 * in it: the first `many` of `changed`.
 */
type Visit = (bin: number, live: Float64Array, changed: Int32Array, many: number) => void;

/** `numbers`: of each sample one below `count`; -1: none. */
function replay(data: Dataset, numbers: Int32Array, count: number, visit: Visit): void {
  const { bins } = data;
  const sample = data.column("change.sample");
  const came = data.column("change.bytes_in");
  const went = data.column("change.bytes_out");
  const ended = endings(data);
  const own = new Float64Array(ended.size ? data.samples.count : 0);
  const live = new Float64Array(count);
  const changed = new Int32Array(count);
  const changedIn = new Int32Array(count).fill(-1);
  for (let bin = 0; bin < bins.count; bin++) {
    let many = 0;
    for (let i = bins.first[bin]!; i < bins.first[bin + 1]!; i++) {
      const number = numbers[sample[i]!]!;
      if (number < 0) continue;
      const bytes = came[i]! - went[i]!;
      live[number]! += bytes;
      if (own.length) own[sample[i]!]! += bytes;
      if (changedIn[number] === bin) continue;
      changedIn[number] = bin;
      changed[many++] = number;
    }
    for (const i of ended.get(bin) ?? []) if (numbers[i]! >= 0) live[numbers[i]!]! -= own[i]!;
    visit(bin, live, changed, many);
  }
}

/** For bins at whose end processes are gone that were there before: their samples. */
function endings(data: Dataset): Map<number, number[]> {
  const { bins, samples } = data;
  const gone = data.header.processes.map(({ end_ns }) => {
    if (end_ns === null) return -1;
    for (let bin = 0; bin < bins.count; bin++) if (bins.start[bin]! >= end_ns) return bin;
    return -1;
  });
  const found = new Map<number, number[]>();
  if (gone.every((bin) => bin < 0)) return found;
  for (let i = 0; i < samples.count; i++) {
    const bin = gone[samples.process[i]!] ?? -1;
    if (bin < 0) continue;
    const list = found.get(bin);
    if (list) list.push(i);
    else found.set(bin, [i]);
  }
  return found;
}
