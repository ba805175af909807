/** Everything about one frame: where it is, its figures of every metric, what to do with it. */
import type { ComponentChildren } from "preact";
import { amount, LANGUAGES, percent, signed, type FlameNode, type Groups } from "../model";
import { ORIGINS } from "./colours";
import type { FrameFigures } from "./figures";
import { fullName, fullPlace } from "./naming";
import { bothWords, shortWords, type Metric } from "./views";

const WHOSE: Record<(typeof ORIGINS)[number], string> = {
  own: "your own code",
  library: "library",
  interpreter: "interpreter",
  allocator: "allocator",
  unknown: "",
};

/** "your own code, Python". */
export function kindOf(groups: Groups, group: number): string {
  const whose = WHOSE[ORIGINS[groups.origin(group)] ?? "unknown"];
  return [whose, LANGUAGES[groups.language(group)] ?? ""].filter(Boolean).join(", ");
}

export function Details(props: {
  node: FlameNode;
  whole: string;
  groups: Groups;
  figures: FrameFigures[] | null; // null: not known yet
  metric: Metric;
  actions?: ComponentChildren;
}) {
  const { node, groups } = props;
  const figures = props.figures ?? [];
  const root = node.group < 0;
  const own = figures.some((figure) => figure.self !== null);
  return (
    <section class="details" aria-label="The selected frame">
      <h2 class="name">{root ? props.whole : fullName(groups, node.group)}</h2>
      {!root && (
        <>
          <p class="place mono">{fullPlace(groups, node.group)}</p>
          <p class="hint">{kindOf(groups, node.group)}</p>
          {props.actions && <div class="actions">{props.actions}</div>}
        </>
      )}
      <table>
        <thead>
          <tr>
            <th scope="col">
              <span class="only-read">metric</span>
            </th>
            {own && (
              <th scope="col" class="figure" title="what none of its callees has">
                self
              </th>
            )}
            <th scope="col" class="figure" title="with all that it calls">
              {own ? "with callees" : "by this way"}
            </th>
          </tr>
        </thead>
        <tbody>
          {figures.map((figure) => (
            <Line key={figure.metric.name} figure={figure} own={own} />
          ))}
        </tbody>
      </table>
      {props.metric.pair && (
        <p class="hint">
          Differences: {props.metric.after} less {props.metric.before}.
        </p>
      )}
    </section>
  );
}

function Line({ figure, own }: { figure: FrameFigures; own: boolean }) {
  const { metric } = figure;
  const text = (now: number, before: number | null): string =>
    metric.pair ? signed(now - (before ?? 0), metric.unit) : amount(now, metric.unit);
  return (
    <tr>
      <th scope="row" title={metric.definition}>
        {shortWords(metric)}
      </th>
      {own && <td class="figure">{text(figure.self ?? 0, figure.baseSelf)}</td>}
      <td class="figure">{text(figure.inclusive, figure.baseInclusive)}</td>
    </tr>
  );
}

/** The note beside the pointer. */
export function FrameTip(props: {
  node: FlameNode;
  whole: string;
  groups: Groups;
  metric: Metric;
  total: FlameNode; // of the whole chart
  inverted: boolean; // children are callers
  beside: string; // the companion figure, or ""
}) {
  const { node, groups, metric, total } = props;
  const size = (at: FlameNode): number => (metric.pair ? at.value + at.base : at.value);
  const share = (of: FlameNode): string => percent(size(of) ? size(node) / size(of) : 0);
  const words = bothWords(metric, node.base, node.value);
  return (
    <>
      <strong class="name">{node.group < 0 ? props.whole : fullName(groups, node.group)}</strong>
      {node.group >= 0 && <div class="place">{fullPlace(groups, node.group)}</div>}
      <div>
        {metric.pair ? (
          <>
            <b>{signed(node.value - node.base, metric.unit)}</b>
            {words && `: ${words}`}
          </>
        ) : (
          <>
            <b>{amount(node.value, metric.unit)}</b> {metric.words}
            {props.beside && `, ${props.beside}`}
          </>
        )}
      </div>
      {node.parent && !metric.pair && (
        <div class="dim">
          {share(total)} of all
          {node.parent !== total && `, ${share(node.parent)} of the frame ${props.inverted ? "called" : "above"}`}
        </div>
      )}
      {node.group >= 0 && <div class="dim">{kindOf(groups, node.group)}</div>}
    </>
  );
}
