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
  const rows = Array.from({ length: groups.count }, (_, group) => empty(group));
  fillNodes(data, groups, nodes, rows, "inclusive", "self");
  fillSites(data, groups, values, rows, "site");
  if (base) {
    fillNodes(data, groups, base.nodes, rows, "baseInclusive", "baseSelf");
    fillSites(data, groups, base.values, rows, "baseSite");
  }
  return rows.filter(isUsed);
}

type Figure = Exclude<keyof Row, "key">;

function fillNodes(
  data: Dataset,
  groups: Groups,
  { own, inclusive }: NodeValues,
  rows: Row[],
  whole: Figure,
  self: Figure,
): void {
  const { count, end, location } = data.nodes;
  const shown = shownNodes(data, groups);
  const until = new Int32Array(groups.count); // nodes below this are inside of one of the group
  for (let node = 0; node < count; node++) {
    if (own[node]! !== 0 && shown[node]! >= 0) {
      rows[groups.ofLocation[location[shown[node]!]!]!]![self] += own[node]!;
    }
    if (shown[node] !== node) continue;
    const group = groups.ofLocation[location[node]!]!;
    if (node < until[group]!) continue;
    until[group] = end[node]!;
    rows[group]![whole] += inclusive[node]!;
  }
}

function fillSites(
  data: Dataset,
  groups: Groups,
  values: Float64Array,
  rows: Row[],
  figure: Figure,
): void {
  const { site, count } = data.samples;
  for (let i = 0; i < count; i++) {
    if (values[i]! === 0) continue;
    rows[groups.ofLocation[site[i]!]!]![figure] += values[i]!;
  }
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
