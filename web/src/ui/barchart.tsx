/** Counts as bars side by side, with what a bar says beside the pointer. Needs its table beside it. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { Bucket } from "../model";
import { axis, briefly, COUNTS, countMark } from "./axes";
import { themeOf, type Theme } from "./paint";
import { Tip } from "./tip";
import { useWidth } from "./width";

const HEIGHT = 150;
const LEAST = 0.012; // of the height: what is more than nothing can be seen
const CHARACTER = 7; // px
const PLACES = [1, 2, 5, 10, 20, 50, 100];

interface Pointed {
  bar: number;
  x: number;
  y: number;
}

export function BarChart(props: {
  buckets: Bucket[];
  theme: string;
  says: (bar: number) => string;
}) {
  const { buckets } = props;
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const width = useWidth(box);
  const [pointed, setPointed] = useState<Pointed | null>(null);
  const wide = width > 1;
  useLayoutEffect(() => {
    if (!wide) return;
    const theme = themeOf(document.documentElement);
    const one = new uPlot(optionsOf(buckets, width, theme, setPointed), columnsOf(buckets), box.current!);
    chart.current = one;
    return () => {
      chart.current = null;
      one.destroy();
    };
  }, [wide, buckets, props.theme]);
  useLayoutEffect(() => {
    const one = chart.current;
    if (one && width !== one.width) one.setSize({ width, height: HEIGHT });
  }, [width]);
  return (
    <div class="bars" ref={box} aria-hidden="true" style={{ height: `${HEIGHT}px` }}>
      {pointed && buckets[pointed.bar] && (
        <Tip x={pointed.x} y={pointed.y}>
          <strong>{buckets[pointed.bar]!.label}</strong>
          <div>{props.says(pointed.bar)}</div>
        </Tip>
      )}
    </div>
  );
}

/** Bars stand at 0, 1, 2 … */
export function columnsOf(buckets: Bucket[]): uPlot.AlignedData {
  const highest = Math.max(...buckets.map(({ count }) => count), 0);
  return [
    buckets.map((_, bar) => bar),
    buckets.map(({ count }) => (count > 0 ? Math.max(count, highest * LEAST) : 0)),
  ];
}

function optionsOf(
  buckets: Bucket[],
  width: number,
  theme: Theme,
  onPointed: (pointed: Pointed | null) => void,
): uPlot.Options {
  const names = buckets.map(({ label }) => briefly(label));
  const apart = Math.max(...names.map((name) => name.length)) * CHARACTER + CHARACTER;
  const highest = Math.max(...buckets.map(({ count }) => count), 1);
  return {
    width,
    height: HEIGHT,
    padding: [10, 14, 0, 0],
    scales: {
      x: { time: false, range: () => [-0.5, buckets.length - 0.5] },
      y: { range: () => [0, highest * 1.04] },
    },
    axes: [
      axis(theme, 2, PLACES, (bar) => names[bar] ?? null, apart),
      axis(theme, 3, COUNTS, countMark),
    ],
    series: [
      {},
      {
        width: 0,
        fill: theme.accent,
        alpha: 0.9,
        points: { show: false },
        paths: uPlot.paths.bars!({ size: [0.88, 56] }),
      },
    ],
    legend: { show: false },
    select: { show: false, left: 0, top: 0, width: 0, height: 0 },
    cursor: { x: false, y: false, points: { show: false }, drag: { x: false, y: false } },
    hooks: {
      setCursor: [
        ({ cursor }) => {
          const { idx, event } = cursor;
          const at = idx === null || idx === undefined || !event ? null : idx;
          onPointed(at === null ? null : { bar: at, x: event!.clientX, y: event!.clientY });
        },
      ],
    },
  };
}
