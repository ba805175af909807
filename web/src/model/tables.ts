/** Figures by group, by thread and by process. */
import type { Dataset } from "./dataset";
import type { Groups } from "./groups";
import type { NodeValues } from "./selection";

export interface Row {
  key: number; // a group; a number as in sample.thread; a row of header.processes
  /** All memory with the group anywhere in its stack, once however deep the recursion. */
  inclusive: number;
  /** Memory whose innermost frame is the group's. */
  self: number;
  /** Memory charged to the group: the innermost frame that is one's own code. All rows add up. */
  site: number;
  baseInclusive: number;
  baseSelf: number;
  baseSite: number;
}

/** A row for each group with any figure. `values`: of samples; `nodes`: the same by node. */
export function groupTable(
  data: Dataset,
  groups: Groups,
  values: Float64Array,
  nodes: NodeValues,
  base: { values: Float64Array; nodes: NodeValues } | null = null,
): Row[] {
  const site = charged(data, groups, values);
  const { self, inclusive } = byFrames(data, groups, nodes);
  const older = base && byFrames(data, groups, base.nodes);
  const olderSite = base && charged(data, groups, base.values);
  const rows: Row[] = [];
  for (let key = 0; key < groups.count; key++) {
    const row: Row = {
      key,
      inclusive: inclusive[key]!,
      self: self[key]!,
      site: site[key]!,
      baseInclusive: older ? older.inclusive[key]! : 0,
      baseSelf: older ? older.self[key]! : 0,
      baseSite: olderSite ? olderSite[key]! : 0,
    };
    if (isUsed(row)) rows.push(row);
  }
  return rows;
}

const isUsed = (row: Row): boolean =>
  row.inclusive !== 0 || row.self !== 0 || row.site !== 0 ||
  row.baseInclusive !== 0 || row.baseSelf !== 0 || row.baseSite !== 0;

/** Sums of a figure of samples (any column of them) by the group that it is charged to. */
export function charged(data: Dataset, groups: Groups, values: ArrayLike<number>): Float64Array {
  const { site, count } = data.samples;
  const { ofLocation } = groups;
  const sums = new Float64Array(groups.count);
  for (let i = 0; i < count; i++) {
    if (values[i] !== 0) sums[ofLocation[site[i]!]!]! += values[i]!;
  }
  return sums;
}

/** Of samples and of nodes: what is looked at, and in a comparison what was before. */
export interface Weighed {
  samples: Float64Array;
  nodes: NodeValues;
  base: { values: Float64Array; nodes: NodeValues } | null;
}

/**
 * For each group its location on the line that most is charged to, or of a difference that changed
 * most, and there in the function with most of it. Where nothing is charged to, with what it calls.
 */
export function heaviest(data: Dataset, groups: Groups, { samples, nodes, base }: Weighed): Int32Array {
  const { site } = data.samples;
  const { location } = data.nodes;
  const found = groups.location.slice();
  const done = placeMost(data, groups, site, samples, base && base.values, null, found);
  placeMost(data, groups, location, nodes.inclusive, base && base.nodes.inclusive, done, found);
  return found;
}

/** Writes into `found` the location of each group with most; which ones that were. `done` are left. */
function placeMost(
  data: Dataset,
  groups: Groups,
  where: Int32Array,
  values: Float64Array,
  before: Float64Array | null,
  done: Uint8Array | null,
  found: Int32Array,
): Uint8Array {
  const { count } = data.locations;
  const { line, named } = groups.lines;
  const used = new Uint8Array(count);
  const change = new Float64Array(count); // by line
  const now = new Float64Array(count); // by function on a line
  const then = new Float64Array(count);
  for (let i = 0; i < where.length; i++) {
    const at = where[i]!;
    const [value, was] = [values[i]!, before ? before[i]! : 0];
    if (!value && !was) continue;
    used[at] = 1;
    change[line[at]!]! += value - was;
    now[named[at]!]! += value;
    then[named[at]!]! += was;
  }
  const placed = new Uint8Array(groups.count);
  const most = new Float64Array(groups.count);
  const best = new Float64Array(groups.count);
  for (let at = 0; at < count; at++) {
    const group = groups.ofLocation[at]!;
    if (!used[at] || done?.[group]) continue;
    // A function that is gone has what it had: most of a line may have been another one's.
    const weight = Math.abs(change[line[at]!]!);
    const part = Math.max(now[named[at]!]!, then[named[at]!]!);
    if (placed[group] && (weight - most[group]! || part - best[group]!) <= 0) continue;
    placed[group] = 1;
    most[group] = weight;
    best[group] = part;
    found[group] = at;
  }
  return placed;
}

/** By group, from the frames that are shown. What has none above it is in no group's self. */
function byFrames(
  data: Dataset,
  groups: Groups,
  nodes: NodeValues,
): { self: Float64Array; inclusive: Float64Array } {
  const { count, end } = data.nodes;
  const { node: shown, group } = groups.frames;
  const self = new Float64Array(groups.count);
  const inclusive = new Float64Array(groups.count);
  const until = new Int32Array(groups.count); // nodes below this are inside of one of the group
  for (let node = 0; node < count; node++) {
    const own = nodes.own[node]!;
    if (own !== 0 && shown[node]! >= 0) self[group[shown[node]!]!]! += own;
    const begun = group[node]!;
    if (begun < 0 || node < until[begun]!) continue;
    until[begun] = end[node]!;
    inclusive[begun]! += nodes.inclusive[node]!;
  }
  return { self, inclusive };
}

/** A row for each thread (as in sample.thread) or process with any figure. */
export function ownerTable(
  data: Dataset,
  by: "thread" | "process",
  values: Float64Array,
  base: Float64Array | null = null,
): Row[] {
  const owner = data.samples[by];
  const rows = new Map<number, Row>();
  for (let i = 0; i < owner.length; i++) {
    const value = values[i]!;
    const before = base ? base[i]! : 0;
    if (value === 0 && before === 0) continue;
    let row = rows.get(owner[i]!);
    if (!row) rows.set(owner[i]!, (row = empty(owner[i]!)));
    row.inclusive = row.self = row.site += value;
    row.baseInclusive = row.baseSelf = row.baseSite += before;
  }
  return [...rows.values()];
}

const empty = (key: number): Row => ({
  key, inclusive: 0, self: 0, site: 0, baseInclusive: 0, baseSelf: 0, baseSite: 0,
});
