/** What a chosen range of time did, in words. */
import { count, duration, signed, size } from "../model";
import type { State } from "./state";
import type { Views } from "./views";

const seconds = (ns: number): string => duration(ns / 1e9);

export function RangeWords(props: { views: Views; state: State; onClear: () => void }) {
  const { views, state } = props;
  const [from, to] = state.range!;
  const [allocated, allocations, freed, before, after, survived] = views.sums(state, [
    "allocated", "allocations", "freed", "live_start", "live_end", "survived",
  ]) as [number, number, number, number, number, number];
  return (
    <div class="words" role="status">
      <span>
        <strong>
          {seconds(from)} – {seconds(to)}:
        </strong>{" "}
        allocated {size(allocated)} in {count(allocations)} allocations, freed {size(freed)}; live
        heap from {size(before)} to {size(after)} ({signed(after - before, "bytes")}).{" "}
        <Survived views={views} state={state} value={survived} most={Math.min(allocated, after)} />{" "}
        All below is of this range.
      </span>
      <button type="button" class="quiet" onClick={props.onClear} title="Escape on the timeline">
        whole recording
      </button>
    </div>
  );
}

function Survived(props: { views: Views; state: State; value: number; most: number }) {
  const { views, state, value, most } = props;
  const [from, to] = state.range!;
  const span = views.span(state);
  if (!span) {
    const exact = value >= most;
    return (
      <>
        Allocated in it and still alive at its end: {exact ? "" : "at least "}
        {size(value)}
        {exact ? "" : `, at most ${size(most)} (the ages of blocks were not recorded)`}.
      </>
    );
  }
  const near = span.start !== from || span.end !== to;
  return (
    <>
      Allocated in it and still alive at its end: {size(value)}
      {near && ` (ages are known from ${seconds(span.start)} to ${seconds(span.end)})`}.
    </>
  );
}
