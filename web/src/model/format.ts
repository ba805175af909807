/** Figures as people read them, by the rules of the text views: 1.2 MB (decimal), 1,234,567, 37.0 %. */

const DECIMAL = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** With so many decimals. What lies halfway goes to the even digit, as in the text views. */
function fixed(value: number, decimals: number): string {
  const halves = value * 2 ** (decimals + 1);
  if (!Number.isInteger(halves) || halves % 2 === 0) return value.toFixed(decimals);
  const below = Math.floor((halves * 5 ** decimals) / 2);
  return ((below % 2 === 0 ? below : below + 1) / 10 ** decimals).toFixed(decimals);
}

function scaled(amount: number, base: number, units: string[]): string {
  let value = Math.abs(amount);
  let step = 0;
  while (value >= base - 0.05 && step < units.length - 1) {
    value /= base;
    step++;
  }
  const sign = amount < 0 ? "-" : "";
  return `${sign}${fixed(value, step === 0 ? 0 : 1)} ${units[step]}`;
}

/** Bytes in decimal units. */
export const size = (amount: number): string => scaled(amount, 1000, DECIMAL);

/** Bytes in units of 1024. */
export const binarySize = (amount: number): string => scaled(amount, 1024, BINARY);

/** Both, where a limit is compared. */
export const bothSizes = (amount: number): string =>
  Math.abs(amount) >= 1000 ? `${size(amount)} (${binarySize(amount)})` : size(amount);

/** With separators. */
export const count = (number: number): string =>
  Math.round(number).toString().replace(/\B(?=(\d{3})+$)/g, ",");

export const some = (number: number, one: string, many: string): string =>
  `${count(number)} ${number === 1 ? one : many}`;

/** A part of 1; what is more than nothing is never shown as 0. */
export const percent = (part: number): string =>
  part > 0 && part < 0.0005 ? "<0.1 %" : `${fixed(part * 100, 1)} %`;

/** A change by a part, with its sign, which stays where the digits are zeros. */
export const signedPercent = (part: number): string =>
  part === 0 ? percent(0) : `${part < 0 ? "−" : "+"}${fixed(Math.abs(part) * 100, 1)} %`;

/** Three significant digits below a minute; minutes and seconds, hours and minutes above. */
export function duration(seconds: number): string {
  if (seconds < 0) return `-${duration(-seconds)}`;
  if (seconds === 0) return "0 s";
  for (const [factor, unit] of [[1e6, "µs"], [1e3, "ms"], [1, "s"]] as const) {
    const value = seconds * factor;
    if (value < 999.5 && (unit !== "s" || value < 59.95)) {
      return `${fixed(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${unit}`;
    }
  }
  const whole = Number(fixed(seconds, 0));
  const two = (number: number): string => String(number).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${count(Math.floor(whole / 3600))} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** Where a span begins and ends, with as many digits as its length takes to be seen. */
export function durations(from: number, to: number): [string, string] {
  const step = (to - from) / 10;
  return step > 0 ? [stepped(from, step), stepped(to, step)] : [duration(from), duration(to)];
}

/** `duration`, to the nearest `step` or nearer. */
function stepped(seconds: number, step: number): string {
  const short = duration(seconds);
  const decimals = (factor: number): number =>
    Math.max(0, Math.min(Math.ceil(-Math.log10(step * factor) - 1e-6), 9 - Math.log10(factor)));
  if (seconds === 0) return short;
  if (seconds < 59.95) {
    const [figure, unit] = short.split(" ") as [string, string];
    const factor = unit === "µs" ? 1e6 : unit === "ms" ? 1e3 : 1;
    const shown = figure.split(".")[1]?.length ?? 0;
    return decimals(factor) > shown ? `${fixed(seconds * factor, decimals(factor))} ${unit}` : short;
  }
  if (step >= (seconds < 3599.5 ? 1 : 60)) return short;
  const digits = decimals(1);
  const ticks = Math.round(seconds * 10 ** digits);
  const minute = 60 * 10 ** digits;
  const rest = fixed((ticks % minute) / 10 ** digits, digits);
  const written = `${rest.padStart(digits ? digits + 3 : 2, "0")} s`;
  const minutes = Math.floor(ticks / minute);
  if (minutes < 60) return `${minutes} min ${written}`;
  return `${count(Math.floor(minutes / 60))} h ${String(minutes % 60).padStart(2, "0")} min ${written}`;
}

/** A figure in its unit. */
export const amount = (value: number, unit: string): string =>
  unit === "bytes" ? size(value) : count(value);

/** A difference with its sign, also where it is positive. */
export function signed(value: number, unit: string): string {
  if (value === 0) return amount(0, unit);
  return (value < 0 ? "−" : "+") + amount(Math.abs(value), unit);
}
