/** One function: who calls it, upwards, and what it calls, downwards. */
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { amount, percent, signed, type FlameNode } from "../model";
import { Details, kindOf } from "./details";
import { figuresOf } from "./figures";
import type { TabProps } from "./flametab";
import { Flame } from "./flame";
import { drawn } from "./frames";
import { FrameTable } from "./frametable";
import { useLater } from "./later";
import { both, single } from "./look";
import { fullName, fullPlace, shortName } from "./naming";
import type { Look } from "./paint";
import { bothWords } from "./views";

interface Props extends TabProps {
  group: number;
  look: Look;
  height: number;
  tip: (node: FlameNode, inverted: boolean, total: FlameNode) => ComponentChildren;
}

export function Sandwich(props: Props) {
  const { views, state, group, look, onChange } = props;
  const groups = views.placed(state);
  const metric = views.metric(state);
  const { callers, callees } = views.sandwich(state, group);
  const all = views.root(state);
  const { locations } = views.data;
  const place = groups.location[group]!;
  const file = locations.file[place]!;
  const name = fullName(groups, group);
  const weigh = metric.pair ? both : single;
  const words = bothWords(metric, callees.base, callees.value);
  const text = metric.pair
    ? `${signed(callees.value - callees.base, metric.unit)}${words && ` (${words})`}`
    : `${amount(callees.value, metric.unit)} ${metric.words}, ${percent(weigh(all) ? callees.value / weigh(all) : 0)} of all; self ${amount(callees.self, metric.unit)}`;
  const figures = useLater(() => figuresOf(views, state, callees, false), [views, callees]);
  const half = { ...props, name };
  return (
    <>
      <div class="heading">
        <h2 class="name">{name}</h2>
        <span class="place mono">{fullPlace(groups, group)}</span>
        <span class="grow" />
        {props.hasSource(file) && (
          <button
            type="button"
            onClick={() => onChange({ source: [file, locations.line[place]!] })}
          >
            source
          </button>
        )}
        <button
          type="button"
          aria-pressed={state.frames === "table"}
          class="quiet"
          onClick={() => onChange({ frames: state.frames === "table" ? "chart" : "table" }, false)}
        >
          as table
        </button>
        <button type="button" onClick={() => onChange({ sandwich: null })} title="Escape">
          back to all
        </button>
      </div>
      <p>
        <strong>{text}</strong> <span class="hint">{kindOf(groups, group)}</span>
      </p>
      <div class="split">
        <div>
          <h3 class="half">Called by</h3>
          <Half {...half} root={callers} upward look={look} />
          <h3 class="half">Calls</h3>
          <Half {...half} root={callees} look={look} />
          <p class="hint">
            Click a frame to zoom, the function's own to see all again; <kbd>s</kbd> shows the
            selected frame's own callers and callees.
          </p>
        </div>
        <Details
          node={callees}
          whole={name}
          groups={groups}
          figures={figures}
          metric={metric}
        />
      </div>
    </>
  );
}

function Half(props: Props & { root: FlameNode; upward?: boolean; name: string }) {
  const { root, views, state, onChange } = props;
  const groups = views.placed(state);
  const metric = views.metric(state);
  const [zoomed, setZoomed] = useState(root);
  const [selected, setSelected] = useState<FlameNode | null>(null);
  useEffect(() => {
    setZoomed(root);
    setSelected(null);
  }, [root]);
  // The effect comes after the first picture of a new root.
  const fills = useMemo(() => (rootOf(zoomed) === root ? zoomed : root), [zoomed, root]);
  const chosen = selected && rootOf(selected) === root ? selected : null;
  const callers = props.upward === true;
  if (state.frames === "table") {
    return (
      <FrameTable
        root={root}
        whole={props.name}
        groups={groups}
        metric={metric}
        selected={chosen}
        onSelect={setSelected}
      />
    );
  }
  return (
    <>
      <Flame
        label={`${callers ? "Callers" : "Callees"} of ${props.name}`}
        zoomed={fills}
        extent={metric.pair ? both : single}
        look={props.look}
        selected={chosen}
        upward={callers}
        height={props.height}
        tip={(node) => props.tip(node, callers, root)}
        onSelect={setSelected}
        onZoom={(node) => {
          setSelected(node);
          setZoomed(node);
        }}
        onKey={(key) => {
          if (key === "Escape") onChange({ sandwich: null });
          else if (key === "Backspace") props.onBack();
          else if (key === "s" && chosen) onChange({ sandwich: chosen.group });
          else return false;
          return true;
        }}
        onDrawn={drawn}
      />
      <p class="only-read" aria-live="polite">
        {chosen ? `${shortName(groups, chosen.group)}, ${props.look.beside(chosen)}` : ""}
      </p>
    </>
  );
}

function rootOf(node: FlameNode): FlameNode {
  let at = node;
  while (at.parent) at = at.parent;
  return at;
}
