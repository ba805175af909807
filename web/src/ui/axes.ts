/** How the axes of the page's charts look, and at which figures they are marked. */
import type uPlot from "uplot";
import { count, duration, size } from "../model";
import { FONT, type Theme } from "./paint";

export const LEFT = 62; // px that figures beside the chart take
export const BELOW = 24; // px that those under it take
const APART = 30; // px from one line to the next, at least

/** 1, 2 and 5 times each power of ten, from `10 ** first` to `10 ** last`. */
const round = (first: number, last: number): number[] => {
  const found: number[] = [];
  for (let power = first; power <= last; power++) {
    found.push(...[1, 2, 5].map((factor) => factor * 10 ** power));
  }
  return found;
};

const S = 1e9; // ns
const HOUR = 3600 * S;

/** Steps between marks, of which one is chosen that leaves room for what is written there. */
export const BYTES = round(0, 18);
export const COUNTS = round(0, 18);
export const TIMES = [
  ...round(1, 8),
  ...[1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800].map((seconds) => seconds * S),
  ...round(0, 6).map((hours) => hours * HOUR),
];

/** Without zeros at the end of fractions, or below the unit: marks are at round figures. */
const short = (figure: string): string =>
  figure.replace(/(\.\d*?)0+ /, "$1 ").replace(". ", " ").replace(/(?<=(min|h)) 00 (s|min)$/, "");

export const bytesMark = (bytes: number): string => short(size(bytes));
export const timeMark = (ns: number): string => short(duration(ns / S));
/** Millions as "3 M", so that it fits beside the chart. */
export const countMark = (many: number): string =>
  many < 1e6 ? count(many) : short(size(many)).slice(0, -1);

/** The name of a bucket, as short as it can stand below its bar: its bound. */
export const briefly = (label: string): string =>
  short(`${label.replace(/^(up to|below) /, "").replace(/^over /, "> ")} `)
    .replace(/ and more $/, "+")
    .trim();

/** An axis of the page's looks. `side`: 2 below, 3 left. */
export function axis(
  theme: Theme,
  side: 2 | 3,
  incrs: number[],
  mark: (value: number) => string | null,
  apart = APART,
): uPlot.Axis {
  const below = side === 2;
  return {
    scale: below ? "x" : "y",
    side,
    size: below ? BELOW : LEFT,
    gap: below ? 7 : 8,
    font: FONT,
    stroke: theme.dim,
    space: apart,
    incrs,
    values: (_, splits) => splits.map(mark),
    ticks: { show: false },
    grid: below ? { show: false } : { stroke: theme.line, width: 1 },
  };
}
