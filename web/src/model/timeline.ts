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
  const { bins, samples } = data;
  const groupOf = new Int32Array(samples.count);
  for (let i = 0; i < samples.count; i++) {
    const counts =
      (!selection.threads || selection.threads.has(samples.thread[i]!)) &&
      (!selection.processes || selection.processes.has(samples.process[i]!));
    groupOf[i] = counts ? groups.ofLocation[samples.site[i]!]! : -1;
  }
  const highest = new Float64Array(groups.count);
  replay(data, groupOf, groups.count, (_, live, changed) => {
    for (const group of changed) highest[group] = Math.max(highest[group]!, live[group]!);
  });
  const chosen = Array.from(highest.keys())
    .filter((group) => highest[group]! > 0)
    .sort((a, b) => highest[b]! - highest[a]! || a - b)
    .slice(0, top);
  const series = chosen.map(() => new Float64Array(bins.count));
  const rest = new Float64Array(bins.count);
  const total = new Float64Array(bins.count);
  replay(data, groupOf, groups.count, (bin, live, _, sum) => {
    total[bin] = sum;
    let others = sum;
    chosen.forEach((group, k) => {
      series[k]![bin] = live[group]!;
      others -= live[group]!;
    });
    rest[bin] = others;
  });
  return { groups: chosen, series, rest, total };
}

/** Calls `visit` for each bin, with what lives in each group at its end. */
function replay(
  data: Dataset,
  groupOf: Int32Array,
  count: number,
  visit: (bin: number, live: Float64Array, changed: number[], sum: number) => void,
): void {
  const sample = data.column("change.sample");
  const came = data.column("change.bytes_in");
  const went = data.column("change.bytes_out");
  const ended = endings(data);
  const own = new Float64Array(data.samples.count);
  const live = new Float64Array(count);
  const met = new Int32Array(count).fill(-1); // by group, the last bin that changed it
  let sum = 0;
  let bin = 0;
  let changed: number[] = [];
  const change = (i: number, bytes: number): void => {
    const group = groupOf[i]!;
    if (group < 0 || bytes === 0) return;
    own[i]! += bytes;
    live[group]! += bytes;
    sum += bytes;
    if (met[group] === bin) return;
    met[group] = bin;
    changed.push(group);
  };
  for (; bin < data.bins.count; bin++) {
    changed = [];
    for (let i = data.bins.first[bin]!; i < data.bins.first[bin + 1]!; i++) {
      change(sample[i]!, came[i]! - went[i]!);
    }
    for (const i of ended.get(bin) ?? []) change(i, -own[i]!);
    visit(bin, live, changed, sum);
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
  for (let i = 0; i < samples.count; i++) {
    const bin = gone[samples.process[i]!] ?? -1;
    if (bin < 0) continue;
    const list = found.get(bin);
    if (list) list.push(i);
    else found.set(bin, [i]);
  }
  return found;
}
