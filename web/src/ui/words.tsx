/** What a chosen range of time did, in words. */
import { count, covered, duration, durations, endOf, signed, size, type Unit, type Which } from "../model";
import type { State } from "./state";
import type { Views } from "./views";

interface Props {
  views: Views;
  state: State;
}

const seconds = (ns: number): string => duration(ns / 1e9);
const span = ([from, to]: [number, number]): string =>
  durations(from / 1e9, to / 1e9).join(" – ");

export function RangeWords(props: Props & { onClear: () => void }) {
  const { views, state } = props;
  return (
    <div class="words" role="status">
      <span>
        <strong>{span(state.range!)}:</strong>{" "}
        {views.data.header.diff ? <Both {...props} /> : <One {...props} />}
      </span>
      <button type="button" class="quiet" onClick={props.onClear} title="Escape on the timeline">
        whole recording
      </button>
    </div>
  );
}

const TOLD = ["allocated", "allocations", "freed", "live_start", "live_end", "survived"];
type Told = [number, number, number, number, number, number];

function One({ views, state }: Props) {
  const [allocated, allocations, freed, before, after, survived] = views.sums(state, TOLD) as Told;
  const highest = views.highest(state);
  return (
    <>
      allocated {size(allocated)} in {count(allocations)} allocations, freed {size(freed)}; live
      heap from {size(before)} to {size(after)} ({signed(after - before, "bytes")})
      {highest !== null &&
        size(highest) !== size(Math.max(before, after)) &&
        `, at its highest ${size(highest)}`}
      .{" "}
      <Survived views={views} state={state} value={survived} most={Math.min(allocated, after)} />{" "}
      All below is of this range.
    </>
  );
}

function Survived(props: Props & { value: number; most: number }) {
  const { views, state, value, most } = props;
  const [from, to] = state.range!;
  const known = views.span(state);
  if (!known) {
    const exact = value >= most;
    return (
      <>
        Allocated in it and still alive at its end: {exact ? "" : "at least "}
        {size(value)}
        {exact ? "" : `, at most ${size(most)} (the ages of blocks were not recorded)`}.
      </>
    );
  }
  const near = known.start !== from || known.end !== to;
  return (
    <>
      Allocated in it and still alive at its end: {size(value)}
      {near && ` (ages are known from ${seconds(known.start)} to ${seconds(known.end)})`}.
    </>
  );
}

function both([before, after]: number[], unit: Unit = "bytes"): string {
  const text = unit === "bytes" ? size : count;
  return `${text(before!)} and ${text(after!)} (${signed(after! - before!, unit)})`;
}

/** Of a comparison: of both what there was in it, before and after, and the difference. */
function Both({ views, state }: Props) {
  const sums = { base: views.sums(state, TOLD, "base"), new: views.sums(state, TOLD) };
  const told = (name: string, unit: Unit = "bytes"): string => {
    const at = TOLD.indexOf(name);
    return both([sums.base[at]!, sums.new[at]!], unit);
  };
  const [start, end] = [TOLD.indexOf("live_start"), TOLD.indexOf("live_end")];
  const ends = (["base", "new"] as const).map((which) =>
    Math.max(sums[which][start]!, sums[which][end]!),
  );
  const highest = ends.map((one, i) => Math.max(one, views.highest(state, i ? "new" : "base") ?? 0));
  const risen = (one: number, i: number): boolean => size(one) !== size(ends[i]!);
  const survived = views.metrics(state).some(({ name }) => name === "survived");
  return (
    <>
      before and after, allocated {told("allocated")} in {told("allocations", "allocations")}{" "}
      allocations, freed {told("freed")}; live heap at its start {told("live_start")}, at its end{" "}
      {told("live_end")}
      {highest.some(risen) && `, at its highest ${both(highest)}`}.{" "}
      {survived &&
        `Allocated in it and still alive at its end: ${told("survived")}${agesOf(views, state)}. `}
      {coverOf(views, state, "base", "older")}
      {coverOf(views, state, "new", "newer")}
      All below compares both in this range.
    </>
  );
}

/** Which times ages are known of, where they are others than the range's. */
function agesOf(views: Views, state: State): string {
  const parts = (["base", "new"] as const).map((which) => {
    const known = views.span(state, which);
    return known ? span([known.start, known.end]) : "";
  });
  const [before, after] = parts as [string, string];
  const range = span(state.range!);
  if (parts.every((part) => !part || part === range)) return "";
  if (before === after) return ` (ages are known for ${before})`;
  const told = [before && `for ${before} before`, after && `for ${after} after`];
  return ` (ages are known ${told.filter(Boolean).join(", ")})`;
}

/** Which time of a recording is counted, where its own spans are others than the range. */
function coverOf(views: Views, state: State, which: Which, name: string): string {
  const { bins } = views.data.sides[which];
  const range = state.range!;
  if (!bins.count) return `Nothing is known of the ${name} recording over time. `;
  const cover = covered(bins, range);
  if (cover) return span(cover) === span(range) ? "" : `Of the ${name} recording it is ${span(cover)}. `;
  if (range[0] < endOf(bins)) return ""; // nothing changed then
  return `The ${name} recording had ended at ${seconds(endOf(bins))}: what lived then is compared. `;
}
