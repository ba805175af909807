/** A flame graph on a canvas of its own, scrolled by rows; keys move among its frames. */
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { FlameNode } from "../model";
import { Layout, type Extent } from "./layout";
import { paint, prepared, ROW, rowAt, Ruler, themeOf, yOf, type Look, type Scene } from "./paint";
import { Tip } from "./tip";
import { useWidth } from "./width";

export interface FlameProps {
  label: string; // for those who cannot see it
  zoomed: FlameNode; // fills the width
  extent: Extent;
  look: Look;
  selected: FlameNode | null;
  upward?: boolean | undefined;
  height: number; // px at most
  tip: (node: FlameNode) => ComponentChildren;
  onSelect: (node: FlameNode) => void;
  onZoom: (node: FlameNode) => void;
  onKey: (key: string) => boolean; // whether it meant something
  onDrawn?: ((ms: number) => void) | undefined;
}

interface Hover {
  node: FlameNode;
  x: number;
  y: number;
}

export function Flame(props: FlameProps) {
  const { zoomed, extent, look, selected } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const ruler = useRef<Ruler | null>(null);
  const waiting = useRef(0);
  const [hover, setHover] = useState<Hover | null>(null);
  const [, setKnown] = useState(0);
  const width = useWidth(scroller);

  const layout = useMemo(() => {
    const made = new Layout(zoomed, Math.max(width, 1), extent, look.closed);
    made.upTo(props.upward ? Infinity : made.above + Math.ceil(props.height / ROW));
    return made;
  }, [zoomed, width, extent, look.closed, props.upward, props.height]);
  const whole = layout.rows.length * ROW;
  const height = Math.min(whole, props.height);

  const scene = (): Scene => ({
    layout,
    look,
    theme: themeOf(document.documentElement),
    top: scroller.current?.scrollTop ?? 0,
    flipped: props.upward ? layout.rows.length : 0,
    height,
    selected,
    hovered: hover?.node ?? null,
  });
  const draw = (): void => {
    waiting.current = 0;
    if (!canvas.current || width < 2) return;
    const begun = performance.now();
    const context = prepared(canvas.current, width, height);
    if (!context) return;
    ruler.current ??= new Ruler(context);
    paint(context, scene(), ruler.current);
    props.onDrawn?.(performance.now() - begun);
  };
  const latest = useRef(draw);
  latest.current = draw;
  useLayoutEffect(() => draw());
  // What has just been zoomed to is in sight; a chart of callers begins at its bottom.
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    element.scrollTop = props.upward ? element.scrollHeight : Math.max(0, layout.above - 4) * ROW;
    latest.current();
  }, [zoomed, props.upward]);
  useLayoutEffect(() => {
    if (selected) reveal(scroller.current, scene(), selected);
  }, [selected, layout]);
  // Deeper rows are placed while nothing else is to do, so that the bar shows how deep it goes.
  useEffect(() => {
    if (layout.complete) return;
    let timer = 0;
    const more = (): void => {
      const before = layout.rows.length;
      layout.during(6);
      if (layout.complete || layout.rows.length > 2 * before) setKnown(layout.rows.length);
      if (!layout.complete) timer = window.setTimeout(more, 12);
    };
    timer = window.setTimeout(more, 60);
    return () => window.clearTimeout(timer);
  }, [layout]);

  const under = (event: MouseEvent): FlameNode | null => {
    const box = canvas.current!.getBoundingClientRect();
    return layout.at(rowAt(scene(), event.clientY - box.top), event.clientX - box.left);
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = step(layout, selected ?? zoomed, event.key, !!props.upward);
    if (to) props.onSelect(selected ? to : zoomed);
    else if (event.key === "Enter") props.onZoom(selected ?? zoomed);
    else if (!props.onKey(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div
      class="flame"
      ref={scroller}
      tabIndex={0}
      role="application"
      aria-roledescription="flame graph"
      aria-label={props.label}
      style={{ height: `${height}px` }}
      onKeyDown={onKey}
      onScroll={() => {
        waiting.current ||= requestAnimationFrame(() => latest.current());
      }}
      onMouseMove={(event) => {
        const node = under(event);
        setHover(node && { node, x: event.clientX, y: event.clientY });
      }}
      onMouseLeave={() => setHover(null)}
      onClick={(event) => {
        const node = under(event);
        setHover(null);
        if (node) props.onZoom(node);
      }}
    >
      <div class="pane">
        <canvas ref={canvas} aria-hidden="true" />
      </div>
      <div style={{ height: `${whole}px` }} />
      {hover && (
        <Tip x={hover.x} y={hover.y}>
          {props.tip(hover.node)}
        </Tip>
      )}
    </div>
  );
}

/** The frame that an arrow key leads to. */
function step(layout: Layout, from: FlameNode, key: string, upward: boolean): FlameNode | null {
  const at = layout.find(from);
  if (!at) return key.startsWith("Arrow") ? (layout.rows[layout.above - 1]?.nodes[0] ?? null) : null;
  const outward = upward ? "ArrowDown" : "ArrowUp";
  const inward = upward ? "ArrowUp" : "ArrowDown";
  if (key === outward) return from.parent ?? from;
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const nodes = layout.rows[at.row]!.nodes;
    return nodes[at.index + (key === "ArrowLeft" ? -1 : 1)] ?? from;
  }
  if (key !== inward) return null;
  layout.upTo(at.row + 2);
  const row = layout.rows[at.row + 1];
  let best: FlameNode = from;
  let widest = 0;
  for (let i = 0; row && i < row.nodes.length; i++) {
    if (row.nodes[i]!.parent !== from || row.width[i]! <= widest) continue;
    best = row.nodes[i]!;
    widest = row.width[i]!;
  }
  return best;
}

function reveal(element: HTMLElement | null, scene: Scene, node: FlameNode): void {
  const at = scene.layout.find(node);
  if (!element || !at) return;
  const y = yOf(scene, at.row);
  if (y < 0) element.scrollTop += y - ROW;
  else if (y + ROW > scene.height) element.scrollTop += y + 2 * ROW - scene.height;
}
