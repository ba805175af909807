/** What is counted and how it is folded: one row of choices, each in words. */
import type { Header } from "../model";
import type { Change, State } from "./state";
import { BY } from "./state";
import { clean } from "./text";

export interface MetricChoice {
  name: string;
  words: string;
  definition: string;
}

interface Props {
  header: Header;
  state: State;
  metrics: MetricChoice[];
  metric: MetricChoice;
  onChange: (change: Change) => void;
}

const AS: Record<State["by"], string> = {
  function: "functions",
  line: "lines",
  file: "files",
  module: "modules",
};

export function Controls(props: Props) {
  const { header, state, metric, onChange } = props;
  const pick = (name: string): void =>
    onChange(state.range ? { change: name } : { metric: name });
  return (
    <>
      <label class="metric">
        <span>show</span>
        <select
          aria-describedby="definition"
          title={metric.definition}
          value={metric.name}
          onChange={(event) => pick(event.currentTarget.value)}
        >
          {props.metrics.map((one) => (
            <option key={one.name} value={one.name} title={one.definition}>
              {one.words}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span>frames are</span>
        <select
          value={state.by}
          onChange={(event) =>
            onChange({
              by: event.currentTarget.value as State["by"],
              zoom: [],
              sandwich: null,
              folded: [],
            })
          }
        >
          {BY.map((by) => (
            <option key={by} value={by}>
              {AS[by]}
            </option>
          ))}
        </select>
      </label>
      <Frames state={state} onChange={onChange} />
      {header.threads.length > 1 && (
        <Picker
          title="threads"
          all={header.threads.map((thread, row) => ({
            id: row + 1,
            name: `${clean(thread.name) || "thread"} (${thread.tid})`,
          }))}
          chosen={state.threads}
          onPick={(threads) => onChange({ threads })}
        />
      )}
      {header.processes.length > 1 && (
        <Picker
          title="processes"
          all={header.processes.map((process, row) => ({
            id: row,
            name: `${process.pid} ${clean(process.command)}`,
          }))}
          chosen={state.processes}
          onPick={(processes) => onChange({ processes })}
        />
      )}
    </>
  );
}

function Frames({ state, onChange }: { state: State; onChange: (change: Change) => void }) {
  const changed =
    state.interpreter !== "hide" ||
    state.library !== "show" ||
    state.recursion !== "show" ||
    state.templates !== "show";
  const choice = <K extends "interpreter" | "library" | "recursion" | "templates">(
    key: K,
    legend: string,
    options: [State[K], string][],
  ) => (
    <fieldset>
      <legend>{legend}</legend>
      {options.map(([value, words]) => (
        <label key={value}>
          <input
            type="radio"
            name={`frames-${key}`}
            checked={state[key] === value}
            onChange={() => onChange({ [key]: value, zoom: [], sandwich: null, folded: [] })}
          />
          {words}
        </label>
      ))}
    </fieldset>
  );
  return (
    <Popup title={changed ? "which frames (changed)" : "which frames"}>
      {choice("interpreter", "The interpreter's own frames", [
        ["hide", "hidden: what they allocate counts for their caller"],
        ["show", "shown"],
      ])}
      {choice("library", "Library code", [
        ["show", "every frame shown"],
        ["merge", "neighbouring frames of one module merged"],
        ["hide", "hidden: counts for the own code that called it"],
      ])}
      {choice("recursion", "Recursion", [
        ["show", "every call shown"],
        ["merge", "a function calling itself merged into one frame"],
      ])}
      {choice("templates", "Template and type arguments", [
        ["show", "kept: vector<int> and vector<long> are two"],
        ["hide", "left out: vector<> is one"],
      ])}
    </Popup>
  );
}

/** A button with a panel under it. It closes on Escape, and when the focus leaves it. */
function Popup({ title, children }: { title: string; children: preact.ComponentChildren }) {
  return (
    <details
      class="pick"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !event.currentTarget.open) return;
        event.currentTarget.open = false;
        event.currentTarget.querySelector("summary")?.focus();
        event.stopPropagation();
      }}
      onFocusOut={(event) => {
        const to = event.relatedTarget as Node | null;
        if (to && !event.currentTarget.contains(to)) event.currentTarget.open = false;
      }}
    >
      <summary>{title}</summary>
      <div>{children}</div>
    </details>
  );
}

function Picker(props: {
  title: string;
  all: { id: number; name: string }[];
  chosen: number[] | null;
  onPick: (chosen: number[] | null) => void;
}) {
  const { all, chosen, onPick } = props;
  const set = new Set(chosen ?? all.map((one) => one.id));
  const toggle = (id: number): void => {
    const next = new Set(set);
    if (!next.delete(id)) next.add(id);
    onPick(next.size === all.length ? null : [...next].sort((a, b) => a - b));
  };
  const title = chosen ? `${chosen.length} of ${all.length} ${props.title}` : `all ${props.title}`;
  return (
    <Popup title={title}>
      <button type="button" disabled={!chosen} onClick={() => onPick(null)}>
        all {all.length} {props.title}
      </button>
      <fieldset>
        <legend>{props.title}</legend>
        {all.map((one) => (
          <label key={one.id}>
            <input type="checkbox" checked={set.has(one.id)} onChange={() => toggle(one.id)} />
            <span class="name">{one.name}</span>
            <button
              type="button"
              class="quiet"
              aria-label={`only ${one.name}`}
              onClick={() => onPick([one.id])}
            >
              only
            </button>
          </label>
        ))}
      </fieldset>
    </Popup>
  );
}
