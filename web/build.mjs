// Bundles the page into the Python package, the same bytes from the same sources everywhere.
//   node build.mjs [FOLDER]     default: where the package has it
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, "../src/heaptide/views/page"));
const shipped = ["preact", "uplot"]; // what of node_modules ends up in the bundle

const shared = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  charset: "utf8",
  legalComments: "none", // in NOTICE instead
  logLevel: "warning",
  target: ["es2020"],
  write: false,
};
const results = await Promise.all([
  build({ ...shared, entryPoints: ["src/main.ts"], format: "iife" }),
  build({ ...shared, entryPoints: ["src/page.css"] }),
]);
mkdirSync(out, { recursive: true });
for (const [name, result] of [["page.js", results[0]], ["page.css", results[1]]]) {
  // An inline script ends where the parser of HTML first sees its end tag.
  const text = result.outputFiles[0].text.replace(/<\/(script|style)/gi, "<\\/$1");
  if (/<!--/.test(text)) throw new Error(`${name} contains <!--, which would hide what follows`);
  writeFileSync(join(out, name), text);
  console.log(`${name}: ${text.length} bytes, ${gzipSync(text).length} compressed`);
}
const notices = shipped.map((name) => {
  const version = JSON.parse(readFileSync(join(here, "node_modules", name, "package.json"))).version;
  const licence = readFileSync(join(here, "node_modules", name, "LICENSE"), "utf8");
  return `page.js contains ${name} ${version}:\n\n${licence.trim()}\n`;
});
writeFileSync(join(out, "NOTICE"), notices.join("\n"));
