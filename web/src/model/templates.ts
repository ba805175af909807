/** Names that all instances of a template have in common, by the rules of the text views. */

const OPERATOR = /(?:^|[\s:&*])operator(?![\p{L}\p{N}_])/u;

/**
 * `int std::max<int>(int, int)` as `std::max<>`: without the arguments of templates, and without
 * parameters and return types, which follow from them. A function that is no instance of one keeps
 * its whole name, and so does what does not balance. `language`: as in `location.language`.
 */
export function mergedName(name: string, language: number): string {
  if (language === PYTHON || !name.includes("<")) return name;
  if (language === RUST) return withoutArguments(name);
  const bare = qualified(name);
  return bare.includes("<") ? withoutArguments(bare) : name;
}

const PYTHON = 1;
const RUST = 4;

/** `std::map<int, long>::find` as `std::map<>::find`. A leading `<` is Rust's `<T as Trait>`. */
function withoutArguments(name: string): string {
  const start = name.startsWith("<") ? closing(name) : 0;
  if (start < 0) return name;
  let out = name.slice(0, start);
  let depth = 0;
  let kept = start; // what has been looked at and belongs to the name begins here
  for (let i = start; i < name.length; i++) {
    const c = name[i]!;
    if (c === "<" && !name.slice(Math.max(0, i - 9), i).includes("operator")) {
      if (depth++ === 0) out += `${name.slice(kept, i)}<>`;
    } else if (c === ">" && depth && name[i - 1] !== "-" && --depth === 0) {
      kept = i + 1;
    }
  }
  return depth === 0 ? out + name.slice(kept) : name;
}

/** Just behind the `>` that closes the `<` at the start; -1: none does. */
function closing(name: string): number {
  let depth = 0;
  for (let i = 0; i < name.length; i++) {
    if (name[i] === "<") depth++;
    else if (name[i] === ">" && name[i - 1] !== "-") depth--;
    if (depth === 0) return i + 1;
  }
  return -1;
}

/** The qualified name in a signature of C++: no return type, no parameters. */
function qualified(name: string): string {
  const found = OPERATOR.exec(name);
  const operator = found ? found.index + found[0].length - "operator".length : -1;
  let depth = 0;
  let start = 0;
  for (let i = 0; i < name.length; i++) {
    if (i === operator) {
      // `operator new`, `operator int`: what follows is part of the name, up to "(".
      if (depth !== 0) return name;
      const rest = name.indexOf("(", symbolEnd(name, i));
      return name.slice(start, rest < 0 ? undefined : rest);
    }
    const c = name[i]!;
    if ("<([{".includes(c)) {
      if (c === "(" && depth === 0 && i > start && !isNamePart(name, i)) return name.slice(start, i);
      depth++;
    } else if (">)]}".includes(c)) {
      if (!(c === ">" && name[i - 1] === "-")) depth--;
    } else if (c === " " && depth === 0) {
      start = i + 1;
    }
  }
  return depth === 0 && start < name.length ? name.slice(start).replace(/^[*&]+/, "") : name;
}

/** End of the symbol that makes up an operator's name (`operator<<`, `operator()`). */
function symbolEnd(name: string, start: number): number {
  let stop = start + "operator".length;
  while (name[stop] === " ") stop++;
  if (name.startsWith("()", stop) || name.startsWith("[]", stop)) return stop + 2;
  while (stop < name.length && "<>=!+-*/%^&|~,".includes(name[stop]!)) stop++;
  return stop;
}

/** Whether the parenthesis at `i` opens `(anonymous namespace)` and the like. */
function isNamePart(name: string, i: number): boolean {
  const close = name.indexOf(")", i);
  return close >= 0 && name.startsWith("::", close + 1);
}
