/** The frames above what fills the width, each a way back to it. */
import type { FlameNode, Groups } from "../model";
import { shortName } from "./naming";

const FIRST = 2;
const LAST = 4;

export function Trail(props: {
  root: FlameNode;
  zoomed: FlameNode;
  whole: string;
  groups: Groups;
  onZoom: (node: FlameNode) => void;
}) {
  const chain: FlameNode[] = [];
  for (let at: FlameNode | null = props.zoomed; at; at = at.parent) chain.push(at);
  chain.reverse();
  const hidden = chain.length - FIRST - LAST;
  const step = (node: FlameNode) => (
    <li key={node.depth}>
      <button
        type="button"
        class="quiet name"
        aria-current={node === props.zoomed ? "location" : undefined}
        onClick={() => props.onZoom(node)}
      >
        {node.group < 0 ? props.whole : shortName(props.groups, node.group)}
      </button>
    </li>
  );
  return (
    <nav aria-label="Frames above">
      <ol class="trail">
        {hidden < 2 ? chain.map(step) : chain.slice(0, FIRST).map(step)}
        {hidden >= 2 && <li class="dim">{hidden} frames</li>}
        {hidden >= 2 && chain.slice(-LAST).map(step)}
      </ol>
    </nav>
  );
}
