/** A table of any length: sortable, moved through by keys, and only its rows in sight are made. */
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

export const ROW_HEIGHT = 26;
const WHOLE = 500; // rows that are made without a window
const BESIDE = 12; // rows made above and below those in sight

export interface Column {
  key: string;
  title: string;
  help?: string | undefined;
  figure?: boolean | undefined; // right-aligned
  width: string; // as in grid-template-columns
  narrow?: boolean | undefined; // left out on narrow screens
  sortable?: boolean | undefined;
  cell: (row: number) => ComponentChildren;
}

interface Props {
  label: string;
  count: number;
  columns: Column[];
  sorted?: { key: string; ascending: boolean } | null;
  onSort?: ((key: string) => void) | undefined;
  onOpen?: ((row: number) => void) | undefined;
  chosen?: number | undefined;
  keyOf?: ((row: number) => string | number) | undefined;
  tree?: Tree | undefined;
}

/** What makes the rows a tree. Arrow keys open and close them. */
export interface Tree {
  level: (row: number) => number; // from 1
  open: (row: number) => boolean | null; // null: a leaf
  toggle: (row: number) => void;
  parent: (row: number) => number;
}

/** Whether the screen is narrow now. */
function useNarrow(): boolean {
  const media = useMemo(() => window.matchMedia("(max-width: 640px)"), []);
  const [narrow, setNarrow] = useState(media.matches);
  useEffect(() => {
    const changed = (): void => setNarrow(media.matches);
    media.addEventListener("change", changed);
    return () => media.removeEventListener("change", changed);
  }, [media]);
  return narrow;
}

export function Rows(props: Props) {
  const { count, tree } = props;
  const narrow = useNarrow();
  const columns = narrow ? props.columns.filter((column) => !column.narrow) : props.columns;
  const [at, setAt] = useState(0);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const scroller = useRef<HTMLDivElement>(null);
  const wantsFocus = useRef(false);
  const current = Math.min(at, Math.max(count - 1, 0));

  useLayoutEffect(() => {
    const element = scroller.current;
    if (element) setHeight(element.clientHeight || 600);
  }, [count]);
  useEffect(() => {
    if (!wantsFocus.current) return;
    wantsFocus.current = false;
    const row = scroller.current?.querySelector<HTMLElement>(`[data-row="${current}"]`);
    row?.focus({ preventScroll: true });
  });

  const windowed = count > WHOLE;
  const first = windowed ? Math.max(0, Math.floor(top / ROW_HEIGHT) - BESIDE) : 0;
  const last = windowed
    ? Math.min(count, Math.ceil((top + height) / ROW_HEIGHT) + BESIDE)
    : count;
  const template = columns.map((column) => column.width).join(" ");

  const go = (row: number): void => {
    const next = Math.max(0, Math.min(count - 1, row));
    wantsFocus.current = true;
    setAt(next);
    const element = scroller.current;
    if (!element) return;
    const y = next * ROW_HEIGHT;
    const head = element.firstElementChild?.clientHeight ?? 30;
    const room = element.clientHeight - head;
    if (y < element.scrollTop) element.scrollTop = y;
    else if (y + ROW_HEIGHT > element.scrollTop + room) element.scrollTop = y + ROW_HEIGHT - room;
    setTop(element.scrollTop);
  };
  const onKey = (event: KeyboardEvent): void => {
    const page = Math.max(1, Math.floor(height / ROW_HEIGHT) - 2);
    const to = moved(event.key, current, count, page);
    if (to !== null) go(to);
    else if (tree && treeKey(event.key, current, tree, go)) {
      /* done */
    } else if (event.key === "Enter" && event.target === focusedRow(event)) {
      props.onOpen?.(current);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const rows = [];
  for (let row = first; row < last; row++) {
    rows.push(
      <div
        key={props.keyOf ? props.keyOf(row) : row}
        class="row"
        role="row"
        data-row={row}
        aria-rowindex={row + 2}
        aria-selected={row === props.chosen}
        aria-level={tree?.level(row)}
        aria-expanded={tree?.open(row) ?? undefined}
        tabIndex={row === current ? 0 : -1}
        style={{ gridTemplateColumns: template }}
        onClick={() => {
          setAt(row);
          props.onOpen?.(row);
        }}
        onFocus={() => setAt(row)}
      >
        {columns.map((column) => (
          <div key={column.key} role="gridcell" class={column.figure ? "figure" : "text"}>
            {column.cell(row)}
          </div>
        ))}
      </div>,
    );
  }
  return (
    <div class="rows">
      <div
        class="scroll"
        ref={scroller}
        role={tree ? "treegrid" : "grid"}
        aria-label={props.label}
        aria-rowcount={count + 1}
        aria-colcount={columns.length}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
        onKeyDown={onKey}
      >
        <Head {...props} columns={columns} template={template} />
        <div
          class="body"
          role="rowgroup"
          style={windowed ? { height: `${count * ROW_HEIGHT}px` } : {}}
        >
          <div
            class={windowed ? "window" : ""}
            role="presentation"
            style={windowed ? { top: `${first * ROW_HEIGHT}px` } : {}}
          >
            {rows}
          </div>
        </div>
      </div>
    </div>
  );
}

function Head(props: Props & { template: string }) {
  const { sorted } = props;
  return (
    <div
      class="row head"
      role="row"
      aria-rowindex={1}
      style={{ gridTemplateColumns: props.template }}
    >
      {props.columns.map((column) => {
        const mine = sorted?.key === column.key;
        const order = mine ? (sorted!.ascending ? "ascending" : "descending") : undefined;
        return (
          <div
            key={column.key}
            role="columnheader"
            aria-sort={column.sortable ? (order ?? "none") : undefined}
            class={column.figure ? "figure" : ""}
            title={column.help}
          >
            {column.sortable && props.onSort ? (
              <button type="button" onClick={() => props.onSort!(column.key)}>
                {column.title}
                <span aria-hidden="true">{mine ? (sorted!.ascending ? " ▴" : " ▾") : ""}</span>
              </button>
            ) : (
              <span>{column.title}</span>
            )}
          </div>
        );
      })}
    </div>
  );
}

function focusedRow(event: KeyboardEvent): EventTarget | null {
  return (event.target as HTMLElement).closest("[data-row]");
}

function moved(key: string, at: number, count: number, page: number): number | null {
  switch (key) {
    case "ArrowDown":
      return at + 1;
    case "ArrowUp":
      return at - 1;
    case "PageDown":
      return at + page;
    case "PageUp":
      return at - page;
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
}

function treeKey(key: string, at: number, tree: Tree, go: (row: number) => void): boolean {
  const open = tree.open(at);
  if (key === "ArrowRight") {
    if (open === false) tree.toggle(at);
    else if (open) go(at + 1);
    return true;
  }
  if (key === "ArrowLeft") {
    if (open) tree.toggle(at);
    else if (tree.parent(at) >= 0) go(tree.parent(at));
    return true;
  }
  return false;
}
