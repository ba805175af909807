/** The flame graph as a table whose rows open: the same frames for eyes, keys and screen readers. */
import { useMemo, useState } from "preact/hooks";
import { amount, percent, signed, type FlameNode, type Groups } from "../model";
import { fullName, fullPlace, shortName, shortPlace } from "./naming";
import { Ending } from "./grouptable";
import { Rows, type Column } from "./rows";
import { shortWords, type Metric } from "./views";

const INDENTED = 12; // levels; deeper ones are told by their number
const WITHOUT_ASKING = 3; // levels that are open at first where one child has most

export function FrameTable(props: {
  root: FlameNode;
  whole: string;
  groups: Groups;
  metric: Metric;
  selected: FlameNode | null;
  onSelect: (node: FlameNode) => void;
}) {
  const { root, groups, metric } = props;
  const [opened, setOpened] = useState<{ root: FlameNode; nodes: Set<FlameNode> } | null>(null);
  const open = opened?.root === root ? opened.nodes : atFirst(root);
  const list = useMemo(() => flattened(root, open), [root, open]);
  const toggle = (row: number): void => {
    const nodes = new Set(open);
    const node = list[row]!;
    if (!nodes.delete(node)) nodes.add(node);
    setOpened({ root, nodes });
  };
  const weight = (node: FlameNode): number => (metric.pair ? node.value + node.base : node.value);
  const name = (node: FlameNode) => (
    <span
      class="text"
      style={{ paddingLeft: `${Math.min(node.depth - root.depth, INDENTED) * 12}px` }}
    >
      <button
        type="button"
        class="twist"
        tabIndex={-1}
        aria-hidden="true"
        onClick={(event) => {
          event.stopPropagation();
          toggle(list.indexOf(node));
        }}
      >
        {node.children().length ? (open.has(node) ? "▾" : "▸") : ""}
      </button>
      {node.depth - root.depth > INDENTED && <span class="dim">{node.depth}</span>}
      <span class="name" title={node.group < 0 ? "" : fullName(groups, node.group)}>
        {node.group < 0 ? props.whole : shortName(groups, node.group)}
      </span>
    </span>
  );
  const text = (value: number, base: number): string =>
    metric.pair ? signed(value - base, metric.unit) : amount(value, metric.unit);
  const columns: Column[] = [
    { key: "name", title: "frame", width: "minmax(200px, 3fr)", cell: (row) => name(list[row]!) },
    {
      key: "value",
      title: shortWords(metric),
      figure: true,
      width: "minmax(90px, 170px)",
      cell: (row) => text(list[row]!.value, list[row]!.base),
    },
    {
      key: "share",
      title: "share of all",
      figure: true,
      width: "96px",
      cell: (row) => percent(weight(root) ? weight(list[row]!) / weight(root) : 0),
    },
    {
      key: "self",
      title: "self",
      figure: true,
      width: "96px",
      narrow: true,
      cell: (row) => text(list[row]!.self, list[row]!.baseSelf),
    },
    {
      key: "place",
      title: "place",
      width: "minmax(120px, 2fr)",
      narrow: true,
      cell: (row) =>
        list[row]!.group < 0 ? "" : (
          <span class="place" title={fullPlace(groups, list[row]!.group)}>
            <Ending text={shortPlace(groups.place(list[row]!.group))} />
          </span>
        ),
    },
  ];
  return (
    <Rows
      label={`Frames, ${metric.words}`}
      count={list.length}
      columns={columns}
      chosen={props.selected ? list.indexOf(props.selected) : -1}
      onOpen={(row) => props.onSelect(list[row]!)}
      tree={{
        level: (row) => list[row]!.depth - root.depth + 1,
        open: (row) => (list[row]!.children().length ? open.has(list[row]!) : null),
        toggle,
        parent: (row) => list.indexOf(list[row]!.parent!),
      }}
    />
  );
}

const first = new WeakMap<FlameNode, Set<FlameNode>>();

function atFirst(root: FlameNode): Set<FlameNode> {
  let found = first.get(root);
  if (!found) {
    found = new Set([root]);
    let at: FlameNode = root;
    for (let level = 0; level < WITHOUT_ASKING && at.children().length; level++) {
      at = at.children()[0]!;
      found.add(at);
    }
    first.set(root, found);
  }
  return found;
}

/** What is in sight, a parent before its children. */
function flattened(root: FlameNode, open: Set<FlameNode>): FlameNode[] {
  const list: FlameNode[] = [];
  const left = [root];
  while (left.length) {
    const node = left.pop()!;
    list.push(node);
    if (!open.has(node)) continue;
    const children = node.children();
    for (let i = children.length - 1; i >= 0; i--) left.push(children[i]!);
  }
  return list;
}
