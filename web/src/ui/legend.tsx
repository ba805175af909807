/** What the colours of frames mean, and which keys there are. */
import { useMemo } from "preact/hooks";
import { changeFill, frameFill, LANGUAGES } from "./colours";
import type { Metric, Views } from "./views";

export function Legend(props: {
  views: Views;
  dark: boolean;
  metric: Metric;
  searching: boolean;
}) {
  const { views, dark, metric } = props;
  const entries = useMemo(
    () => (metric.pair ? ofChange(metric, dark) : ofOrigin(views, dark)),
    [views, dark, metric.pair !== null, metric.before, metric.told],
  );
  return (
    <ul class="legend" aria-label="What the colours of frames are">
      {entries.map(([words, colour]) => (
        <li key={words}>
          <span class="swatch" style={{ background: colour }} />
          {words}
        </li>
      ))}
      {props.searching && (
        <li>
          <span class="swatch found" />
          found, underlined
        </li>
      )}
    </ul>
  );
}

function ofChange(metric: Metric, dark: boolean): [string, string][] {
  return [
    ["− all of it is gone", changeFill(-1, dark).fill],
    ["− less", changeFill(-0.3, dark).fill],
    ["as it was", changeFill(0, dark).fill],
    ["+ more", changeFill(0.3, dark).fill],
    ["+ all of it is new", changeFill(1, dark).fill],
    [`width: ${widthOf(metric)} together`, "transparent"],
  ];
}

const widthOf = ({ told, before, after }: Metric): string =>
  told ? `${before} and ${after}` : `live at both ends of the range, ${before} and ${after},`;

/** The languages and origins that there are. */
function ofOrigin(views: Views, dark: boolean): [string, string][] {
  const { language, origin, count } = views.data.locations;
  const own = new Set<number>();
  const library = new Set<number>();
  let interpreter = false;
  for (let i = 0; i < count; i++) {
    if (origin[i] === 0) own.add(language[i]!);
    else if (origin[i] === 1 || origin[i] === 4) library.add(language[i]!);
    else interpreter = true;
  }
  const name = (at: number): string => LANGUAGES[at] ?? "";
  const entries: [string, string][] = [];
  for (const at of [...own].sort()) {
    entries.push([`your own ${name(at)} code`, frameFill(at, 0, -1, dark).fill]);
  }
  for (const at of [...library].sort()) {
    entries.push([`${name(at)} libraries`, frameFill(at, 1, -1, dark).fill]);
  }
  if (interpreter) entries.push(["interpreter, allocator", frameFill(0, 2, -1, dark).fill]);
  return entries;
}

const KEYS: [string, string][] = [
  ["← → ↑ ↓", "move among frames"],
  ["Enter", "zoom to the frame"],
  ["Backspace", "back"],
  ["Esc", "all of it again"],
  ["i", "invert"],
  ["s", "callers and callees"],
  ["c", "collapse what it calls"],
  ["/", "search; Enter: next, Shift+Enter: previous"],
];

export function Keys() {
  return (
    <details class="keys">
      <summary>keys</summary>
      <dl>
        {KEYS.map(([key, what]) => (
          <>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </>
        ))}
      </dl>
    </details>
  );
}
