/** How large blocks are and how long they live: a chart, and its table. */
import { useMemo } from "preact/hooks";
import { count, histogram, isEstimate, percent, some, type Bucket, type HistogramKind } from "../model";
import { BarChart } from "./barchart";
import type { State } from "./state";
import type { Views } from "./views";

const SAYS: Record<HistogramKind, { title: string; column: string; help: string }> = {
  size: {
    title: "Allocations by size",
    column: "size",
    help: "Every allocation and reallocation, by the bytes it asked for.",
  },
  life: {
    title: "Freed blocks by how long they lived",
    column: "lived",
    help: "Time from allocation to free.",
  },
  age: {
    title: "Freed blocks by allocations in between",
    column: "further allocations",
    help:
      "How many allocations the same thread made before the block was freed. " +
      "0: freed before the next one, which is a temporary allocation.",
  },
};

interface Props {
  views: Views;
  state: State;
  theme: string;
}

export function Histograms(props: Props & { kinds: HistogramKind[] }) {
  const { views, state, theme, kinds } = props;
  return (
    <>
      {state.range && isEstimate(views.data) && (
        <p class="hint">
          Sizes and lifetimes were recorded by stack and not by time: what a stack allocated or freed in the
          chosen range is taken to be as its blocks were over the whole recording.
        </p>
      )}
      <div class="columns">
        {kinds.map((kind) => (
          <Histogram key={kind} views={views} state={state} theme={theme} kind={kind} />
        ))}
      </div>
    </>
  );
}

function Histogram({ views, state, theme, kind }: Props & { kind: HistogramKind }) {
  const { title, column, help } = SAYS[kind];
  const { threads, processes, range } = state;
  const buckets = useMemo(() => {
    const owners = {
      threads: threads && new Set(threads),
      processes: processes && new Set(processes),
    };
    return trimmed(histogram(views.data, kind, owners, range));
  }, [views, kind, threads, processes, range?.[0], range?.[1]]);
  const total = buckets.reduce((sum, bucket) => sum + bucket.count, 0);
  if (!total) {
    return (
      <section>
        <h3>{title}</h3>
        <p class="empty">Nothing to count.</p>
      </section>
    );
  }
  let sum = 0;
  const upTo = buckets.map((bucket) => (sum += bucket.count));
  const says = (bar: number): string =>
    `${some(buckets[bar]!.count, "block", "blocks")}, ${percent(buckets[bar]!.count / total)}; ` +
    `up to here ${percent(upTo[bar]! / total)}`;
  return (
    <section>
      <h3>{title}</h3>
      <p class="hint">{help}</p>
      <BarChart buckets={buckets} theme={theme} says={says} />
      <table class="plain histogram">
        <thead>
          <tr>
            <th scope="col">{column}</th>
            <th scope="col" class="figure">
              blocks
            </th>
            <th scope="col" class="figure">
              share
            </th>
            <th scope="col" class="figure" title="this and all above">
              up to here
            </th>
          </tr>
        </thead>
        <tbody>
          {buckets.map((bucket, i) => (
            <tr key={bucket.label}>
              <th scope="row">{bucket.label}</th>
              <td class="figure">{count(bucket.count)}</td>
              <td class="figure">{percent(bucket.count / total)}</td>
              <td class="figure">{percent(upTo[i]! / total)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Without the empty buckets at the end. */
function trimmed(buckets: Bucket[]): Bucket[] {
  let until = buckets.length;
  while (until > 0 && !buckets[until - 1]!.count) until--;
  return buckets.slice(0, until);
}
