/** The page's header: what is said once for the whole recording. Times are ns since its start. */

export type Unit = "bytes" | "allocations";

/** A metric of the whole recording. `column` is the figure that holds it. */
export interface Metric {
  name: string;
  words: string; // how it is called on screens
  unit: Unit;
  column: string;
  beside: string; // the figure that tells the other half: how many, or how much
  beside_words: string;
  definition: string;
  notes: string[]; // to know where it is shown
}

/** A metric of a range of time, computed from changes. */
export interface RangeMetric {
  name: RangeName;
  words: string;
  unit: Unit;
  definition: string;
}

/** What is told in bytes, and under the same name with `_blocks` behind it by the number of blocks. */
type Sized = "live_end" | "live_start" | "grown" | "survived" | "freed";

export type RangeName =
  | Sized
  | `${Sized}_blocks`
  | "allocated"
  | "allocations"
  | "temporary"
  | "short_lived"
  | "copied"
  | "reallocations";

/** What a metric of a range tells, and by which columns. */
export function toldBy(name: string): { told: string; by: "bytes" | "blocks"; suffix: "" | "_blocks" } {
  const blocks = name.endsWith("_blocks");
  return { told: name.replace(/_blocks$/, ""), by: blocks ? "blocks" : "bytes", suffix: blocks ? "_blocks" : "" };
}

export interface Verdict {
  name: string;
  status: "ok" | "over" | "note";
  value: number;
  limit: number | null;
  unit: string;
  text: string;
}

export interface Process {
  pid: number;
  image: number;
  command: string;
  start_ns: number;
  end_ns: number | null;
  peak_bytes: number;
}

export interface Thread {
  process: number; // row; -1: not known
  tid: number;
  name: string; // its own, or `runs` and the function that it runs
  like: number; // threads with the same are alike: see Header.alike
  start_ns: number;
  end_ns: number | null;
}

export interface RecordingInfo {
  path: string;
  command: string[];
  started: number | null; // Unix seconds
  complete: boolean;
  duration_ns: number;
  peak_ns: number; // when the live heap was at its highest
  sample_interval: number; // bytes; 0: every allocation
  writer: string | null;
}

/**
 * The fields of the JSON document's `summary`. null: not known, as of samples; none: the format of the
 * file does not tell it.
 */
export type Summary = Record<string, number | null>;

export interface ColumnInfo {
  name: string;
  rows: number;
  width: number; // bytes a row
  offset: number; // from the end of the header
  delta: boolean;
}

export interface Header {
  version: number;
  live: boolean;
  title: string;
  recording: RecordingInfo;
  summary: Summary;
  timeline: boolean; // whether what happened when is known
  verdicts: Verdict[];
  notes: { level: "warning" | "note"; text: string }[];
  folded: string[];
  metrics: Metric[];
  ranges: RangeMetric[];
  processes: Process[];
  threads: Thread[];
  alike: string[]; // what threads that are alike are called
  here: string; // the directory that paths are seen from
  modules: Record<string, string>; // by file, what code of modules that are not imported is called
  marks: { time_ns: number; name: string; process: number }[];
  forks: { time_ns: number; process: number }[];
  size_bounds: number[];
  lifetime_bounds: number[];
  lifetime_time_bounds_ns: number[];
  sources: Record<string, string>;
  diff: { title: string; recording: RecordingInfo; summary: Summary } | null;
  columns: ColumnInfo[];
}

/** Whose code a place is, as in `location.origin`. */
export const Origin = { own: 0, library: 1, interpreter: 2, allocator: 3, unknown: 4 } as const;

/** As in `location.kind`. */
export const Kind = { native: 0, python: 1, special: 2 } as const;

/** As in `location.language`. */
export const LANGUAGES = ["", "Python", "C", "C++", "Rust", ""] as const;
