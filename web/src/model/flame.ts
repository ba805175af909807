/**
 * Stacks merged into a tree of frames, level by level as they are asked for: what is never looked at
 * is never computed. Nothing recurses, however deep the stacks.
 */
import type { Dataset } from "./dataset";
import { shownNodes, type Groups } from "./groups";
import type { NodeValues } from "./selection";

export interface FlameNode {
  readonly group: number; // -1: the root of all
  readonly value: number; // of the newer recording, or the only one
  readonly base: number; // of the older one; 0 without a difference
  readonly depth: number; // of the root 0
  readonly parent: FlameNode | null;
  /** What no child has. */
  readonly self: number;
  readonly baseSelf: number;
  /** Largest first, in a difference by the larger of both. Computed at the first call. */
  children(): FlameNode[];
}

export interface Flame {
  readonly root: FlameNode;
  readonly total: number;
  readonly baseTotal: number;
}

/** Values must not be negative. */
interface Source {
  data: Dataset;
  groups: Groups;
  shown: Int32Array;
}

abstract class Frame implements FlameNode {
  value = 0;
  base = 0;
  private found: Frame[] | null = null;

  constructor(
    protected readonly source: Source,
    readonly group: number,
    readonly parent: Frame | null,
    readonly depth: number,
  ) {}

  get self(): number {
    return this.value - this.children().reduce((sum, child) => sum + child.value, 0);
  }

  get baseSelf(): number {
    return this.base - this.children().reduce((sum, child) => sum + child.base, 0);
  }

  children(): Frame[] {
    if (!this.found) {
      this.found = this.expand();
      this.found.sort((a, b) => Math.max(b.value, b.base) - Math.max(a.value, a.base) || a.group - b.group);
    }
    return this.found;
  }

  protected abstract expand(): Frame[];
}

/** Callees below their callers. `nodes`: those of the tree that this frame stands for. */
class Callee extends Frame {
  constructor(
    source: Source,
    private readonly values: NodeValues,
    private readonly bases: NodeValues | null,
    group: number,
    parent: Frame | null,
    depth: number,
    readonly nodes: number[],
  ) {
    super(source, group, parent, depth);
  }

  add(node: number): void {
    this.nodes.push(node);
    this.value += this.values.inclusive[node]!;
    if (this.bases) this.base += this.bases.inclusive[node]!;
  }

  protected expand(): Frame[] {
    const { data, groups, shown } = this.source;
    const { end, location } = data.nodes;
    const byGroup = new Map<number, Callee>();
    const isRoot = this.group < 0;
    const spans: [number, number][] = isRoot
      ? [[0, data.nodes.count]]
      : this.nodes.map((node) => [node + 1, end[node]!]);
    for (const [from, until] of spans) {
      // In depth-first order: what has been taken is stepped over whole, what is not shown is entered.
      for (let node = from; node < until; ) {
        const value = this.values.inclusive[node]!;
        if (value === 0 && (!this.bases || this.bases.inclusive[node] === 0)) {
          node = end[node]!;
          continue;
        }
        if (shown[node] !== node) {
          node++;
          continue;
        }
        const group = groups.ofLocation[location[node]!]!;
        let child = byGroup.get(group);
        if (!child) {
          child = new Callee(
            this.source, this.values, this.bases, group, this, this.depth + 1, [],
          );
          byGroup.set(group, child);
        }
        child.add(node);
        node = end[node]!;
      }
    }
    return [...byGroup.values()];
  }
}

/** Callers below their callees: `at` has where the walk outwards is, for each of some weights. */
class Caller extends Frame {
  private readonly at: number[] = []; // shown nodes
  private readonly weight: number[] = [];
  private readonly baseWeight: number[] = [];

  add(node: number, weight: number, base: number): void {
    this.at.push(node);
    this.weight.push(weight);
    this.baseWeight.push(base);
    this.value += weight;
    this.base += base;
  }

  protected expand(): Frame[] {
    const { data, shown } = this.source;
    const { parent } = data.nodes;
    const into = new Branches(this.source, this);
    for (let i = 0; i < this.at.length; i++) {
      const above = parent[this.at[i]!]!;
      const next = above < 0 ? -1 : shown[above]!;
      if (next >= 0) into.add(next, this.weight[i]!, this.baseWeight[i]!);
    }
    return into.all();
  }
}

class Branches {
  private readonly byGroup = new Map<number, Caller>();

  constructor(
    private readonly source: Source,
    private readonly parent: Frame,
  ) {}

  add(node: number, weight: number, base: number): void {
    const { data, groups } = this.source;
    const group = groups.ofLocation[data.nodes.location[node]!]!;
    let branch = this.byGroup.get(group);
    if (!branch) {
      branch = new Caller(this.source, group, this.parent, this.parent.depth + 1);
      this.byGroup.set(group, branch);
    }
    branch.add(node, weight, base);
  }

  all(): Caller[] {
    return [...this.byGroup.values()];
  }
}

/** The root of an inverted tree: all memory, by the innermost frame that is shown. */
class Innermost extends Frame {
  constructor(
    source: Source,
    private readonly values: NodeValues,
    private readonly bases: NodeValues | null,
  ) {
    super(source, -1, null, 0);
  }

  protected expand(): Frame[] {
    const { data, shown } = this.source;
    const into = new Branches(this.source, this);
    for (let node = 0; node < data.nodes.count; node++) {
      const weight = this.values.own[node]!;
      const base = this.bases ? this.bases.own[node]! : 0;
      if ((weight || base) && shown[node]! >= 0) into.add(shown[node]!, weight, base);
    }
    return into.all();
  }
}

function flameOf(root: FlameNode): Flame {
  return { root, total: root.value, baseTotal: root.base };
}

function sum(values: Float64Array): number {
  return values.reduce((all, one) => all + one, 0);
}

function sourceOf(data: Dataset, groups: Groups): Source {
  return { data, groups, shown: shownNodes(data, groups) };
}

/** Outermost frames at the top. */
export function topDown(
  data: Dataset,
  groups: Groups,
  values: NodeValues,
  base: NodeValues | null = null,
): Flame {
  const root = new Callee(sourceOf(data, groups), values, base, -1, null, 0, []);
  root.value = sum(values.own);
  root.base = base ? sum(base.own) : 0;
  return flameOf(root);
}

/** Innermost frames at the top, their callers below. */
export function bottomUp(
  data: Dataset,
  groups: Groups,
  values: NodeValues,
  base: NodeValues | null = null,
): Flame {
  const root = new Innermost(sourceOf(data, groups), values, base);
  root.value = sum(values.own);
  root.base = base ? sum(base.own) : 0;
  return flameOf(root);
}

/** The frames of `group` that are not below another one of it: recursion counts once. */
function outermost(source: Source, group: number): number[] {
  const { data, groups, shown } = source;
  const { count, end, location } = data.nodes;
  const found: number[] = [];
  for (let node = 0; node < count; ) {
    if (shown[node] === node && groups.ofLocation[location[node]!] === group) {
      found.push(node);
      node = end[node]!;
    } else {
      node++;
    }
  }
  return found;
}

/** What `group` calls: it is the root. */
export function callees(
  data: Dataset,
  groups: Groups,
  values: NodeValues,
  group: number,
  base: NodeValues | null = null,
): Flame {
  const source = sourceOf(data, groups);
  const root = new Callee(source, values, base, group, null, 0, []);
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
  const source = sourceOf(data, groups);
  const root = new Caller(source, group, null, 0);
  for (const node of outermost(source, group)) {
    root.add(node, values.inclusive[node]!, base ? base.inclusive[node]! : 0);
  }
  return flameOf(root);
}

export const Flame = { topDown, bottomUp, callees, callers };
