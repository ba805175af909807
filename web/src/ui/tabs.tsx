/** The tabs, and what each of them shows. */
import { useRef } from "preact/hooks";
import type { Dataset } from "../model";
import { FlameTab, type TabProps } from "./flametab";
import { GroupTable } from "./grouptable";
import { Histograms } from "./histograms";
import { opened } from "./open";
import { Owners } from "./owners";
import type { Change, State, Tab } from "./state";
import { TABS, VIEWS } from "./state";
import { Summary } from "./summary";

const TITLES: Record<Tab, string> = {
  flame: "Flame graph",
  lines: "Lines",
  functions: "Functions",
  files: "Files",
  modules: "Modules",
  threads: "Threads",
  processes: "Processes",
  sizes: "Sizes",
  lifetimes: "Lifetimes",
  summary: "Summary",
};
const FOLDS = { lines: "line", functions: "function", files: "file", modules: "module" } as const;

/** The tabs that have something to say. */
export function tabsOf(data: Dataset): Tab[] {
  const { header } = data;
  const has: Partial<Record<Tab, boolean>> = {
    threads: !header.diff && header.threads.length > 1,
    processes: !header.diff && header.processes.length > 1,
    sizes: !header.diff && data.rows("size.count") > 0,
    lifetimes: !header.diff && data.rows("age.count") + data.rows("life.count") > 0,
  };
  return TABS.filter((tab) => has[tab] ?? true);
}

/** The tab that is open: a link may name one that is not there. */
export const tabOf = (state: State, data: Dataset): Tab =>
  tabsOf(data).includes(state.tab) ? state.tab : "flame";

export function Tabs(props: {
  state: State;
  data: Dataset;
  onChange: (change: Change, step?: boolean, what?: string) => void;
}) {
  const { state, onChange } = props;
  const list = useRef<HTMLDivElement>(null);
  const tabs = tabsOf(props.data);
  const onKey = (event: KeyboardEvent): void => {
    const at = tabs.indexOf(state.tab);
    const to =
      event.key === "ArrowRight" ? at + 1
      : event.key === "ArrowLeft" ? at - 1
      : event.key === "Home" ? 0
      : event.key === "End" ? tabs.length - 1
      : null;
    if (to === null) return;
    event.preventDefault();
    const next = (to + tabs.length) % tabs.length;
    onChange({ tab: tabs[next]!, sort: "" });
    list.current?.querySelectorAll<HTMLElement>("[role=tab]")[next]?.focus();
  };
  return (
    <div class="tabline">
      <div class="tabs" role="tablist" aria-label="Views" ref={list} onKeyDown={onKey}>
        {tabs.map((tab) => (
          <button
            key={tab}
            type="button"
            role="tab"
            id={`tab-${tab}`}
            aria-controls="panel"
            aria-selected={tab === state.tab}
            tabIndex={tab === state.tab ? 0 : -1}
            onClick={() => onChange({ tab, sort: "", sandwich: null }, true, "tab")}
          >
            {TITLES[tab]}
          </button>
        ))}
      </div>
      {state.tab === "flame" && state.sandwich === null && (
        <div class="joined" role="group" aria-label="Which way the stacks stand">
          {VIEWS.map((view) => (
            <button
              key={view}
              type="button"
              aria-pressed={view === state.view}
              title={
                view === "stack"
                  ? "outermost callers on top, what they call below (key i)"
                  : "where memory was asked for on top, its callers below (key i)"
              }
              onClick={() => onChange({ view, zoom: [] })}
            >
              {view === "stack" ? "by stack" : "inverted"}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

export function Panel(props: TabProps) {
  const { state } = props;
  return (
    <div class="panel" id="panel" role="tabpanel" aria-labelledby={`tab-${state.tab}`}>
      <Content {...props} />
    </div>
  );
}

function Content(props: TabProps) {
  const { views, state, onChange } = props;
  switch (state.tab) {
    case "flame":
      return <FlameTab {...props} />;
    case "lines":
    case "functions":
    case "files":
    case "modules":
      return <Grouped {...props} by={FOLDS[state.tab]} />;
    case "threads":
      return <Owners views={views} state={state} by="thread" onChange={onChange} />;
    case "processes":
      return <Owners views={views} state={state} by="process" onChange={onChange} />;
    case "sizes":
      return <Histograms views={views} state={state} theme={String(props.dark)} kinds={["size"]} />;
    case "lifetimes":
      return <Histograms views={views} state={state} theme={String(props.dark)} kinds={["age", "life"]} />;
    case "summary":
      return <Summary header={views.data.header} />;
  }
}

/** Lines and files lead to their source, functions and modules to their callers and callees. */
function Grouped(props: TabProps & { by: (typeof FOLDS)[keyof typeof FOLDS] }) {
  const { views, state, by, onChange } = props;
  const { locations } = views.data;
  const toSource = by === "line" || by === "file";
  return (
    <>
      <p class="hint">
        {toSource
          ? "Choose a row to see its source."
          : "Choose a row to see its callers and callees."}
      </p>
      <GroupTable
        views={views}
        state={state}
        by={by}
        title={state.tab}
        onSort={(sort) => onChange({ sort }, false, "sort")}
        onOpen={(row, groups) => {
          const place = groups.location[row.key]!;
          if (toSource && locations.file[place]) {
            onChange({ source: [locations.file[place]!, locations.line[place]!] });
          } else {
            onChange(opened(views, state, by, place));
          }
        }}
      />
    </>
  );
}
