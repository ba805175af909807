/** What was recorded, the verdicts, and the key figures against their targets. */
import type { ComponentChildren } from "preact";
import type { Header, RecordingInfo } from "../model";
import { bothSizes, count, duration, percent, signedPercent, size, some } from "../model";
import type { State } from "./state";
import { THEMES } from "./state";
import { clean } from "./text";

const SIGNS: Record<string, [string, string]> = {
  ok: ["✓", "within the limit"],
  over: ["✗", "over the limit"],
  note: ["·", "to know"],
  warning: ["!", "warning"],
};

interface Figure {
  name: string;
  value: string;
  beside: string;
  status?: string;
}

export function Top(props: {
  header: Header;
  theme: State["theme"];
  live: boolean;
  onTheme: (theme: State["theme"]) => void;
  children?: ComponentChildren; // in one sentence, what it all says
}) {
  const { header } = props;
  return (
    <header>
      <div class="top">
        <h1 class="name" title={clean(header.recording.command.join(" "))}>
          {clean(header.title) || "a recording without a command"}
        </h1>
        <p class="when">
          {header.diff ? <Against header={header} /> : when(header.recording)}
          {props.live ? (
            <span class="live"> · recording now</span>
          ) : (
            !header.recording.complete && (
              <span class="incomplete"> · incomplete: figures are as of its last whole part</span>
            )
          )}
        </p>
        <Themes theme={props.theme} onTheme={props.onTheme} />
      </div>
      {props.children}
      <Verdicts header={header} />
      <Figures header={header} live={props.live} />
      <Notes header={header} />
    </header>
  );
}

/** Which recordings are compared: by their files, since both are mostly of one command. */
function Against({ header }: { header: Header }) {
  const { diff, title } = header;
  const other = diff!.title === title ? "" : clean(diff!.title);
  return (
    <span class="sides">
      <span>
        before: <span class="name">{when(diff!.recording)}</span>
        {other && (
          <>
            {" "}
            (<span class="name">{other}</span>)
          </>
        )}
      </span>
      <span>
        after: <span class="name">{when(header.recording)}</span>
      </span>
    </span>
  );
}

function when({ started, sample_interval, path }: RecordingInfo): string {
  const parts = [clean(path)];
  if (started) parts.unshift(stamp(new Date(started * 1000)));
  if (sample_interval) parts.push(`sampled: one sample every ${size(sample_interval)} or so`);
  return parts.join(" · ");
}

/** As the text views write it: 2026-11-26 01:06, where the reader is. */
function stamp(date: Date): string {
  const two = (number: number): string => String(number).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

function Themes(props: { theme: State["theme"]; onTheme: (theme: State["theme"]) => void }) {
  return (
    <label class="theme">
      <span class="only-read">Colours</span>
      <select
        value={props.theme}
        onChange={(event) => props.onTheme(event.currentTarget.value as State["theme"])}
      >
        {THEMES.map((theme) => (
          <option key={theme} value={theme}>
            {theme === "auto" ? "system colours" : theme}
          </option>
        ))}
      </select>
    </label>
  );
}

function Verdicts({ header }: { header: Header }) {
  // Of a comparison they would speak of one side.
  if (!header.verdicts.length || header.diff) return null;
  return (
    <ul class="verdicts" aria-label="Verdicts">
      {header.verdicts.map((verdict) => (
        <Said key={verdict.name} level={verdict.status} text={verdict.text} />
      ))}
    </ul>
  );
}

function Said({ level, text }: { level: string; text: string }) {
  const [sign, words] = SIGNS[level] ?? SIGNS["note"]!;
  return (
    <li class={level}>
      <span class="sign" aria-hidden="true">
        {sign}
      </span>
      <span>
        <span class="only-read">{words}: </span>
        {level === "over" ? <strong>{clean(text)}</strong> : clean(text)}
      </span>
    </li>
  );
}

function Figures({ header, live }: { header: Header; live: boolean }) {
  const figures = header.diff ? changes(header) : keyFigures(header, live);
  if (!figures.length) return null;
  return (
    <dl class="figures">
      {figures.map((figure) => (
        <div key={figure.name} class={figure.status ?? ""}>
          <dt>{figure.name}</dt>
          <dd class="value">{figure.value}</dd>
          <dd class="beside">{figure.beside}</dd>
        </div>
      ))}
    </dl>
  );
}

function limitOf(header: Header, name: string, words: (limit: number) => string): Partial<Figure> {
  const verdict = header.verdicts.find((v) => v.name === name);
  if (!verdict || verdict.limit === null) return {};
  const over = verdict.status === "over";
  return {
    status: verdict.status,
    beside: `${over ? "over" : "under"} the limit of ${words(verdict.limit)}`,
  };
}

/** Those that are known; of samples it is said what they do not tell. */
function keyFigures(header: Header, live: boolean): Figure[] {
  const { summary } = header;
  const atEnd =
    live ? "live now" : header.recording.complete ? "alive at exit" : "alive at the recording's end";
  const calls = summary["allocations"] ?? null;
  const found: Figure[] = [];
  const add = (field: string, of: (value: number) => Figure): void => {
    const value = summary[field] ?? null;
    if (value !== null) found.push(of(value));
  };
  add("peak_bytes", (bytes) => {
    const moment = summary["peak_time_seconds"] ?? null;
    return {
      name: moment === null ? "peak heap" : `peak heap, at ${duration(moment)}`,
      value: size(bytes),
      beside: bothSizes(bytes),
      ...limitOf(header, "peak_heap", size),
    };
  });
  const all = (calls ?? 0) + (summary["reallocations"] ?? 0);
  if (summary["temporary_allocations"] === null) found.push(unknown("temporary allocations"));
  add("temporary_allocations", (early) => ({
    name: "temporary allocations",
    value: percent(early / (all || 1)),
    beside: "of all calls",
    ...limitOf(header, "temporary_allocations", percent),
  }));
  add("alive_at_exit_bytes", (bytes) => {
    const blocks = summary["alive_at_exit_allocations"] ?? null;
    return {
      name: atEnd,
      value: size(bytes),
      beside: blocks === null ? "" : `in ${some(blocks, "block", "blocks")}`,
    };
  });
  if (summary["peak_rss_bytes"] === null) found.push({ name: "peak RSS", value: "not read", beside: "" });
  add("peak_rss_bytes", (bytes) => ({
    name: "peak RSS",
    value: size(bytes),
    beside: "resident in memory",
  }));
  const seconds = summary["duration_seconds"] ?? null;
  add("allocations", () => ({
    name: "calls to allocation functions",
    value: count(all),
    beside: seconds ? `${count(Math.round(all / seconds))} per second` : "",
  }));
  if (found.length < 4) {
    add("total_bytes", (bytes) => ({
      name: "allocated in total",
      value: size(bytes),
      beside: bothSizes(bytes),
    }));
  }
  const who = people(summary);
  if (seconds !== null) found.push({ name: "runtime", value: duration(seconds), beside: who });
  else if (who) found.push({ name: "in", value: who, beside: "" });
  return found;
}

function unknown(name: string): Figure {
  return { name, value: "not known", beside: "samples do not tell" };
}

function people({ processes, threads }: Header["summary"]): string {
  if (typeof threads !== "number") return "";
  const inThreads = some(threads, "thread", "threads");
  return processes && processes > 1
    ? `${some(processes, "process", "processes")}, ${inThreads}`
    : inThreads;
}

/** In a comparison the figures are those of the newer recording, with how they changed. */
function changes(header: Header): Figure[] {
  const now = header.summary;
  const before = header.diff!.summary;
  const figure = (name: string, field: string, words: (value: number) => string): Figure | null => {
    const b = now[field];
    const a = before[field];
    if (a === undefined && b === undefined) return null;
    if (typeof a !== "number" || typeof b !== "number") {
      if (field === "peak_rss_bytes") return { name, value: "not known", beside: "not read" };
      if (a === null || b === null) return unknown(name);
      return { name, value: "not known", beside: `${a === undefined ? "before" : "after"} not told` };
    }
    if (a === b) return { name, value: words(b), beside: "as before" };
    const sign = b > a ? "+" : "−";
    const part = a ? `, ${signedPercent((b - a) / a)}` : "";
    return {
      name,
      value: words(b),
      beside: `${sign}${words(Math.abs(b - a))}${part}: ${words(a)} before`,
    };
  };
  return [
    figure("peak heap", "peak_bytes", size),
    figure("temporary allocations", "temporary_allocations", count),
    figure("alive at exit", "alive_at_exit_bytes", size),
    figure("peak RSS", "peak_rss_bytes", size),
    figure("allocations", "allocations", count),
    figure("runtime", "duration_seconds", duration),
  ].filter((one) => one !== null);
}

function Notes({ header }: { header: Header }) {
  const folded = (header.folded ?? []).map((text) => ({ level: "note", text }));
  const warnings = header.notes.filter((note) => note.level === "warning");
  const others = header.notes.filter((note) => note.level !== "warning");
  const first = [...warnings, ...folded];
  const said = others.map((note, i) => <Said key={i} {...note} />);
  return (
    <div>
      {first.length > 0 && (
        <ul class="notes" aria-label="Warnings">
          {first.map((note, i) => (
            <Said key={i} {...note} />
          ))}
        </ul>
      )}
      {others.length > 0 && (
        <>
          <details class="more">
            <summary>
              {others.length} {others.length === 1 ? "note" : "notes"} on this recording
            </summary>
            <ul class="notes">{said}</ul>
          </details>
          <ul class="notes only-print">{said}</ul>
        </>
      )}
    </div>
  );
}
