/** The flame graph with all around it: the way to what fills it, its legend, the frame's details. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { amount, signed, type FlameNode } from "../model";
import { FrameTip, Details } from "./details";
import { figuresOf, besideOf } from "./figures";
import { Flame } from "./flame";
import { drawn } from "./frames";
import { FrameTable } from "./frametable";
import { Keys, Legend } from "./legend";
import { useLater } from "./later";
import { both, closedBy, hitBy, lookOf, single } from "./look";
import { follow, pathTo } from "./naming";
import { Sandwich } from "./sandwich";
import type { Change, State } from "./state";
import { Trail } from "./trail";
import { bothWords, type Views } from "./views";

export interface TabProps {
  views: Views;
  state: State;
  dark: boolean;
  selected: number[] | null; // the way to the selected frame
  onSelect: (path: number[] | null) => void;
  onChange: (change: Change, step?: boolean, what?: string) => void;
  onBack: () => void;
  hasSource: (file: number) => boolean;
}

/** What the root stands for. */
export function wholeOf(views: Views, state: State): string {
  const metric = views.metric(state);
  const root = views.root(state);
  const value = metric.pair
    ? bothWords(metric, root.base, root.value) || signed(root.value - root.base, metric.unit)
    : amount(root.value, metric.unit);
  return `all ${metric.words}: ${value}`;
}

const heightNow = (): number => Math.max(320, Math.round(window.innerHeight * 0.6));

export function FlameTab(props: TabProps) {
  const { views, state, onChange, onSelect } = props;
  const [height, setHeight] = useState(heightNow);
  useEffect(() => {
    const resized = (): void => setHeight(heightNow());
    window.addEventListener("resize", resized);
    return () => window.removeEventListener("resize", resized);
  }, []);
  const root = views.root(state);
  const groups = views.placed(state);
  const metric = views.metric(state);
  const whole = wholeOf(views, state);
  const found = views.found(state);
  const folded = useMemo(() => new Set(state.folded), [state.folded]);
  const zoomed = useMemo(() => follow(root, state.zoom), [root, state.zoom]);
  const selected = useMemo(
    () => (props.selected ? follow(root, props.selected) : null),
    [root, props.selected],
  );
  const plain = useMemo(
    () => lookOf({ data: views.data, groups, metric, dark: props.dark, whole }),
    [views, groups, metric.name, metric.pair !== null, props.dark, whole],
  );
  // Frames need not be placed anew for a search.
  const closed = useMemo(() => closedBy(folded), [folded]);
  const matches = found && !found.error ? found.matches : null;
  const look = useMemo(
    () => ({ ...plain, closed, hit: hitBy(matches) }),
    [plain, closed, matches],
  );
  const inverted = state.view === "inverted";
  const tip = (node: FlameNode, isInverted = inverted, all = root) => (
    <FrameTip
      node={node}
      whole={whole}
      groups={groups}
      metric={metric}
      total={all}
      inverted={isInverted}
      beside={besideOf(views, state, node, isInverted)}
    />
  );
  const fold = (group: number): void =>
    onChange({
      folded: folded.has(group)
        ? state.folded.filter((one) => one !== group)
        : [...state.folded, group],
    });
  const shownNode = selected ?? zoomed;
  const onKey = (key: string): boolean => {
    const group = shownNode.group;
    if (key === "Escape") {
      onSelect(null);
      onChange({ zoom: [], folded: [], sandwich: null }, true, "zoom");
    } else if (key === "Backspace") props.onBack();
    else if (key === "i") onChange({ view: inverted ? "stack" : "inverted", zoom: [] });
    else if (key === "s" && group >= 0) onChange({ sandwich: group });
    else if (key === "c" && group >= 0) fold(group);
    else return false;
    return true;
  };
  const zoom = (node: FlameNode): void => {
    onSelect(pathTo(node));
    onChange({ zoom: pathTo(node) }, true, "zoom");
  };
  const figures = useLater(
    () => figuresOf(views, state, shownNode, inverted),
    [views, root, shownNode],
  );
  if (!root.value && !root.base) {
    return <p class="empty">Nothing to show: {metric.words} is 0 here.</p>;
  }
  if (state.sandwich !== null && state.sandwich < groups.count) {
    return (
      <Sandwich {...props} group={state.sandwich} look={look} tip={tip} height={height / 2} />
    );
  }
  const { locations } = views.data;
  const place = shownNode.group < 0 ? -1 : groups.location[shownNode.group]!;
  const source = (): void =>
    onChange({ source: [locations.file[place]!, locations.line[place]!] });
  const asTable = state.frames === "table";
  return (
    <>
      <div class="heading">
        <Trail root={root} zoomed={zoomed} whole={whole} groups={groups} onZoom={zoom} />
        <button
          type="button"
          class="quiet"
          aria-pressed={asTable}
          onClick={() => onChange({ frames: asTable ? "chart" : "table" }, false)}
        >
          as table
        </button>
      </div>
      <div class="split">
        <div>
          {asTable ? (
            <FrameTable
              root={zoomed}
              whole={whole}
              groups={groups}
              metric={metric}
              selected={selected}
              onSelect={(node) => onSelect(pathTo(node))}
            />
          ) : (
            <>
              <Flame
                label={`Flame graph, ${whole}. Arrow keys move among frames, Enter zooms, Escape resets, "as table" shows the same frames as a table.`}
                zoomed={zoomed}
                extent={metric.pair ? both : single}
                look={look}
                selected={selected}
                height={height}
                tip={tip}
                onSelect={(node) => onSelect(pathTo(node))}
                onZoom={zoom}
                onKey={onKey}
                onDrawn={drawn}
              />
              <Legend views={views} dark={props.dark} metric={metric} searching={found !== null} />
            </>
          )}
          <p class="only-read" aria-live="polite">
            {selected && selected.group >= 0
              ? `${look.label(selected)}, ${look.beside(selected)}`
              : ""}
          </p>
        </div>
        <div>
          <Details
            node={shownNode}
            whole={whole}
            groups={groups}
            figures={figures}
            metric={metric}
            actions={
              <>
                {place >= 0 && props.hasSource(locations.file[place]!) && (
                  <button type="button" onClick={source}>
                    source
                  </button>
                )}
                <button
                  type="button"
                  title="key s"
                  onClick={() => onChange({ sandwich: shownNode.group })}
                >
                  callers and callees
                </button>
                <button
                  type="button"
                  title="key c"
                  aria-pressed={folded.has(shownNode.group)}
                  onClick={() => fold(shownNode.group)}
                >
                  {folded.has(shownNode.group) ? "open" : "collapse"}
                </button>
              </>
            }
          />
          <Keys />
        </div>
      </div>
    </>
  );
}
