/** What the code of a module is called, where Python says <module> of all of them. */

const MODULE_CODE = "<module>";

// What follows is a module of an installed distribution, or of the standard library.
const INSTALLED =
  /^.*\/(?:site|dist)-packages\/|^.*\/lib(?:32|64)?\/(?:python|pypy)\d+\.\d+t?\/|^.*\/python3\d+\.zip\//;

/**
 * `name`, but of a module's code `import shop.catalog`, by the rules of the text views. `known`: by
 * file, what is not imported: the program's script.
 */
export function calledBy(
  name: string,
  file: string,
  module: string,
  known: Record<string, string>,
): string {
  if (name !== MODULE_CODE) return name;
  if (Object.hasOwn(known, file)) return known[file]!;
  const short = file.replace(INSTALLED, "");
  if (short !== file) return imported(short.replace(/\.[^./]*$/, "").replaceAll("/", "."));
  const frozen = /^<frozen (.*)>$/.exec(file);
  if (frozen) return imported(frozen[1]!);
  if (!file.startsWith("/")) return name;
  return imported(module && !module.includes("/") ? module : file.slice(file.lastIndexOf("/") + 1));
}

const imported = (name: string): string => `import ${name.replace(/\.__init__$/, "")}`;
