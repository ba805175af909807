/** What is counted and how it is folded: one row of choices, each in words. */
import { useMemo, useState } from "preact/hooks";
import { compile, count, type Header, type Unit } from "../model";
import type { Change, State } from "./state";
import { BY } from "./state";
import { clean } from "./text";
import { alikeThreads } from "./threads";

export interface MetricChoice {
  name: string;
  words: string;
  unit: Unit;
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
  const threads = useMemo(() => alikeThreads(header), [header]);
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
          <Metrics metrics={props.metrics} />
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
      {header.threads.length > 1 && !header.diff && (
        <Picker
          title="threads"
          all={threads.map(({ name, ids, beside }) => ({
            ids,
            name: beside ? `${name} (${beside})` : name,
          }))}
          chosen={state.threads}
          onPick={(threads) => onChange({ threads })}
        />
      )}
      {header.processes.length > 1 && !header.diff && (
        <Picker
          title="processes"
          all={header.processes.map((process, row) => ({
            ids: [row],
            name: `${process.pid} ${clean(process.command)}`,
          }))}
          chosen={state.processes}
          onPick={(processes) => onChange({ processes })}
        />
      )}
    </>
  );
}

const UNITS: [Unit, string][] = [["bytes", "in bytes"], ["allocations", "in counts"]];

/** By what they count in, where there are both. */
function Metrics({ metrics }: { metrics: MetricChoice[] }) {
  const parts = UNITS.map(([unit, label]) => {
    const options = metrics
      .filter((one) => one.unit === unit)
      .map((one) => (
        <option key={one.name} value={one.name} title={one.definition}>
          {one.words}
        </option>
      ));
    return { label, options };
  }).filter(({ options }) => options.length > 0);
  if (parts.length < 2) return <>{parts[0]?.options}</>;
  return (
    <>
      {parts.map(({ label, options }) => (
        <optgroup key={label} label={label}>
          {options}
        </optgroup>
      ))}
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

const MANY = 12; // rows, from which on they can be searched
const LISTED = 200; // rows that are made; what is searched for is rarely so much

function Picker(props: {
  title: string;
  all: { ids: number[]; name: string }[];
  chosen: number[] | null;
  onPick: (chosen: number[] | null) => void;
}) {
  const { all, chosen, onPick } = props;
  const [wanted, setWanted] = useState("");
  const whole = all.reduce((sum, one) => sum + one.ids.length, 0);
  const set = new Set(chosen ?? all.flatMap((one) => one.ids));
  const toggle = (ids: number[], on: boolean): void => {
    const next = new Set(set);
    for (const id of ids) {
      if (on) next.add(id);
      else next.delete(id);
    }
    onPick(next.size === whole ? null : [...next].sort((a, b) => a - b));
  };
  const title = chosen ? `${count(chosen.length)} of ${count(whole)} ${props.title}` : `all ${props.title}`;
  const query = compile(wanted);
  const fits = wanted && !query.error ? all.filter((one) => query.test(one.name)) : all;
  const listed = fits.slice(0, LISTED);
  return (
    <Popup title={title}>
      <button type="button" disabled={!chosen} onClick={() => onPick(null)}>
        all {count(whole)} {props.title}
      </button>
      {all.length > MANY && (
        <input
          type="search"
          placeholder={`search ${props.title}`}
          aria-label={`Search ${props.title}`}
          value={wanted}
          onInput={(event) => setWanted(event.currentTarget.value)}
        />
      )}
      <fieldset>
        <legend>{props.title}</legend>
        {listed.map(({ ids, name }) => {
          const on = ids.filter((id) => set.has(id)).length;
          return (
            <label key={ids[0]}>
              <input
                type="checkbox"
                checked={on === ids.length}
                ref={(box) => {
                  if (box) box.indeterminate = on > 0 && on < ids.length;
                }}
                onChange={() => toggle(ids, on < ids.length)}
              />
              <span class="name">{name}</span>
              <button
                type="button"
                class="quiet"
                aria-label={`only ${name}`}
                onClick={() => onPick(ids)}
              >
                only
              </button>
            </label>
          );
        })}
        {!fits.length && <p class="hint">none fits</p>}
        {fits.length > LISTED && <p class="hint">and {count(fits.length - LISTED)} more: search</p>}
      </fieldset>
    </Popup>
  );
}
