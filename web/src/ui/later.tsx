/** Work that can wait until what a person looks at first, or has just asked for, is drawn. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

const AFTER_PAINT = 100; // ms at most: a page in the background is not painted

const waiting: (() => void)[] = [];
const listeners: (() => void)[] = [];
let running = false;

/** Run `work` after the next picture, behind what waits already. Returns what takes it back. */
export function later(work: () => void): () => void {
  waiting.push(work);
  if (!running) {
    running = true;
    afterPaint(next);
  }
  return () => {
    const at = waiting.indexOf(work);
    if (at >= 0) waiting.splice(at, 1);
  };
}

/** Resolves when nothing waits. */
export function settled(): Promise<void> {
  if (!running) return Promise.resolve();
  return new Promise((done) => listeners.push(done));
}

function next(): void {
  waiting.shift()?.();
  if (waiting.length) afterPaint(next);
  else {
    // What was made may make more wait, once it is in the document.
    afterPaint(() => {
      if (waiting.length) return next();
      running = false;
      for (const done of listeners.splice(0)) done();
    });
  }
}

function afterPaint(work: () => void): void {
  let done = false;
  const once = (): void => {
    if (!done) work();
    done = true;
  };
  requestAnimationFrame(() => setTimeout(once, 0));
  setTimeout(once, AFTER_PAINT);
}

/** What `make` gives, some time after `deps` changed; until then what it gave before, or null. */
export function useLater<T>(make: () => T, deps: readonly unknown[]): T | null {
  const [made, setMade] = useState<{ value: T } | null>(null);
  const latest = useRef(make);
  latest.current = make;
  useEffect(() => later(() => setMade({ value: latest.current() })), deps);
  return made && made.value;
}

/** Its children after the first picture of all else; until then their room. */
export function Later(props: { room: string; children: () => ComponentChildren }) {
  const [now, setNow] = useState(false);
  useEffect(() => later(() => setNow(true)), []);
  return now ? <>{props.children()}</> : <div style={{ minHeight: props.room }} />;
}
