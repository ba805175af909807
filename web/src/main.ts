/** Begins the page: reads the data, shows it, and follows it where it is still being recorded. */
import { h, render } from "preact";
import type { Dataset } from "./model";
import { App } from "./ui/app";
import { frameTimes } from "./ui/frames";
import { settled } from "./ui/later";
import { follow, isServed, load, wantedTimes } from "./ui/load";
import { renumbered } from "./ui/renumber";
import { clean } from "./ui/text";
import { Store, type State } from "./ui/state";
import { Views } from "./ui/views";

/** For tests and benchmarks. */
interface Hook {
  interactive: Promise<void>; // what is looked at first is drawn, and answers
  ready: Promise<void>; // so is all else
  settled: () => Promise<void>; // nothing waits to be computed or drawn
  readonly state: State;
  readonly data: Dataset | null;
  readonly frameTimes: typeof frameTimes;
  readonly failed: string;
}
declare global {
  interface Window {
    __heaptide: Hook;
  }
}

const served = isServed();
const store = new Store(window);
let views: Views | null = null;
let live = false;
let failed = "";

const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.dataset["theme"] =
  store.state.theme === "auto" ? (dark ? "dark" : "light") : store.state.theme;

/** Where the page goes, without the words that stood there while it was read. */
function emptied(): HTMLElement {
  const place = document.getElementById("app")!;
  place.querySelectorAll(".reading, noscript").forEach((one) => one.remove());
  return place;
}

function show(): void {
  const place = emptied();
  if (views) render(h(App, { views, store, served, live }), place);
}

/** One sentence, for a person. */
function fail(error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error);
  failed = `This page cannot show its recording: ${reason}.`;
  const element = h("p", { class: "failed", role: "alert" }, failed);
  render(element, emptied());
}

let asked = ""; // the times that the server was asked for last
let busy = false;
let more = false;

async function again(): Promise<void> {
  asked = wantedTimes(store.state);
  const next = new Views(await load(asked));
  if (views) store.set(renumbered(store.state, views, next), false);
  views = next;
  show();
}

/** Fetch anew; one fetch at a time, and the last word counts. */
async function refetch(): Promise<void> {
  more = true;
  if (busy) return;
  busy = true;
  while (more) {
    more = false;
    await again().catch(() => undefined);
  }
  busy = false;
}

/** Fetch when the server says that there is more. */
function keepUp(): void {
  follow(
    () => void refetch(),
    () => {
      live = false;
      void refetch();
      show();
    },
  );
}

/** Fetch when the timeline shows another time, or a range is chosen that spans do not part at. */
function zoomed(state: State, before: State): void {
  const wanted = wantedTimes(state);
  const moved = String(state.seen) !== String(before.seen);
  if (wanted !== asked && (moved || !views?.isExact(state.range))) void refetch();
}

async function start(): Promise<void> {
  try {
    asked = wantedTimes(store.state);
    views = new Views(await load(asked));
    live = served && views.data.header.live;
    document.title = `${clean(views.data.header.title)} · heaptide`;
    show();
  } catch (error) {
    views = null;
    fail(error);
    return;
  }
  if (live) keepUp();
  if (served) {
    let before = store.state;
    store.listen((state) => {
      zoomed(state, before);
      before = state;
    });
  }
  // Effects and the first drawing are behind the next frame.
  await new Promise<void>((done) => {
    requestAnimationFrame(() => setTimeout(done, 0));
  });
}

const interactive = start();
window.__heaptide = {
  interactive,
  ready: interactive.then(settled),
  settled,
  get state() {
    return store.state;
  },
  get data() {
    return views?.data ?? null;
  },
  frameTimes,
  get failed() {
    return failed;
  },
};
