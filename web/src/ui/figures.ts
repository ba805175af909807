/** All figures of one frame, not only of the metric that is shown. */
import { count, shownNodes, size, type Dataset, type FlameNode, type Groups } from "../model";
import type { State } from "./state";
import { pathTo } from "./naming";
import type { Metric, Views } from "./views";

export interface FrameFigures {
  metric: Metric;
  inclusive: number;
  self: number | null; // null: has no meaning here
  baseInclusive: number;
  baseSelf: number | null;
}

/** Figures of `node` for every metric there is; of an inverted tree's, without `self`. */
export function figuresOf(
  views: Views,
  state: State,
  node: FlameNode,
  inverted: boolean,
): FrameFigures[] {
  const { data } = views;
  const samples = inverted ? samplesAbove(data, views.groups(state), node) : samplesBelow(data, node);
  const own = inverted ? null : ownSamples(data, node, samples);
  return views.metrics(state).map((metric) => {
    const { now, before: then } = views.pairOf(state, metric);
    return {
      metric,
      inclusive: sumOf(now, samples),
      self: own && sumOf(now, own),
      baseInclusive: then ? sumOf(then, samples) : 0,
      baseSelf: then && own ? sumOf(then, own) : null,
    };
  });
}

/** What the metric has beside it, in words: "12,593 blocks". */
export function besideOf(views: Views, state: State, node: FlameNode, inverted: boolean): string {
  const { data } = views;
  const info = state.range ? null : data.header.metrics.find((m) => m.name === views.metric(state).name);
  if (!info || data.header.diff || !data.has(`sample.${info.beside}`)) return "";
  const isCaller = inverted && node.parent !== null;
  if (isCaller && rootOf(node).group >= 0) return ""; // of a function's callers only parts count
  const samples = isCaller
    ? samplesAbove(data, views.groups(state), node)
    : samplesBelow(data, node);
  const sum = sumOf(views.figure(state, info.beside), samples);
  const figure = info.beside.endsWith("bytes") ? size(sum) : count(sum);
  return `${figure} ${info.beside_words}`.replace(/ bytes$/, "");
}

function rootOf(node: FlameNode): FlameNode {
  let at = node;
  while (at.parent) at = at.parent;
  return at;
}

/** Rows of samples as spans [from, until). */
type Spans = [number, number][];

function sumOf(values: Float64Array, spans: Spans): number {
  let sum = 0;
  for (const [from, until] of spans) for (let i = from; i < until; i++) sum += values[i]!;
  return sum;
}

/** Samples are in order of node, and a subtree is a span of nodes. */
function samplesBelow(data: Dataset, node: FlameNode): Spans {
  const nodes = nodesOf(node);
  if (!nodes) return [[0, data.samples.count]];
  return nodes.map((at) => [
    lowerBound(data.samples.node, at),
    lowerBound(data.samples.node, data.nodes.end[at]!),
  ]);
}

function ownSamples(data: Dataset, node: FlameNode, all: Spans): Spans {
  const taken = node.children().flatMap((child) => samplesBelow(data, child));
  taken.sort((a, b) => a[0] - b[0]);
  const left: Spans = [];
  let next = 0;
  for (const [from, until] of [...all].sort((a, b) => a[0] - b[0])) {
    let at = from;
    while (next < taken.length && taken[next]![0] < until) {
      if (taken[next]![0] > at) left.push([at, taken[next]![0]]);
      at = Math.max(at, taken[next]![1]);
      next++;
    }
    if (at < until) left.push([at, until]);
  }
  return left;
}

/** The nodes of the data that a frame stands for; null: all, as the root. */
function nodesOf(node: FlameNode): number[] | null {
  const { nodes } = node as FlameNode & { nodes?: number[] };
  return node.group < 0 || !nodes ? null : nodes;
}

/** Samples whose innermost shown frames are those on the way to `node` in an inverted tree. */
function samplesAbove(data: Dataset, groups: Groups, node: FlameNode): Spans {
  const path = pathTo(node);
  if (!path.length) return [[0, data.samples.count]];
  const shown = shownNodes(data, groups);
  const { parent, location } = data.nodes;
  const spans: Spans = [];
  for (let i = 0; i < data.samples.count; i++) {
    let at = shown[data.samples.node[i]!]!;
    let step = 0;
    while (at >= 0 && step < path.length && groups.ofLocation[location[at]!] === path[step]) {
      const above = parent[at]!;
      at = above < 0 ? -1 : shown[above]!;
      step++;
    }
    if (step < path.length) continue;
    const last = spans[spans.length - 1];
    if (last && last[1] === i) last[1] = i + 1;
    else spans.push([i, i + 1]);
  }
  return spans;
}

function lowerBound(sorted: Int32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
