/** The page: from the header down to the tab that is open. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { percent, some } from "../model";
import { Answer } from "./answer";
import { Controls } from "./controls";
import { Find, type Found } from "./find";
import { begin } from "./frames";
import { TopTable } from "./grouptable";
import { Top } from "./header";
import { Later } from "./later";
import { matchingFrames } from "./matches";
import { follow, pathTo } from "./naming";
import { single, both } from "./look";
import { opened } from "./open";
import { Source } from "./source";
import type { Change, State, Store } from "./state";
import { Panel, tabOf, Tabs } from "./tabs";
import { clean } from "./text";
import { Timeline } from "./timeline";
import type { Views } from "./views";

export interface AppProps {
  views: Views;
  store: Store;
  served: boolean;
  live: boolean;
}

const NARROW = 0.04; // of the width: a frame below that is zoomed in on when it is looked for

export function App({ views, store, served, live }: AppProps) {
  const asked = useStore(store);
  const tab = tabOf(asked, views.data);
  const range = useMemo(() => views.within(asked.range), [views, asked.range]);
  const seen = useMemo(() => views.within(asked.seen), [views, asked.seen]);
  const same = tab === asked.tab && range === asked.range && seen === asked.seen;
  const state = same ? asked : { ...asked, tab, range, seen };
  const dark = useDark(state.theme);
  const field = useRef<HTMLInputElement>(null);
  const [selected, setSelected] = useState<number[] | null>(null);
  const [step, setStep] = useState(-1);
  const onChange = (change: Change, isStep = true, what = "change"): void => {
    begin(what);
    if ("view" in change || "by" in change || "interpreter" in change || "library" in change) {
      setSelected(null);
    }
    store.set(change, isStep);
  };
  const metrics = views.metrics(state);
  const metric = views.metric(state);
  const found = state.tab === "flame" || state.search ? views.found(state) : null;
  useEffect(() => setStep(-1), [found]);
  useGlobalKeys(field, state, onChange);

  const frames = useMemo(() => {
    const made: { list: ReturnType<typeof matchingFrames> | null } = { list: null };
    return made;
  }, [found, views.root(state)]);
  const toMatch = (forward: boolean): void => {
    if (!found || found.error || !found.count) return;
    const root = views.root(state);
    frames.list ??= matchingFrames(views.data, views.groups(state), root, found.matches);
    const { list } = frames;
    if (!list.length) return;
    const next = forward ? (step + 1) % list.length : (step <= 0 ? list.length : step) - 1;
    const node = list[next]!;
    setStep(next);
    setSelected(pathTo(node));
    const change: Change = { tab: "flame", sandwich: null };
    const extent = metric.pair ? both : single;
    const zoomed = follow(root, state.zoom);
    let above = node.parent ?? node;
    while (above !== zoomed && above.parent) above = above.parent;
    if (above !== zoomed || extent(node) < NARROW * extent(zoomed)) {
      let to = node;
      while (to.parent && extent(node) >= NARROW * extent(to.parent)) to = to.parent;
      change.zoom = pathTo(to);
    }
    onChange(change, false, "match");
  };
  const words = foundWords(views, state, found, step, frames.list?.length ?? 0);
  const back = (): void => {
    if (store.steps > 0) window.history.back();
    else if (state.zoom.length) onChange({ zoom: state.zoom.slice(0, -1) }, false, "zoom");
  };
  const open = (place: number): void =>
    onChange(opened(views, store.state, "function", place));
  const hasSource = (file: number): boolean => file > 0;
  const empty = !views.data.samples.count;
  // What does not change with every key is the same object, which is not looked at again.
  const top = useMemo(
    () => (
      <Top
        header={views.data.header}
        theme={state.theme}
        live={live}
        onTheme={(theme) => onChange({ theme }, false)}
      >
        {!empty && (
          <Later room="36px">
            {() => (
              <Answer
                views={views}
                onOpen={open}
                onSource={(file, line) => onChange({ source: [file, line] })}
              />
            )}
          </Later>
        )}
      </Top>
    ),
    [views, state.theme, live, empty],
  );
  const time = useMemo(
    () => (
      <Later room="310px">
        {() => (
          <Timeline
            views={views}
            state={state}
            theme={String(dark)}
            onChange={onChange}
            onSite={open}
          />
        )}
      </Later>
    ),
    [views, dark, live, state.time, state.range, state.seen, ...narrowing(state)],
  );
  const printed = useMemo(
    () => (
      <Later room="0">{() => <TopTable views={views} state={state} />}</Later>
    ),
    [views, metric.name, state.range, ...narrowing(state)],
  );
  return (
    <div class="page">
      {top}
      {empty ? (
        <p class="empty">{emptyWords(views)}</p>
      ) : (
        <>
          {views.data.header.timeline && time}
          <section class="controls" aria-label="What is shown">
            <Controls
              header={views.data.header}
              state={state}
              metrics={metrics}
              metric={metric}
              onChange={onChange}
            />
            <Find
              field={field}
              text={state.search}
              found={words}
              onText={(search) => onChange({ search }, false, "search")}
              onStep={toMatch}
              onLeave={() => {
                if (state.search) onChange({ search: "" }, false, "search");
                else field.current?.blur();
              }}
            />
            <p class="definition" id="definition">
              <b>{metric.words}</b>: {metric.definition}
            </p>
            {metric.notes.map((text) => (
              <p key={text} class="definition">
                note: {clean(text)}
              </p>
            ))}
          </section>
          <Tabs state={state} data={views.data} onChange={onChange} />
          <Panel
            views={views}
            state={state}
            dark={dark}
            selected={selected}
            onSelect={setSelected}
            onChange={onChange}
            onBack={back}
            hasSource={hasSource}
          />
          {state.source && (
            <Source
              views={views}
              state={state}
              served={served}
              onClose={() => onChange({ source: null }, false)}
            />
          )}
          {printed}
        </>
      )}
    </div>
  );
}

function useStore(store: Store): State {
  const [state, setState] = useState(store.state);
  useEffect(() => {
    setState(store.state);
    return store.listen((next) => {
      begin("view", false);
      setState(next);
    });
  }, [store]);
  return state;
}

/** What changes which memory is counted, and how frames are folded. */
const narrowing = (state: State): unknown[] => [
  state.threads, state.processes, state.interpreter, state.library, state.recursion,
  state.templates,
];

/** Whether the page is dark now. Marks the document, so that styles and canvases agree. */
function useDark(theme: State["theme"]): boolean {
  const media = useMemo(() => window.matchMedia("(prefers-color-scheme: dark)"), []);
  const [system, setSystem] = useState(media.matches);
  useEffect(() => {
    const changed = (): void => setSystem(media.matches);
    media.addEventListener("change", changed);
    return () => media.removeEventListener("change", changed);
  }, [media]);
  const dark = theme === "auto" ? system : theme === "dark";
  // Before the canvases below are drawn, which read the colours.
  document.documentElement.dataset["theme"] = dark ? "dark" : "light";
  return dark;
}

function useGlobalKeys(
  field: { current: HTMLInputElement | null },
  state: State,
  onChange: (change: Change) => void,
): void {
  const latest = useRef({ state, onChange });
  latest.current = { state, onChange };
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const target = event.target as HTMLElement;
      if (target.closest?.("input, select, textarea")) return;
      const now = latest.current;
      if (event.key === "/") {
        field.current?.focus();
        field.current?.select();
      } else if (event.key === "i" && now.state.tab === "flame") {
        now.onChange({ view: now.state.view === "stack" ? "inverted" : "stack", zoom: [] });
      } else if (event.key === "Escape" && now.state.sandwich !== null) {
        now.onChange({ sandwich: null });
      } else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

const MANY: Record<State["by"], [string, string]> = {
  function: ["function", "functions"],
  line: ["line", "lines"],
  file: ["file", "files"],
  module: ["module", "modules"],
};

function foundWords(
  views: Views,
  state: State,
  found: ReturnType<Views["found"]>,
  step: number,
  frames: number,
): Found | null {
  if (!found) return null;
  if (found.error) return { words: found.error, at: "", some: false };
  if (!found.count) return { words: "nothing found", at: "", some: false };
  const root = views.root(state);
  const groups = some(found.count, ...MANY[state.by]);
  const share = root.value ? `, ${percent(found.value / root.value)} of all` : "";
  return {
    words: `${groups}${share}`,
    at: step >= 0 ? `frame ${step + 1} of ${frames}` : "",
    some: true,
  };
}


function emptyWords(views: Views): string {
  const calls = views.data.header.summary["allocations"] ?? 0;
  return calls
    ? "Nothing of this recording's memory is in this page."
    : "No allocation was recorded, so there is nothing to show: see the notes above.";
}
