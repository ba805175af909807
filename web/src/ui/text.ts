/** Names as they are shown. Whatever stands in a recording is data: nothing in it may act. */

// What has no glyph of its own, moves what follows it (bidi overrides, joiners), or breaks lines.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;
const PLAIN = /^[\x20-\x7e]*$/;

/** `text` with each unseen character written out: `\x1b`, `\u202e`. */
export function clean(text: string): string {
  return PLAIN.test(text) ? text : text.replace(UNSEEN, escaped);
}

function escaped(character: string): string {
  const code = character.codePointAt(0)!;
  if (code < 0x100) return "\\x" + code.toString(16).padStart(2, "0");
  return code < 0x10000
    ? "\\u" + code.toString(16).padStart(4, "0")
    : "\\U" + code.toString(16).padStart(8, "0");
}

/** The same for many lines of source, where tabs are space. */
export function cleanSource(line: string): string {
  return clean(line.replace(/\r$/, "").replace(/\t/g, "    "));
}

/**
 * The end of `text` that is at most `room` wide, behind an ellipsis: what tells names and paths
 * apart stands at their end. "" where nothing fits. `measure` gives the width of a text.
 */
export function tail(text: string, room: number, measure: (text: string) => number): string {
  if (measure(text) <= room) return text;
  return shortened(text.length, room, measure, (kept) => "…" + text.slice(text.length - kept));
}

function shortened(
  length: number,
  room: number,
  measure: (text: string) => number,
  cut: (kept: number) => string,
): string {
  let low = 0;
  let high = length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (measure(cut(middle)) <= room) low = middle;
    else high = middle - 1;
  }
  return low < 2 ? "" : cut(low);
}

// What a path is under says less than what it is below that; the longest match goes.
const PREFIX = new RegExp(
  [
    "^.*/(?:site|dist)-packages/",
    "^.*/lib(?:32|64)?/(?:python|pypy)\\d+\\.\\d+t?/",
    "^.*/\\.cargo/(?:registry/src|git/checkouts)/[^/]+/",
    "^/rustc/[0-9a-f]+/",
    "^.*/rustlib/src/rust/",
  ].join("|"),
);

let here = "";

/** From which directory paths are seen from now on. */
export function seenFrom(directory: string): void {
  here = directory === "/" ? "" : directory;
}

/** `path` from where its package is installed, or from here; long ones by their last three parts. */
export function shortPath(path: string): string {
  let short = path.replace(PREFIX, "");
  if (short === path && here && path.startsWith(`${here}/`)) short = path.slice(here.length + 1);
  const parts = short.split("/");
  return parts.length <= 4 ? short : "…/" + parts.slice(-3).join("/");
}

/** The last part of a path. */
export function basename(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1) || path;
}

/** The same; of a package's own file with the package, which tells it from all others. */
export function fileName(path: string): string {
  return /(?:[^/]*\/)?__init__\.py(?::\d+)?$/.exec(path)?.[0] ?? basename(path);
}

/** A list in words: "a, b and 3 others". */
export function listed(names: string[], most: number): string {
  if (names.length <= most) return names.join(", ");
  const rest = names.length - most;
  return `${names.slice(0, most).join(", ")} and ${rest} other${rest === 1 ? "" : "s"}`;
}

/** `at` bytes of UTF-8 into `line` (from 0) as an index into the string, at most its length. */
export function indexOfByte(line: string, at: number): number {
  let bytes = 0;
  let index = 0;
  while (index < line.length && bytes < at) {
    const code = line.codePointAt(index)!;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    index += code > 0xffff ? 2 : 1;
  }
  return index;
}
