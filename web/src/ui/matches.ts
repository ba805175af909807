/** The frames of a flame graph that a search finds, in the order in which they are drawn. */
import { shownNodes, type Dataset, type FlameNode, type Groups } from "../model";

const MOST = 10_000; // frames that are listed
const VISITED = 60_000; // frames that are looked at

/**
 * Frames whose group is in `matches`. Where a frame tells the nodes that it stands for, only those
 * with a match below are entered, so that a search in a large recording costs what it finds.
 */
export function matchingFrames(
  data: Dataset,
  groups: Groups,
  root: FlameNode,
  matches: Uint8Array,
): FlameNode[] {
  const before = counted(data, groups, matches);
  const below = (node: FlameNode): boolean => {
    const { nodes } = node as FlameNode & { nodes?: number[] };
    if (!nodes?.length) return true;
    return nodes.some((at) => before[data.nodes.end[at]!]! > before[at]!);
  };
  const found: FlameNode[] = [];
  const left: FlameNode[] = [root];
  for (let visited = 0; left.length && visited < VISITED && found.length < MOST; visited++) {
    const node = left.pop()!;
    if (node.group >= 0 && matches[node.group]) found.push(node);
    if (!below(node)) continue;
    const children = node.children();
    for (let i = children.length - 1; i >= 0; i--) left.push(children[i]!);
  }
  return found;
}

/** How many nodes before each are shown and match. */
function counted(data: Dataset, groups: Groups, matches: Uint8Array): Int32Array {
  const { count, location } = data.nodes;
  const shown = shownNodes(data, groups);
  const before = new Int32Array(count + 1);
  for (let i = 0; i < count; i++) {
    const hit = shown[i] === i && matches[groups.ofLocation[location[i]!]!] === 1;
    before[i + 1] = before[i]! + (hit ? 1 : 0);
  }
  return before;
}
