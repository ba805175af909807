/** The live heap over time, by the places that hold the most of it. */
import type { Column } from "./columns";
import type { Dataset, Side } from "./dataset";
import type { Exits } from "./exits";
import type { Groups } from "./groups";
import type { Selection } from "./selection";
import { boundsOf } from "./tops";

export interface Stack {
  starts: Column; // ns, of spans of time; from one's end to the next's start nothing changes
  ends: Column;
  groups: number[]; // largest first
  series: Float64Array[]; // bytes live at the end of each span, by group
  rest: Float64Array; // of all others
  total: Float64Array;
  /** Bytes in each span, as far as it is known: at least what lived at its start and its end. */
  highest: Float64Array;
}

/**
 * The `top` groups, by the most that was charged to them at a time. Charged is the innermost frame
 * that is one's own code. Of `selection` threads and processes count.
 */
export function stack(data: Dataset, groups: Groups, selection: Selection, top: number): Stack {
  const flow = living(data.sides.new);
  if (selection.threads || selection.processes) flow.tops = new Float64Array(flow.ends.length);
  return stacksOf([flow], groupOfSamples(data, groups, selection), groups.count, top)[0]!;
}

/** Of a comparison: before, and after; the same groups in both. null: their time is not known. */
export function bothStacks(data: Dataset, groups: Groups, top: number): [Stack, Stack] | null {
  const flows = [living(data.sides.base), living(data.sides.new)];
  if (!flows.some((flow) => flow.ends.length)) return null;
  const all: Selection = { metric: "", range: null, threads: null, processes: null };
  const stacks = stacksOf(flows, groupOfSamples(data, groups, all), groups.count, top);
  return [stacks[0]!, stacks[1]!];
}

function stacksOf(flows: Flow[], ofSample: Int32Array, count: number, top: number): Stack[] {
  const highest = new Float64Array(count);
  for (const flow of flows) {
    replay(flow, ofSample, count, (_, live, changed, many) => {
      for (let k = 0; k < many; k++) {
        const group = changed[k]!;
        if (live[group]! > highest[group]!) highest[group] = live[group]!;
      }
    });
  }
  const groups = Array.from(highest.keys())
    .filter((group) => highest[group]! > 0)
    .sort((a, b) => highest[b]! - highest[a]! || a - b)
    .slice(0, top);
  const rest = groups.length;
  const place = new Int32Array(count).fill(rest);
  groups.forEach((group, k) => (place[group] = k));
  const places = ofSample.map((group) => (group < 0 ? -1 : place[group]!));
  return flows.map((flow) => {
    const spans = flow.ends.length;
    const series = Array.from({ length: rest + 1 }, () => new Float64Array(spans));
    replay(flow, places, rest + 1, (span, live) => {
      series.forEach((one, k) => (one[span] = live[k]!));
    });
    const total = new Float64Array(spans);
    for (const one of series) for (let span = 0; span < spans; span++) total[span]! += one[span]!;
    const { starts, ends, tops } = flow;
    const highest = boundsOf(tops, total);
    return { starts, ends, groups, series: series.slice(0, rest), rest: series[rest]!, total, highest };
  });
}

/** How live bytes change: span i has the rows first[i] to first[i + 1]. */
interface Flow {
  starts: Column; // ns, of the spans
  ends: Column;
  first: Int32Array;
  sample: Column;
  tops: Float64Array; // bytes, of all
  bytes(row: number): number; // that live more then
  exits: Exits; // of spans
}

/** From what samples allocated and freed. */
function living({ bins, exits, tops, column }: Side): Flow {
  const [came, went] = [column("change.bytes_in"), column("change.bytes_out")];
  return {
    starts: bins.start,
    ends: bins.end,
    first: bins.first,
    tops,
    sample: column("change.sample"),
    bytes: (row) => came[row]! - went[row]!,
    exits,
  };
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
 * Called for each span with the bytes that live at its end by number, and the numbers that changed
 * in it: the first `many` of `changed`.
 */
type Visit = (span: number, live: Float64Array, changed: Int32Array, many: number) => void;

/** `numbers`: of each sample one below `count`; -1: none. */
function replay(flow: Flow, numbers: Int32Array, count: number, visit: Visit): void {
  const { first, sample, exits } = flow;
  const live = new Float64Array(count);
  const changed = new Int32Array(count);
  const changedIn = new Int32Array(count).fill(-1);
  for (let span = 0; span < flow.ends.length; span++) {
    let many = 0;
    for (let i = first[span]!; i < first[span + 1]!; i++) {
      const number = numbers[sample[i]!]!;
      if (number < 0) continue;
      live[number]! += flow.bytes(i);
      if (changedIn[number] === span) continue;
      changedIn[number] = span;
      changed[many++] = number;
    }
    for (let i = exits.first[span]!; i < exits.first[span + 1]!; i++) {
      const number = numbers[exits.sample[i]!]!;
      if (number >= 0) live[number]! -= exits.bytes[i]!;
    }
    visit(span, live, changed, many);
  }
}
