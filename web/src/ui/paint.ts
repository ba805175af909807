/** Draws the visible part of a flame graph on a canvas. Only what is in sight is visited. */
import type { FlameNode } from "../model";
import type { Fill } from "./colours";
import type { Layout } from "./layout";
import { tail } from "./text";

export const ROW = 19; // px a row, its gap included
const PAD = 4;
const LEAST_TEXT = 26; // px that a text is worth

/** What a painter asks about a node. */
export interface Look {
  fill(node: FlameNode): Fill;
  label(node: FlameNode): string;
  beside(node: FlameNode): string; // written behind the label where there is room
  hit: ((node: FlameNode) => boolean) | null; // null: nothing is searched for
  closed(node: FlameNode): boolean;
}

/** Colours of the page that the canvas needs. */
export interface Theme {
  dark: boolean;
  ground: string;
  text: string;
  dim: string;
  line: string;
  accent: string;
  found: string;
  foundLine: string;
  panel: string;
}

const themes = new Map<string, Theme>(); // asking for a style is slow

export function themeOf(element: HTMLElement): Theme {
  const name = element.dataset["theme"] ?? "";
  let found = themes.get(name);
  if (!found) themes.set(name, (found = readTheme(element)));
  return found;
}

function readTheme(element: HTMLElement): Theme {
  const style = getComputedStyle(element);
  const get = (name: string): string => style.getPropertyValue(name).trim();
  return {
    dark: element.dataset["theme"] === "dark",
    ground: get("--ground"),
    text: get("--text"),
    dim: get("--dim"),
    line: get("--line"),
    accent: get("--accent"),
    found: get("--found"),
    foundLine: get("--found-line"),
    panel: get("--panel"),
  };
}

/** Make `canvas` `width` by `height` CSS pixels, sharp on any screen; its context, cleared. */
export function prepared(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
): CanvasRenderingContext2D | null {
  const ratio = window.devicePixelRatio || 1;
  const w = Math.max(1, Math.round(width * ratio));
  const h = Math.max(1, Math.round(height * ratio));
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  context?.clearRect(0, 0, width, height);
  return context;
}

/** Widths of texts in one font, by the sum of their characters: fast, and good to a pixel or so. */
export class Ruler {
  private readonly widths = new Map<number, number>();

  constructor(private readonly context: CanvasRenderingContext2D) {}

  readonly width = (text: string): number => {
    let sum = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      let w = this.widths.get(code);
      if (w === undefined) {
        w = this.context.measureText(text[i]!).width;
        this.widths.set(code, w);
      }
      sum += w;
    }
    return sum;
  };
}

export interface Scene {
  layout: Layout;
  look: Look;
  theme: Theme;
  top: number; // px scrolled
  flipped: number; // rows of a chart that grows upwards; 0: downwards
  height: number; // px in sight
  selected: FlameNode | null;
  hovered: FlameNode | null;
}

export const FONT = "12px system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

export function paint(context: CanvasRenderingContext2D, scene: Scene, ruler: Ruler): void {
  const { layout } = scene;
  const rows = rowsInSight(scene);
  layout.upTo(rows[1] + 1);
  context.font = FONT;
  context.textBaseline = "middle";
  context.textAlign = "left";
  context.direction = "ltr";
  for (let row = rows[0]; row < Math.min(rows[1], layout.rows.length); row++) {
    paintRow(context, scene, ruler, row, yOf(scene, row));
  }
  context.globalAlpha = 1;
  outline(context, scene, scene.hovered, scene.theme.dim, 1);
  outline(context, scene, scene.selected, scene.theme.accent, 2);
}

/** Where `row` begins, in px from the top of what is in sight. */
export const yOf = ({ flipped, top }: Scene, row: number): number =>
  (flipped ? flipped - 1 - row : row) * ROW - top;

/** The row at `y` px, in sight or not. */
export function rowAt({ flipped, top }: Scene, y: number): number {
  const row = Math.floor((y + top) / ROW);
  return flipped ? flipped - 1 - row : row;
}

/** The first row in sight, and the one after the last. */
function rowsInSight(scene: Scene): [number, number] {
  const ends = [rowAt(scene, 0), rowAt(scene, scene.height)];
  return [Math.max(0, Math.min(...ends)), Math.max(...ends) + 1];
}

function paintRow(
  context: CanvasRenderingContext2D,
  scene: Scene,
  ruler: Ruler,
  row: number,
  y: number,
): void {
  const { layout, look, theme } = scene;
  const { nodes, left, width } = layout.rows[row]!;
  const ancestor = row < layout.above - 1;
  let smear = -1; // up to where a run of slivers has been drawn
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i]!;
    const x = left[i]!;
    const w = width[i]!;
    const hit = look.hit?.(node) ?? false;
    if (w < 1.5 && !hit) {
      // A run of slivers shows as one soft block, a pixel at a time.
      if (x < smear) continue;
      smear = Math.floor(x) + 1;
    }
    const { fill, text } = look.fill(node);
    context.globalAlpha = ancestor ? 0.55 : look.hit && !hit ? 0.38 : w < 1.5 && !hit ? 0.6 : 1;
    context.fillStyle = hit ? theme.found : fill;
    context.fillRect(x, y, Math.max(w - (w > 3 ? 1 : 0), 1), ROW - 1);
    if (hit) {
      context.fillStyle = theme.foundLine;
      context.fillRect(x, y + ROW - 3, Math.max(w - 1, 1), 2);
    }
    if (w < LEAST_TEXT) continue;
    const room = w - 2 * PAD;
    const label = tail(look.label(node), room, ruler.width);
    if (!label) continue;
    // Text keeps its contrast where the box is pale.
    const pale = context.globalAlpha < 1;
    context.globalAlpha = 1;
    context.fillStyle = hit || pale ? theme.text : text;
    context.fillText(label, x + PAD, y + ROW / 2, room + PAD);
    writeBeside(context, look.beside(node), ruler.width(label), x, y, w, ruler);
    if (look.closed(node)) closedMark(context, x, y, w, theme);
  }
}

function writeBeside(
  context: CanvasRenderingContext2D,
  text: string,
  used: number,
  x: number,
  y: number,
  w: number,
  ruler: Ruler,
): void {
  const wide = text ? ruler.width(text) : 0;
  if (!wide || used + wide + 5 * PAD > w) return;
  context.globalAlpha = 0.8;
  context.fillText(text, x + w - wide - 2 * PAD, y + ROW / 2);
  context.globalAlpha = 1;
}

function closedMark(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  w: number,
  theme: Theme,
): void {
  context.fillStyle = theme.text;
  for (let dot = x + 2; dot < x + w - 3; dot += 5) context.fillRect(dot, y + ROW - 3, 3, 2);
}

function outline(
  context: CanvasRenderingContext2D,
  scene: Scene,
  node: FlameNode | null,
  colour: string,
  thick: number,
): void {
  const at = node && scene.layout.find(node);
  if (!at) return;
  const { left, width } = scene.layout.rows[at.row]!;
  const y = yOf(scene, at.row);
  if (y < -ROW || y > scene.height) return;
  context.strokeStyle = colour;
  context.lineWidth = thick;
  const inset = thick / 2;
  context.strokeRect(
    left[at.index]! + inset,
    y + inset,
    Math.max(width[at.index]! - 1 - thick, 1),
    ROW - 1 - thick,
  );
}
