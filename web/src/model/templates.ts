/** Names of functions without the arguments of their templates. */

/**
 * `std::vector<int>::push_back(int)` as `std::vector<>::push_back(int)`. Operators keep their names;
 * `<T as Trait>::f` and what does not balance stay as they are.
 */
export function plainName(name: string): string {
  if (!name.includes("<") || name.startsWith("<")) return name;
  let out = "";
  let depth = 0;
  for (let i = 0; i < name.length; i++) {
    const c = name[i]!;
    if (depth === 0 && name.startsWith("operator", i) && !/\w/.test(name[i - 1] ?? "")) {
      const symbol = /^operator\s*(?:->\*?|<=>|<<=?|>>=?|<=|>=|<|>)/.exec(name.slice(i, i + 16));
      if (symbol) {
        out += symbol[0];
        i += symbol[0].length - 1;
        continue;
      }
    }
    if (c === "<") {
      if (depth++ === 0) out += "<>";
    } else if (c === ">" && name[i - 1] !== "-") {
      if (depth === 0) return name;
      depth--;
    } else if (depth === 0) {
      out += c;
    }
  }
  return depth === 0 ? out : name;
}
