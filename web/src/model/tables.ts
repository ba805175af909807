/** Figures by group, by thread and by process. */
import type { Dataset } from "./dataset";
import { shownNodes, type Groups } from "./groups";
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

const empty = (key: number): Row => ({
  key, inclusive: 0, self: 0, site: 0, baseInclusive: 0, baseSelf: 0, baseSite: 0,
});

const isUsed = (row: Row): boolean =>
  row.inclusive !== 0 || row.self !== 0 || row.site !== 0 ||
  row.baseInclusive !== 0 || row.baseSelf !== 0 || row.baseSite !== 0;

/** A row for each group with any figure. `values`: of samples; `nodes`: the same by node. */
export function groupTable(
  data: Dataset,
  groups: Groups,
  values: Float64Array,
  nodes: NodeValues,
  base: { values: Float64Array; nodes: NodeValues } | null = null,
): Row[] {
  const now = ofNodes(data, groups, nodes);
  const site = ofSites(data, groups, values);
  const before = base && ofNodes(data, groups, base.nodes);
  const siteBefore = base && ofSites(data, groups, base.values);
  const rows: Row[] = [];
  for (let key = 0; key < groups.count; key++) {
    const row = {
      key,
      inclusive: now.inclusive[key]!,
      self: now.self[key]!,
      site: site[key]!,
      baseInclusive: before ? before.inclusive[key]! : 0,
      baseSelf: before ? before.self[key]! : 0,
      baseSite: siteBefore ? siteBefore[key]! : 0,
    };
    if (isUsed(row)) rows.push(row);
  }
  return rows;
}

/** By group. */
function ofNodes(
  data: Dataset,
  groups: Groups,
  { own, inclusive: below }: NodeValues,
): { inclusive: Float64Array; self: Float64Array } {
  const { count, end, location } = data.nodes;
  const { ofLocation } = groups;
  const shown = shownNodes(data, groups);
  const inclusive = new Float64Array(groups.count);
  const self = new Float64Array(groups.count);
  const until = new Int32Array(groups.count); // nodes below this are inside of one of the group
  for (let node = 0; node < count; node++) {
    const at = shown[node]!;
    if (at < 0) continue;
    const group = ofLocation[location[at]!]!;
    self[group]! += own[node]!;
    if (at !== node || node < until[group]!) continue;
    until[group] = end[node]!;
    inclusive[group]! += below[node]!;
  }
  return { inclusive, self };
}

function ofSites(data: Dataset, groups: Groups, values: Float64Array): Float64Array {
  const { site, count } = data.samples;
  const found = new Float64Array(groups.count);
  for (let i = 0; i < count; i++) found[groups.ofLocation[site[i]!]!]! += values[i]!;
  return found;
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
