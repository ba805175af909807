/** What frames and figures have to be, computed stack by stack. */
import {
  nodeValues, sampleValues, type Dataset, type FlameNode, type Grouping, type Groups, type NodeValues,
  type Selection,
} from "../src/model";
import { make, type Description } from "./make";

export const PEAK: Selection = { metric: "peak", range: null, threads: null, processes: null };

export const GROUPINGS: Grouping[] = [];
for (const by of ["function", "line", "file", "module"] as const)
  for (const interpreter of ["show", "hide"] as const)
    for (const library of ["show", "merge", "hide"] as const)
      for (const recursion of ["show", "merge"] as const)
        GROUPINGS.push({
          by, interpreter, library, recursion,
          templates: library === "show" ? "hide" : "show",
        });

export const SMALL: Description = {
  places: [
    { function: "main" },
    { function: "work" },
    { function: "alloc", origin: 1, module: "libx" },
    { function: "pool", origin: 1, module: "libx" },
  ],
  samples: [
    { stack: [0], figures: { peak_bytes: 1 } },
    { stack: [0, 1, 2], site: 1, figures: { peak_bytes: 10 } },
    { stack: [0, 1, 1, 2], site: 1, figures: { peak_bytes: 100 } },
    { stack: [0, 2, 3], site: 0, figures: { peak_bytes: 1000 } },
  ],
};

export interface Prepared {
  data: Dataset;
  values: Float64Array;
  baseValues: Float64Array;
  nodes: NodeValues;
  base: NodeValues;
}

export function prepare(description: Description): Prepared {
  const data = make(description);
  const values = sampleValues(data, PEAK);
  const baseValues = sampleValues(data, PEAK, "base");
  return {
    data, values, baseValues,
    nodes: nodeValues(data, values),
    base: nodeValues(data, baseValues),
  };
}

export const sum = (values: Iterable<number>): number =>
  [...values].reduce((all, one) => all + one, 0);

/** The groups that a sample's stack is shown as, outermost first. */
export function shownStack(data: Dataset, groups: Groups, sample: number): number[] {
  const found: number[] = [];
  for (let at = data.samples.node[sample]!; at >= 0; at = data.nodes.parent[at]!) {
    const place = data.nodes.location[at]!;
    if (!groups.hidden[place]) found.unshift(groups.ofLocation[place]!);
  }
  return found.filter((group, i) => !(groups.merges[group] && found[i - 1] === group));
}

/** Figures by the way to a frame, as `/group/group`: what the frame itself has, before and now. */
export type Ways = Map<string, [number, number]>;

export function addWay(ways: Ways, way: number[], value: number, base: number): void {
  if (!value && !base) return;
  const key = way.map((group) => `/${group}`).join("");
  const [was, wasBase] = ways.get(key) ?? [0, 0];
  ways.set(key, [was + value, wasBase + base]);
}

/** All frames below `root` with something of their own. Checks what must hold in every one. */
export function waysOf(root: FlameNode): Ways {
  const ways: Ways = new Map();
  const open: [FlameNode, string][] = [[root, ""]];
  while (open.length) {
    const [node, way] = open.pop()!;
    if (node.self || node.baseSelf) ways.set(way, [node.self, node.baseSelf]);
    const children = node.children();
    const sizes = children.map((child) => Math.max(child.value, child.base));
    if (sizes.some((size, i) => size <= 0 || size > (sizes[i - 1] ?? Infinity))) {
      throw new Error(`children out of order at ${way}: ${sizes}`);
    }
    for (const child of children) {
      if (child.parent !== node || child.depth !== node.depth + 1) throw new Error(`lost at ${way}`);
      open.push([child, `${way}/${child.group}`]);
    }
  }
  return ways;
}

export const sorted = (ways: Ways): [string, [number, number]][] =>
  [...ways].sort(([a], [b]) => (a < b ? -1 : 1));
