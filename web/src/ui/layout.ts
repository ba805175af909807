/**
 * Where the frames of a flame graph stand: row by row, computed when a row is first asked for.
 *
 * Nothing recurses, and what is narrower than half a pixel is neither placed nor descended into,
 * so that a row costs what can be seen of it, however many nodes there are below.
 */
import type { FlameNode } from "../model";

export const CULL = 0.5; // px

export interface Row {
  nodes: FlameNode[];
  left: Float64Array; // px, ascending
  width: Float64Array;
}

/** How wide a node is drawn, in units of its metric. */
export type Extent = (node: FlameNode) => number;

export class Layout {
  readonly rows: Row[] = [];
  readonly above: number; // rows of ancestors of what fills the width, itself included
  private done = false;

  constructor(
    zoomed: FlameNode,
    readonly width: number,
    private readonly extent: Extent,
    private readonly closed: (node: FlameNode) => boolean,
  ) {
    const chain: FlameNode[] = [];
    for (let node: FlameNode | null = zoomed; node; node = node.parent) chain.push(node);
    for (const node of chain.reverse()) {
      this.rows.push({
        nodes: [node],
        left: new Float64Array([0]),
        width: new Float64Array([width]),
      });
    }
    this.above = this.rows.length;
  }

  /** Whether all rows are known. */
  get complete(): boolean {
    return this.done;
  }

  /** Place rows until there are `count`, or no more. */
  upTo(count: number): void {
    while (!this.done && this.rows.length < count) {
      const next = this.below(this.rows[this.rows.length - 1]!);
      if (next.nodes.length) this.rows.push(next);
      else this.done = true;
    }
  }

  /** Place rows for `ms` milliseconds at most. */
  during(ms: number): void {
    const stop = performance.now() + ms;
    while (!this.done && performance.now() < stop) this.upTo(this.rows.length + 16);
  }

  private below(row: Row): Row {
    const nodes: FlameNode[] = [];
    const left: number[] = [];
    const width: number[] = [];
    for (let i = 0; i < row.nodes.length; i++) {
      const node = row.nodes[i]!;
      const whole = this.extent(node);
      if (whole <= 0 || this.closed(node)) continue;
      const scale = row.width[i]! / whole;
      let x = row.left[i]!;
      for (const child of node.children()) {
        const w = this.extent(child) * scale;
        if (w >= CULL) {
          nodes.push(child);
          left.push(x);
          width.push(w);
        }
        x += w;
      }
    }
    return { nodes, left: Float64Array.from(left), width: Float64Array.from(width) };
  }

  /** The frame at `x` px in `row`, or null. */
  at(row: number, x: number): FlameNode | null {
    const found = this.rows[row];
    if (!found) return null;
    const i = lastAtMost(found.left, x);
    return i >= 0 && x < found.left[i]! + Math.max(found.width[i]!, 1) ? found.nodes[i]! : null;
  }

  /** Row and index of `node`, or null where it is not placed. */
  find(node: FlameNode): { row: number; index: number } | null {
    let row = -1;
    for (let at: FlameNode | null = node; at; at = at.parent) row++;
    this.upTo(row + 1);
    const index = this.rows[row]?.nodes.indexOf(node) ?? -1;
    return index < 0 ? null : { row, index };
  }
}

function lastAtMost(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
