/** What stands at a moment of the timeline, and what its colours are. */
import { duration, size } from "../model";
import { heldAt, highestAt, rowAt, valueAt, type Key, type Timeplot } from "./timeplot";
import type { Views } from "./views";

const NEAR = 0.006; // of the width: a mark so far from the pointer is named
const NAMED = 4; // marks
const HIGHEST = "highest about then";

interface Asked {
  views: Views;
  sides: Timeplot[]; // one, or both that are compared
  time: number;
  short?: boolean;
}

/** What is at a moment. */
export function At(props: Asked) {
  return props.sides.length > 1 ? <AtBoth {...props} /> : <AtOne {...props} />;
}

function AtBoth({ sides, time, short }: Asked) {
  const cell = (value: number | null): string => (value === null ? "–" : size(value));
  const cells = (values: (side: Timeplot) => Float64Array | undefined): string[] =>
    sides.map((side) => {
      const own = values(side);
      return cell(side.stack && own ? valueAt(side.stack, own, time) : null);
    });
  const live = cells(({ stack }) => stack?.total);
  const highest = sides.map(({ stack }) => cell(stack && highestAt(stack, time)));
  const rises = highest.map((value, i) => value !== live[i]);
  if (short) {
    const said = sides.map(
      ({ title }, i) => `${title} ${live[i]}${rises[i] ? ` (highest ${highest[i]})` : ""}`,
    );
    return <>{[duration(time / 1e9), ...said].join(" · ")}</>;
  }
  const { keys, stack } = sides[sides.length - 1]!;
  const rows: [string, string | null, string[]][] = [["live heap", null, live]];
  if (rises.includes(true)) rows.push([HIGHEST, null, highest]);
  stack?.groups.forEach((_, k) => {
    rows.push([keys[k]!.name, keys[k]!.colour, cells((side) => side.stack?.series[k])]);
  });
  rows.push(["all others", null, cells((side) => side.stack?.rest)]);
  return (
    <>
      <strong>{duration(time / 1e9)}</strong>
      <Near made={sides[sides.length - 1]!} time={time} />
      <table>
        <thead>
          <tr>
            <td />
            {sides.map(({ title }) => (
              <td key={title} class="figure dim">
                {title}
              </td>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows
            .filter(([, , values]) => values.some((value) => value !== "–" && value !== "0 B"))
            .map(([name, colour, values]) => (
              <tr key={name}>
                <td>
                  {colour && <span class="swatch" style={{ background: colour }} />}
                  {name}
                </td>
                {values.map((value, i) => (
                  <td key={i} class="figure">
                    {value}
                  </td>
                ))}
              </tr>
            ))}
        </tbody>
      </table>
    </>
  );
}

/** Marks and forks about there. */
function Near({ made, time }: { made: Timeplot; time: number }) {
  const reach = NEAR * (made.plot.end - made.plot.start);
  const near = made.plot.lines.filter((line) => Math.abs(line.time - time) <= reach);
  return (
    <>
      {near.slice(0, NAMED).map((line, i) => (
        <div key={i} class="name">
          {line.dashed ? "starts: " : "mark: "}
          {line.label} <span class="dim">at {duration(line.time / 1e9)}</span>
        </div>
      ))}
    </>
  );
}

function AtOne({ views, sides, time, short }: Asked) {
  const made = sides[0]!;
  const { timeline, header } = views.data;
  const older = views.data.sides.base.timeline;
  const row = rowAt(timeline.time, time);
  const lines: [string, string, string | null][] = [];
  const bin = made.stack ? heldAt(made.stack, time) : -1;
  if (made.stack && bin >= 0) {
    const live = size(made.stack.total[bin]!);
    const highest = size(highestAt(made.stack, time)!);
    lines.push(["live heap", live, null]);
    if (highest !== live) lines.push([HIGHEST, highest, null]);
  } else if (row >= 0) {
    lines.push([header.diff ? "live after" : "live heap", size(timeline.live[row]!), null]);
  }
  if (header.diff) {
    const before = rowAt(older.time, time);
    if (before >= 0) lines.push(["live before", size(older.live[before]!), null]);
  }
  if (made.plot.gap && row >= 0 && timeline.rss[row]) {
    lines.push(["RSS", size(timeline.rss[row]!), null]);
    if (timeline.pss[row]) lines.push(["PSS", size(timeline.pss[row]!), null]);
  }
  if (short) {
    return <>{[duration(time / 1e9), ...lines.map(([a, b]) => `${a} ${b}`)].join(" · ")}</>;
  }
  if (made.stack && bin >= 0) {
    made.stack.series.forEach((series, i) => {
      const key = made.keys[i]!;
      if (series[bin]! > 0) lines.push([key.name, size(series[bin]!), key.colour]);
    });
    if (made.stack.rest[bin]! > 0) lines.push(["all others", size(made.stack.rest[bin]!), null]);
  }
  return (
    <>
      <strong>{duration(time / 1e9)}</strong>
      <Near made={made} time={time} />
      <table>
        <tbody>
          {lines.map(([name, value, colour], i) => (
            <tr key={i}>
              <td>
                {colour && <span class="swatch" style={{ background: colour }} />}
                {name}
              </td>
              <td class="figure">{value}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

export function TimeLegend(props: {
  keys: Key[];
  withRss: boolean;
  onRss: (shown: boolean) => void;
  onSite: (location: number) => void;
}) {
  return (
    <ul class="legend" aria-label="What the colours are">
      {props.keys.map((key) => {
        const rss = key.kind === "line" && key.name.includes("RSS");
        const swatch = (
          <span
            class={`swatch ${key.kind}`}
            style={{
              [key.kind === "area" ? "background" : "borderColor"]: key.colour,
              opacity: rss && !props.withRss ? 0.3 : 1,
            }}
          />
        );
        return (
          <li key={key.name}>
            {swatch}
            {rss ? (
              <button
                type="button"
                class="link"
                aria-pressed={props.withRss}
                title="show or hide the resident set"
                onClick={() => props.onRss(!props.withRss)}
              >
                {props.withRss ? key.name : `${key.name}: hidden`}
              </button>
            ) : key.place >= 0 ? (
              <button
                type="button"
                class="link name"
                title={`${key.name}: callers and callees`}
                onClick={() => props.onSite(key.place)}
              >
                {key.name}
              </button>
            ) : (
              <span>{key.name}</span>
            )}
          </li>
        );
      })}
    </ul>
  );
}
