/** A file's source, with what its lines have in the margin and the hot part of them marked. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { amount, signed } from "../model";
import { hotLocations, lineFigures, partOf, pieces, textOf } from "./sourcedata";
import type { State } from "./state";
import { clean, listed } from "./text";
import type { Views } from "./views";

const LINE = 20; // px
const BESIDE = 20; // lines made above and below those in sight
const NAMED = 5;

export function Source(props: {
  views: Views;
  state: State;
  served: boolean;
  onClose: () => void;
}) {
  const { views, state, served } = props;
  const [file, line] = state.source!;
  const [text, setText] = useState<string | null | undefined>(undefined);
  useEffect(() => {
    let current = true;
    setText(undefined);
    void textOf(views.data, file, served).then((found) => current && setText(found));
    return () => {
      current = false;
    };
  }, [views, file, served]);
  const path = clean(views.data.texts[file] ?? "");
  const panel = useRef<HTMLElement>(null);
  useEffect(() => panel.current?.scrollIntoView({ block: "nearest" }), [file, line, text]);
  return (
    <section class="code" ref={panel} aria-label={`Source of ${path}`}>
      <div class="heading">
        <h2 class="name mono">{path || "no file"}</h2>
        <span class="grow" />
        <button type="button" class="quiet" onClick={props.onClose}>
          close
        </button>
      </div>
      {text === undefined ? (
        <p class="empty">Reading the source…</p>
      ) : text === null ? (
        <NoSource {...props} />
      ) : (
        <Lines {...props} text={text} />
      )}
    </section>
  );
}

function NoSource({ views, state, served }: { views: Views; state: State; served: boolean }) {
  const [file] = state.source!;
  const { unit } = views.metric(state);
  const figures = lineFigures(views, state, file);
  const hot = [...figures]
    .sort((a, b) => Math.abs(b[1].inclusive) - Math.abs(a[1].inclusive))
    .map(([line, { inclusive }]) => `line ${line}: ${amount(inclusive, unit)}`);
  return (
    <p class="empty">
      {served
        ? "The source of this file was not found on the machine that serves this page."
        : "The source of this file is not in this page: heaptide report --source puts it in."}{" "}
      {hot.length > 0 && `Its lines by memory, with what they call: ${listed(hot, NAMED)}.`}
    </p>
  );
}

function Lines(props: { views: Views; state: State; text: string }) {
  const { views, state, text } = props;
  const [file, here] = state.source!;
  const { unit, pair, words } = views.metric(state);
  const lines = useMemo(() => text.split("\n"), [text]);
  const figures = useMemo(() => lineFigures(views, state, file), [views, state, file]);
  const hot = useMemo(() => hotLocations(views, state, file), [views, state, file]);
  const scroller = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(640);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    setHeight(element.clientHeight);
    element.scrollTop = Math.max(0, here - 8) * LINE;
    setTop(element.scrollTop);
  }, [text, here]);
  const show = (value: number): string =>
    value ? (pair ? signed(value, unit) : amount(value, unit)) : "";
  // An expression over several lines is marked on each of them.
  const covering = (number: number): number | undefined =>
    hot.get(number) ??
    [...hot.values()].find((at) => {
      const { line, endLine } = views.data.locations;
      return line[at]! < number && number <= endLine[at]! && line[at] === here;
    });
  const first = Math.max(0, Math.floor(top / LINE) - BESIDE);
  const last = Math.min(lines.length, Math.ceil((top + height) / LINE) + BESIDE);
  const made = [];
  for (let i = first; i < last; i++) {
    const figure = figures.get(i + 1);
    const location = covering(i + 1);
    const part = location === undefined ? null : partOf(views.data, location, i + 1, lines[i]!);
    const [before, marked, behind] = pieces(lines[i]!, part);
    made.push(
      <div
        key={i}
        class={`line${figure ? " hot" : ""}${i + 1 === here ? " here" : ""}`}
        role="listitem"
      >
        <span class="figure" title={`${words}, charged to this line`}>
          {figure ? show(figure.site) : ""}
        </span>
        <span class="figure with" title={`${words}, with all that this line calls`}>
          {figure ? show(figure.inclusive) : ""}
        </span>
        <span class="number">{i + 1}</span>
        <span class="text">
          {before}
          {marked && <mark>{marked}</mark>}
          {behind}
        </span>
      </div>,
    );
  }
  return (
    <>
      <p class="margin hint">
        <span>charged</span>
        <span>inclusive</span>
        <span>line</span>
        <span>{words}</span>
      </p>
      <div
        class="scroll"
        ref={scroller}
        tabIndex={0}
        role="list"
        aria-label="Lines"
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      >
        <div class="lines" role="presentation" style={{ height: `${lines.length * LINE}px` }}>
          <div class="shift" role="presentation" style={{ top: `${first * LINE}px` }}>
            {made}
          </div>
        </div>
      </div>
    </>
  );
}
