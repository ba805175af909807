/** How frames look: their colour, and what is written in them. */
import { amount, signed, type Dataset, type FlameNode, type Groups } from "../model";
import { changeFill, frameFill, hash, type Fill } from "./colours";
import { shortName } from "./naming";
import type { Look } from "./paint";
import type { Metric } from "./views";

export interface Ask {
  data: Dataset;
  groups: Groups;
  metric: Metric;
  dark: boolean;
  whole: string; // what the root is called
}

/** Without what depends on a search, and on which frames are closed. */
export function lookOf(ask: Ask): Omit<Look, "hit" | "closed"> {
  const { data, groups, metric, dark } = ask;
  const fills: (Fill | undefined)[] = [];
  const labels: (string | undefined)[] = [];
  const root: Fill = frameFill(0, 2, 0, dark);
  const byGroup = (group: number): Fill => {
    const place = groups.location[group]!;
    const at = data.locations;
    const module = at.module[place] || at.file[place]!;
    const shade = hash(data.texts[module] ?? "");
    return frameFill(groups.language(group), groups.origin(group), shade, dark);
  };
  return {
    fill: (node) => {
      if (metric.pair) return changeFill(changed(node), dark);
      return node.group < 0 ? root : (fills[node.group] ??= byGroup(node.group));
    },
    label: (node) =>
      node.group < 0 ? ask.whole : (labels[node.group] ??= shortName(groups, node.group)),
    beside: (node) =>
      node.group < 0 ? "" // is in its name
      : metric.pair ? signed(node.value - node.base, metric.unit) : amount(node.value, metric.unit),
  };
}

export const hitBy = (matches: Uint8Array | null): Look["hit"] =>
  matches && ((node) => node.group >= 0 && matches[node.group] === 1);

export const closedBy = (folded: ReadonlySet<number>): Look["closed"] =>
  folded.size ? (node) => folded.has(node.group) : nothing;

const nothing = (): boolean => false;

/** How much of a frame's memory came or went: -1 all gone … 0 … 1 all new. */
export const changed = (node: FlameNode): number =>
  (node.value - node.base) / (Math.max(node.value, node.base) || 1);

/** Widths: of a comparison, before and after together, so that what is gone has its place too. */
export const single = (node: FlameNode): number => node.value;
export const both = (node: FlameNode): number => node.value + node.base;
