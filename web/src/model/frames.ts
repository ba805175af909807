/**
 * Frames of a merged tree, level by level as they are asked for: what is never looked at is never
 * computed. Nothing recurses, however deep the stacks.
 */
import type { Dataset } from "./dataset";
import type { Groups } from "./groups";
import { total, type NodeValues } from "./selection";

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

/** What frames are computed from. Values must not be negative. */
export class Source {
  /** By group: which child of the frame that is being opened; -1: none. */
  readonly child: Int32Array;

  constructor(
    readonly data: Dataset,
    readonly groups: Groups,
    readonly values: NodeValues,
    readonly bases: NodeValues | null,
  ) {
    this.child = new Int32Array(groups.count).fill(-1);
  }

  inclusive(node: number): number {
    return this.values.inclusive[node]!;
  }

  baseInclusive(node: number): number {
    return this.bases ? this.bases.inclusive[node]! : 0;
  }

  isEmpty(node: number): boolean {
    return this.inclusive(node) === 0 && this.baseInclusive(node) === 0;
  }
}

abstract class Frame implements FlameNode {
  value = 0;
  base = 0;
  readonly depth: number;
  private found: Frame[] | null = null;

  constructor(
    protected readonly source: Source,
    readonly group: number,
    readonly parent: Frame | null,
  ) {
    this.depth = parent ? parent.depth + 1 : 0;
  }

  get self(): number {
    return this.children().reduce((left, child) => left - child.value, this.value);
  }

  get baseSelf(): number {
    return this.children().reduce((left, child) => left - child.base, this.base);
  }

  children(): Frame[] {
    if (!this.found) {
      this.found = this.expand();
      for (const { group } of this.found) this.source.child[group] = -1;
      this.found.sort((a, b) => larger(b) - larger(a) || a.group - b.group);
    }
    return this.found;
  }

  /** By group one frame, under its number in `source.child`. */
  protected abstract expand(): Frame[];
}

const larger = (frame: Frame): number => (frame.value > frame.base ? frame.value : frame.base);

/** Callees below their callers. */
export class Callee extends Frame {
  readonly nodes: number[] = []; // of the data, that this frame stands for

  add(node: number): void {
    this.nodes.push(node);
    this.value += this.source.inclusive(node);
    this.base += this.source.baseInclusive(node);
  }

  protected expand(): Callee[] {
    const { end } = this.source.data.nodes;
    const found: Callee[] = [];
    if (this.group < 0) this.open(found, 0, end.length);
    else for (const node of this.nodes) this.open(found, node + 1, end[node]!);
    return found;
  }

  /** In depth-first order: what has been taken is stepped over whole, what is not shown is entered. */
  private open(found: Callee[], from: number, until: number): void {
    const { source } = this;
    const { end } = source.data.nodes;
    const { group: groups } = source.groups.frames;
    for (let node = from; node < until; ) {
      const group = groups[node]!;
      const empty = source.isEmpty(node);
      if (group < 0 && !empty) {
        node++;
        continue;
      }
      if (!empty) {
        let child = source.child[group]!;
        if (child < 0) {
          source.child[group] = child = found.length;
          found.push(new Callee(source, group, this));
        }
        found[child]!.add(node);
      }
      node = end[node]!;
    }
  }
}

/** Walks outwards: how far each has come, and what it carries. Those of a frame are neighbours. */
interface Walks {
  at: Int32Array; // nodes that begin frames; -1: at its end
  weight: Float64Array;
  base: Float64Array | null;
}

/** Callers below their callees. */
export class Caller extends Frame {
  private until: number; // of its walks

  private constructor(
    source: Source,
    group: number,
    parent: Frame | null,
    private readonly walks: Walks,
    private readonly from: number,
  ) {
    super(source, group, parent);
    this.until = from;
  }

  /** A root from which `walks` begin. */
  static root(source: Source, group: number, walks: Walks): Caller {
    const root = new Caller(source, group, null, walks, 0);
    root.until = walks.at.length;
    root.value = total(walks.weight);
    root.base = walks.base ? total(walks.base) : 0;
    return root;
  }

  protected expand(): Caller[] {
    const next = this.group < 0 ? this.walks.at : this.further();
    return this.told(next, this.group < 0 ? 0 : this.from);
  }

  private further(): Int32Array {
    const { data, groups } = this.source;
    const shown = groups.frames.node;
    const next = new Int32Array(this.until - this.from);
    for (let i = 0; i < next.length; i++) {
      const above = data.nodes.parent[this.walks.at[this.from + i]!]!;
      next[i] = above < 0 ? -1 : shown[above]!;
    }
    return next;
  }

  /** The walks told apart by the groups of `next`; walk i carries what is at `offset` + i. */
  private told(next: Int32Array, offset: number): Caller[] {
    const { source, walks } = this;
    const { child } = source;
    const { group: groups } = source.groups.frames;
    const counts: number[] = [];
    const found: number[] = [];
    for (let i = 0; i < next.length; i++) {
      if (next[i]! < 0) continue;
      const group = groups[next[i]!]!;
      if (child[group]! < 0) {
        child[group] = found.length;
        found.push(group);
        counts.push(0);
      }
      counts[child[group]!]!++;
    }
    const size = counts.reduce((all, one) => all + one, 0);
    const sorted: Walks = {
      at: new Int32Array(size),
      weight: new Float64Array(size),
      base: walks.base && new Float64Array(size),
    };
    let from = 0;
    const callers = found.map((group, k) => {
      const caller = new Caller(source, group, this, sorted, from);
      from += counts[k]!;
      return caller;
    });
    for (let i = 0; i < next.length; i++) {
      if (next[i]! < 0) continue;
      const base = walks.base ? walks.base[offset + i]! : 0;
      callers[child[groups[next[i]!]!]!]!.add(next[i]!, walks.weight[offset + i]!, base);
    }
    return callers;
  }

  /** Walks that meet go on as one: they have come here through equal frames. */
  private add(node: number, weight: number, base: number): void {
    const { at, weight: weights, base: bases } = this.walks;
    if (this.until === this.from || at[this.until - 1] !== node) at[this.until++] = node;
    weights[this.until - 1]! += weight;
    if (bases) bases[this.until - 1]! += base;
    this.value += weight;
    this.base += base;
  }
}
