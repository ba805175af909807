/** Colours of frames and series. Each fill comes with a text colour that reads on it. */

export interface Fill {
  fill: string;
  text: string;
  dim: boolean; // to be drawn as if it were of no interest
}

export const ORIGINS = ["own", "library", "interpreter", "allocator", "unknown"] as const;
export const LANGUAGES = ["native", "Python", "C", "C++", "Rust", "other"] as const;
const HUES = [265, 40, 100, 178, 16, 300]; // by language
const STRENGTHS = [0.75, 1, 0.6, 0.65, 1, 0.6]; // some hues are louder than others
const DARK_TEXT = "#14181d";
const LIGHT_TEXT = "#f2f4f7";

/** Hue, saturation, lightness of a frame of `language` and `origin`. */
function base(language: number, origin: number, dark: boolean): [number, number, number] {
  const hue = HUES[language] ?? HUES[0]!;
  if (origin === 2) return [215, 8, dark ? 34 : 84];
  if (origin === 3) return [215, 12, dark ? 27 : 76];
  const strength = STRENGTHS[language] ?? STRENGTHS[0]!;
  if (origin === 0) return [hue, (dark ? 58 : 78) * strength, dark ? 56 : 64];
  return dark ? [hue, 26 * strength, 31] : [hue, 58 * strength, 87];
}

/** The fill of a frame: hue by language, strength by whose code it is; a shade by module, -1: none. */
export function frameFill(
  language: number,
  origin: number,
  shade: number,
  dark: boolean,
): Fill {
  const [hue, saturation, lightness] = base(language, origin, dark);
  if (shade < 0) return fill(hue, saturation, lightness);
  const turn = origin === 2 || origin === 3 ? 0 : ((shade % 7) - 3) * (origin === 0 ? 1.5 : 2.5);
  const lift = ((Math.floor(shade / 7) % 5) - 2) * 1.6;
  return fill(hue + turn, saturation, lightness + lift);
}

/** The fill of a frame whose memory changed by `part` (-1 … 1) of what it could have. */
export function changeFill(part: number, dark: boolean): Fill {
  const strength = Math.min(1, Math.sqrt(Math.abs(part)));
  const hue = part < 0 ? 212 : 14;
  const saturation = Math.abs(part) < 1e-9 ? 4 : 30 + 50 * strength;
  return fill(hue, saturation, dark ? 30 + 28 * strength : 92 - 32 * strength);
}

// Between these, neither text colour has a contrast of 4.5.
const LIGHT_ENOUGH = 0.225;
const DARK_ENOUGH = 0.155;

function fill(hue: number, saturation: number, wanted: number): Fill {
  const light = (at: number): number => luminance(hue, saturation / 100, at / 100);
  let lightness = wanted;
  const dark = light(lightness) > 0.18;
  while (dark && light(lightness) < LIGHT_ENOUGH) lightness += 0.5;
  while (!dark && light(lightness) > DARK_ENOUGH) lightness -= 0.5;
  const css = `hsl(${hue.toFixed(0)} ${saturation.toFixed(0)}% ${lightness.toFixed(1)}%)`;
  return { fill: css, text: dark ? DARK_TEXT : LIGHT_TEXT, dim: false };
}

/** Relative luminance as WCAG defines it. */
function luminance(hue: number, saturation: number, lightness: number): number {
  const chroma = saturation * Math.min(lightness, 1 - lightness);
  const channel = (n: number): number => {
    const k = (n + hue / 30) % 12;
    const c = lightness - chroma * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(0) + 0.7152 * channel(8) + 0.0722 * channel(4);
}

const SERIES_LIGHT = [
  "#2f6fb5", "#d98a2b", "#3a9a78", "#b5477a", "#8069c4", "#a98b12", "#3f9fb5", "#8c564b",
];
const SERIES_DARK = [
  "#5b9ae0", "#e0a04c", "#54b892", "#d4719f", "#a18ce0", "#c7aa3c", "#62bdd1", "#b57f73",
];

/** The colour of the series at `index` of a stack of areas; the rest: -1. */
export function seriesColour(index: number, dark: boolean): string {
  if (index < 0) return dark ? "#535c66" : "#c0c7cf";
  const all = dark ? SERIES_DARK : SERIES_LIGHT;
  return all[index % all.length]!;
}

/** A small number that is the same for the same text. */
export function hash(text: string): number {
  let sum = 2166136261;
  for (let i = 0; i < text.length; i++) sum = Math.imul(sum ^ text.charCodeAt(i), 16777619);
  return sum >>> 0;
}
