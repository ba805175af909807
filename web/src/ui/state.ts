/** What the page shows, as one value that the URL's fragment holds: a link shows the same view. */

export const TABS = [
  "flame", "lines", "functions", "files", "modules", "threads", "processes", "sizes", "lifetimes",
  "summary",
] as const;
export type Tab = (typeof TABS)[number];
export const VIEWS = ["stack", "inverted"] as const;
export const BY = ["function", "line", "file", "module"] as const;
export const INTERPRETER = ["hide", "show"] as const;
export const LIBRARY = ["show", "merge", "hide"] as const;
export const RECURSION = ["show", "merge"] as const;
export const TEMPLATES = ["show", "hide"] as const;
export const THEMES = ["auto", "light", "dark"] as const;
export const SHOWN = ["chart", "table"] as const;

export interface State {
  metric: string; // of the whole recording; "": the first there is
  change: string; // of a range; "": the first there is
  range: [number, number] | null; // ns
  seen: [number, number] | null; // ns, that the timeline shows; null: all
  tab: Tab;
  view: (typeof VIEWS)[number];
  zoom: number[]; // groups, from below the root to the frame that fills the width
  sandwich: number | null; // group
  folded: number[]; // groups whose callees are not drawn
  search: string;
  by: (typeof BY)[number];
  interpreter: (typeof INTERPRETER)[number];
  library: (typeof LIBRARY)[number];
  recursion: (typeof RECURSION)[number];
  templates: (typeof TEMPLATES)[number];
  threads: number[] | null; // numbers as in sample.thread; null: all
  processes: number[] | null; // rows; null: all
  sort: string; // column, with "-" before it when ascending; "": as the table begins
  source: [number, number] | null; // text number of a file, line
  theme: (typeof THEMES)[number];
  time: (typeof SHOWN)[number];
  frames: (typeof SHOWN)[number];
}

export const INITIAL: State = {
  metric: "",
  change: "",
  range: null,
  seen: null,
  tab: "flame",
  view: "stack",
  zoom: [],
  sandwich: null,
  folded: [],
  search: "",
  by: "function",
  interpreter: "hide",
  library: "show",
  recursion: "show",
  templates: "show",
  threads: null,
  processes: null,
  sort: "",
  source: null,
  theme: "auto",
  time: "chart",
  frames: "chart",
};

const CHOICES: { [K in keyof State]?: readonly string[] } = {
  tab: TABS,
  view: VIEWS,
  by: BY,
  interpreter: INTERPRETER,
  library: LIBRARY,
  recursion: RECURSION,
  templates: TEMPLATES,
  theme: THEMES,
  time: SHOWN,
  frames: SHOWN,
};
const TEXTS: (keyof State)[] = ["metric", "change", "search", "sort"];
const LISTS: (keyof State)[] = ["zoom", "folded", "threads", "processes", "source", "range", "seen"];
const PAIRS: (keyof State)[] = ["source", "range", "seen"];
const SETS: (keyof State)[] = ["threads", "processes"]; // sorted; many that follow one another
const MOST = 1_000_000; // members of a set

/** The fragment (without `#`) of `state`: what differs from the initial one. */
export function toFragment(state: State): string {
  const parts: string[] = [];
  for (const key of Object.keys(INITIAL) as (keyof State)[]) {
    const value = state[key];
    if (value === INITIAL[key] || (Array.isArray(value) && !value.length && INITIAL[key])) continue;
    const text =
      !Array.isArray(value) ? String(value) : SETS.includes(key) ? spans(value) : value.join(".");
    parts.push(`${key}=${encodeURIComponent(text)}`);
  }
  return parts.join("&");
}

/** The state that `fragment` says; what it says wrongly, or not at all, is as at the start. */
export function fromFragment(fragment: string): State {
  const state: Record<string, unknown> = { ...INITIAL };
  for (const [key, text] of new URLSearchParams(fragment.replace(/\+/g, "%2B"))) {
    const name = key as keyof State;
    const choices = Object.hasOwn(CHOICES, name) ? CHOICES[name] : undefined;
    if (choices) {
      if (choices.includes(text)) state[name] = text;
    } else if (TEXTS.includes(name)) {
      state[name] = text;
    } else if (LISTS.includes(name)) {
      const numbers =
        text === "" ? [] : SETS.includes(name) ? members(text) : text.split(".").map(Number);
      const sound = numbers.every((n) => Number.isSafeInteger(n) && n >= 0);
      if (!sound || (PAIRS.includes(name) && numbers.length !== 2)) continue;
      const ordered = (name !== "range" && name !== "seen") || numbers[0]! < numbers[1]!;
      if (ordered) state[name] = numbers;
    } else if (name === "sandwich" && /^\d{1,9}$/.test(text)) {
      state[name] = Number(text);
    }
  }
  return state as unknown as State;
}

/** `1.2.5-9`: what follows one another by its ends. */
function spans(numbers: number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < numbers.length; ) {
    let last = i;
    while (numbers[last + 1] === numbers[last]! + 1) last++;
    if (last - i < 2) last = i;
    parts.push(last > i ? `${numbers[i]}-${numbers[last]}` : String(numbers[i]));
    i = last + 1;
  }
  return parts.join(".");
}

/** What `spans` has written; what is wrong is NaN. */
function members(text: string): number[] {
  const found: number[] = [];
  for (const part of text.split(".")) {
    if (!/^\d+(-\d+)?$/.test(part)) return [NaN];
    const [first, last = first] = part.split("-").map(Number) as [number, number?];
    if (first > last || found.length + last - first >= MOST) return [NaN];
    for (let number = first; number <= last; number++) found.push(number);
  }
  return found;
}

export type Change = Partial<State>;

/** Holds the state, writes it to the URL, and tells who listens. */
export class Store {
  state: State;
  steps = 0; // that the browser's back button would undo
  private readonly listeners = new Set<(state: State) => void>();

  constructor(private readonly place: Window) {
    this.state = fromFragment(place.location.hash.slice(1));
    const read = (): void => {
      this.steps = Math.max(0, this.steps - 1);
      this.adopt(fromFragment(place.location.hash.slice(1)));
    };
    place.addEventListener("popstate", read);
    place.addEventListener("hashchange", read);
  }

  listen(listener: (state: State) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Change the state. `step`: one that the browser's back button undoes. */
  set(change: Change, step = true): void {
    const next = { ...this.state, ...change };
    const fragment = toFragment(next);
    if (fragment === toFragment(this.state)) return;
    const url = this.place.location.href.replace(/#.*$/s, "") + "#" + fragment;
    // A page in a sandbox, or one that changes too often for the browser, may not write its URL.
    try {
      if (step) {
        this.place.history.pushState(null, "", url);
        this.steps++;
      } else {
        this.place.history.replaceState(null, "", url);
      }
    } catch {
      /* The view changes all the same. */
    }
    this.adopt(next);
  }

  private adopt(next: State): void {
    if (toFragment(next) === toFragment(this.state)) return;
    this.state = next;
    for (const listener of this.listeners) listener(next);
  }
}
