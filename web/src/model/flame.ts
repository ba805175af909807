/** Flame graphs: stacks merged by group, seen from the outermost frame, from the innermost, or from one. */
import type { Dataset } from "./dataset";
import { Callee, Caller, Source, type FlameNode } from "./frames";
import type { Groups } from "./groups";
import { total, type NodeValues } from "./selection";

export type { FlameNode } from "./frames";

export interface Flame {
  readonly root: FlameNode;
  readonly total: number;
  readonly baseTotal: number;
}

function flameOf(root: FlameNode): Flame {
  return { root, total: root.value, baseTotal: root.base };
}

/** Outermost frames at the top. What has no frame that is shown is the root's own. */
export function topDown(
  data: Dataset,
  groups: Groups,
  values: NodeValues,
  base: NodeValues | null = null,
): Flame {
  const root = new Callee(new Source(data, groups, values, base), -1, null);
  root.value = total(values.own);
  root.base = base ? total(base.own) : 0;
  return flameOf(root);
}

/** Innermost frames at the top, their callers below. */
export function bottomUp(
  data: Dataset,
  groups: Groups,
  values: NodeValues,
  base: NodeValues | null = null,
): Flame {
  const shown = groups.frames.node;
  const at = new Int32Array(shown.length);
  for (let node = 0; node < at.length; node++) {
    at[node] = values.own[node] !== 0 || (base && base.own[node] !== 0) ? shown[node]! : -1;
  }
  const source = new Source(data, groups, values, base);
  return flameOf(Caller.root(source, -1, { at, weight: values.own, base: base && base.own }));
}

/** What `group` calls: it is the root. */
export function callees(
  data: Dataset,
  groups: Groups,
  values: NodeValues,
  group: number,
  base: NodeValues | null = null,
): Flame {
  const source = new Source(data, groups, values, base);
  const root = new Callee(source, group, null);
  for (const node of outermost(source, group)) root.add(node);
  return flameOf(root);
}

/** Who calls `group`: it is the root, its callers below. */
export function callers(
  data: Dataset,
  groups: Groups,
  values: NodeValues,
  group: number,
  base: NodeValues | null = null,
): Flame {
  const source = new Source(data, groups, values, base);
  const nodes = outermost(source, group);
  return flameOf(
    Caller.root(source, group, {
      at: Int32Array.from(nodes),
      weight: Float64Array.from(nodes, (node) => source.inclusive(node)),
      base: base && Float64Array.from(nodes, (node) => source.baseInclusive(node)),
    }),
  );
}

/** The frames of `group` that hold any memory and are not below another one of it. */
function outermost(source: Source, group: number): number[] {
  const { data, groups } = source;
  const { count, end } = data.nodes;
  const begun = groups.frames.group;
  const found: number[] = [];
  for (let node = 0; node < count; ) {
    if (begun[node] !== group) {
      node++;
      continue;
    }
    if (!source.isEmpty(node)) found.push(node); // recursion counts once
    node = end[node]!;
  }
  return found;
}

export const Flame = { topDown, bottomUp, callees, callers };
