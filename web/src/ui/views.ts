/** All that the page shows of one data set, computed when first asked for and kept while it holds. */
import {
  amount, bothStacks, endOf, figure, Flame, Groups, groupTable, heaviest, largest, nodeValues, ownerTable, rulerOf,
  sampleValues, search, snap, stack, survivalSpan, toldBy, total, touched, type Dataset, type FlameNode, type Found, type Grouping,
  type RangeMetric, type Row, type Selection, type Spans, type Stack, type Unit, type Weighed, type Which,
} from "../model";
import type { State } from "./state";
import { seenFrom } from "./text";

/** Amounts that add up: of metrics, in one recording or the other. */
type Terms = [metric: string, which: Which][];

/** A metric as it is offered: of the whole recording, or of the chosen range. */
export interface Metric {
  name: string;
  words: string;
  unit: Unit;
  definition: string;
  notes: string[]; // to know where it is shown
  /** Shown as the difference of two amounts, of before and of after. */
  pair: [Terms, Terms] | null;
  before: string; // what the first of both is called
  after: string;
  told: boolean; // both amounts mean something by themselves
}

/** The metric's words where it is clear that they are of the chosen range. */
export const shortWords = (metric: Metric): string =>
  metric.words.replace(/ (?:in|of) this range/, "");

/** "1 kB before, 3 kB after"; "" where only their difference means something. */
export const bothWords = ({ told, unit, ...metric }: Metric, before: number, after: number): string =>
  told ? `${amount(before, unit)} ${metric.before}, ${amount(after, unit)} ${metric.after}` : "";

const KEPT = 48; // results; of the largest recordings each takes a few MB
export const SERIES = 8; // places that the timeline tells apart

export class Views {
  private readonly kept = new Map<string, unknown>();

  constructor(readonly data: Dataset) {
    seenFrom(data.header.here ?? "");
  }

  private keep<T>(key: string, make: () => T): T {
    const found = this.kept.get(key);
    this.kept.delete(key);
    const value = found === undefined ? make() : (found as T);
    this.kept.set(key, value);
    if (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value!);
    return value;
  }

  /** The metrics there are to choose from now. */
  metrics(state: State): Metric[] {
    const { ranges, metrics, diff } = this.data.header;
    const offered = state.range ? ranges.filter((one) => this.isKnown(one)) : metrics;
    const noted = (name: string): string[] =>
      (!state.range && metrics.find((one) => one.name === name)?.notes) || [];
    return offered.map(({ name, words, unit, definition }) => ({
      name,
      words: toldBy(name).told === "survived" && !this.knowsAges("new") ? `${words} (at least)` : words,
      unit,
      definition,
      notes: noted(name),
      ...(diff ? compared(name) : ofOne(name)),
    }));
  }

  private knowsAges(which: Which): boolean {
    return this.data.sides[which].column("birth.time").length > 0;
  }

  /** Of what is known at least, a difference says nothing. */
  private isKnown({ name }: RangeMetric): boolean {
    const both = this.knowsAges("new") && this.knowsAges("base");
    return toldBy(name).told !== "survived" || both || !this.data.header.diff;
  }

  metric(state: State): Metric {
    const all = this.metrics(state);
    const wanted = state.range ? state.change || "survived" : state.metric;
    return all.find((one) => one.name === wanted) ?? all[0]!;
  }

  selection(state: State, metric: string): Selection {
    return {
      metric,
      range: state.range,
      threads: state.threads && new Set(state.threads),
      processes: state.processes && new Set(state.processes),
    };
  }

  /** Whose memory, and when: what figures depend on besides the metric. */
  private scope(state: State): string {
    return JSON.stringify([state.range, state.threads, state.processes]);
  }

  /** One figure of each sample. */
  amounts(state: State, metric: string, which: Which = "new"): Float64Array {
    return this.keep(`amounts ${metric} ${which} ${this.scope(state)}`, () =>
      sampleValues(this.data, this.selection(state, metric), which),
    );
  }

  /** A figure of each sample over the whole recording, of what is chosen. */
  figure(state: State, column: string): Float64Array {
    return this.keep(`figure ${column} ${this.scope(state)}`, () => {
      const { thread, process } = this.data.samples;
      const { threads, processes } = this.selection(state, "");
      const all = new Float64Array(figure(this.data, column));
      if (!threads && !processes) return all;
      return all.map((value, i) => {
        const counted =
          (!threads || threads.has(thread[i]!)) && (!processes || processes.has(process[i]!));
        return counted ? value : 0;
      });
    });
  }

  /** Sums of figures of each sample. */
  private sum(state: State, terms: Terms): Float64Array {
    const [first, ...others] = terms.map(([metric, which]) => this.amounts(state, metric, which));
    if (!others.length) return first!;
    return this.keep(`sum ${JSON.stringify(terms)} ${this.scope(state)}`, () =>
      first!.map((value, i) => others.reduce((sum, other) => sum + other[i]!, value)),
    );
  }

  /** What a metric is of each sample: now, and of a difference before. */
  pairOf(state: State, { name, pair }: Metric): { now: Float64Array; before: Float64Array | null } {
    if (!pair) return { now: this.amounts(state, name), before: null };
    return { now: this.sum(state, pair[1]), before: this.sum(state, pair[0]) };
  }

  values(state: State): Weighed {
    const metric = this.metric(state);
    return this.keep(`values ${metric.name} ${this.scope(state)}`, () => {
      const { now, before } = this.pairOf(state, metric);
      return {
        samples: now,
        nodes: nodeValues(this.data, now),
        base: before && { values: before, nodes: nodeValues(this.data, before) },
      };
    });
  }

  groups(state: State, by: Grouping["by"] = state.by): Groups {
    const { interpreter, library, recursion, templates } = state;
    const grouping = { by, interpreter, library, recursion, templates };
    return this.keep(`groups ${this.folds(state, by)}`, () => new Groups(this.data, grouping));
  }

  private folds(state: State, by: Grouping["by"] = state.by): string {
    return [by, state.interpreter, state.library, state.recursion, state.templates].join();
  }

  private key(state: State, by: Grouping["by"] = state.by): string {
    return `${this.metric(state).name} ${this.scope(state)} ${this.folds(state, by)}`;
  }

  root(state: State): FlameNode {
    const make = state.view === "stack" ? Flame.topDown : Flame.bottomUp;
    return this.keep(`flame ${state.view} ${this.key(state)}`, () => {
      const { nodes, base } = this.values(state);
      return make(this.data, this.groups(state), nodes, base?.nodes ?? null).root;
    });
  }

  /** Who calls a group, and what it calls: two trees with the group at their roots. */
  sandwich(state: State, group: number): { callers: FlameNode; callees: FlameNode } {
    return this.keep(`sandwich ${group} ${this.key(state)}`, () => {
      const { nodes, base } = this.values(state);
      const groups = this.groups(state);
      const before = base?.nodes ?? null;
      return {
        callers: Flame.callers(this.data, groups, nodes, group, before).root,
        callees: Flame.callees(this.data, groups, nodes, group, before).root,
      };
    });
  }

  table(state: State, by: Grouping["by"]): Row[] {
    return this.keep(`table ${this.key(state, by)}`, () => {
      const { samples, nodes, base } = this.values(state);
      return groupTable(this.data, this.groups(state, by), samples, nodes, base);
    });
  }

  /** `groups`, each placed where it has most of what is shown: a function at its line, a line in its function. */
  placed(state: State, by: Grouping["by"] = state.by): Groups {
    return this.keep(`placed ${this.key(state, by)}`, () => {
      const groups = this.groups(state, by);
      return groups.placed(heaviest(this.data, groups, this.values(state)));
    });
  }

  owners(state: State, by: "thread" | "process"): Row[] {
    return this.keep(`owners ${by} ${this.key(state)}`, () => {
      const { samples, base } = this.values(state);
      return ownerTable(this.data, by, samples, base?.values ?? null);
    });
  }

  found(state: State): Found | null {
    if (!state.search) return null;
    return this.keep(`found ${state.search} ${this.key(state)}`, () =>
      search(this.data, this.placed(state), state.search, this.values(state).nodes),
    );
  }

  /** The live heap over time by the functions that hold most of it; of no range. */
  stack(state: State): { stack: Stack; groups: Groups } | null {
    if (!this.data.bins.count) return null;
    const { threads, processes } = state;
    const whole = { ...state, interpreter: "show", library: "show" } as State;
    const groups = this.groups(whole, "function");
    const key = JSON.stringify([threads, processes, state.templates, state.recursion]);
    return this.keep(`stack ${key}`, () => ({
      stack: stack(this.data, groups, this.selection({ ...state, range: null }, ""), SERIES),
      groups,
    }));
  }

  /** The same of both recordings of a comparison, before and after; null: not known. */
  bothStacks(state: State): { stacks: [Stack, Stack]; groups: Groups } | null {
    const groups = this.groups({ ...state, interpreter: "show", library: "show" } as State, "function");
    const key = JSON.stringify([state.templates, state.recursion]);
    const stacks = this.keep(`both ${key}`, () => bothStacks(this.data, groups, SERIES));
    return stacks && { stacks, groups };
  }

  /** The highest live heap within the range, of all threads and processes; null: not known. */
  highest(state: State, which: Which = "new"): number | null {
    if (!state.range || state.threads || state.processes) return null;
    const stacks = this.data.header.diff ? this.bothStacks(state)?.stacks : [this.stack(state)?.stack];
    const stack = stacks?.[which === "new" ? stacks.length - 1 : 0];
    if (!stack) return null;
    const [first, stop] = touched(this.data.sides[which].bins, state.range);
    return first < stop ? largest(stack.highest, first, stop) : null;
  }

  /** Sums over all that is selected, of some range metrics. */
  sums(state: State, metrics: string[], which: Which = "new"): number[] {
    return metrics.map((metric) => total(this.amounts(state, metric, which)));
  }

  /** What `survived` speaks of: the span that ages are known of, nearest to the range. */
  span(state: State, which: Which = "new"): { start: number; end: number } | null {
    return state.range && survivalSpan(this.data.sides[which], state.range);
  }

  /** `range` as far as something is known of that time; null: nothing is. */
  within(range: State["range"]): State["range"] {
    const end = Math.max(endOf(this.ruler("new")), endOf(this.ruler("base")));
    if (!range || range[0] >= end) return null;
    return range[1] > end ? [range[0], end] : range;
  }

  /** Whether the range is one of whole spans, of either recording. */
  isExact(range: State["range"]): boolean {
    return !range || (["new", "base"] as const).some((which) => String(snap(this.ruler(which), range)) === String(range));
  }

  /** What a range on the chart of a recording snaps to. */
  ruler(which: Which): Spans {
    const { sides } = this.data;
    return this.keep(`ruler ${which}`, () =>
      rulerOf(sides[which].bins, sides[which === "new" ? "base" : "new"].bins),
    );
  }
}

const NAMES = { before: "before", after: "after" };

/** How a metric of a comparison is one of both recordings. */
function compared(name: string): Pick<Metric, "pair" | "before" | "after" | "told"> {
  // Growth is less than nothing here and there; what was live on the other side is added to both.
  const { told, suffix } = toldBy(name);
  if (told === "grown") {
    const [start, end] = [`live_start${suffix}`, `live_end${suffix}`];
    return { pair: [[[start, "new"], [end, "base"]], [[end, "new"], [start, "base"]]], ...NAMES, told: false };
  }
  return { pair: [[[name, "base"]], [[name, "new"]]], ...NAMES, told: true };
}

function ofOne(name: string): Pick<Metric, "pair" | "before" | "after" | "told"> {
  const { told, suffix } = toldBy(name);
  if (told !== "grown") return { pair: null, ...NAMES, told: true };
  return {
    pair: [[[`live_start${suffix}`, "new"]], [[`live_end${suffix}`, "new"]]],
    before: "live at the range's start",
    after: "live at its end",
    told: true,
  };
}
