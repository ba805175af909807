/** Whether a page's data hold together: references that lead nowhere would show as wrong figures. */
import { check } from "./columns";
import type { Locations, Nodes, Samples } from "./dataset";
import type { Header } from "./header";

interface Parts {
  header: Header;
  texts: string[];
  nodes: Nodes;
  samples: Samples;
  locations: Locations;
}

/** Throws in words if `header` does not describe columns of `data`. */
export function checkHeader(header: Header, data: Uint8Array, version: number): void {
  if (typeof header !== "object" || header === null || !Array.isArray(header.columns)) {
    throw new Error("its header is damaged");
  }
  if (header.version !== version) {
    throw new Error(`it has version ${header.version}, this page reads ${version}`);
  }
  for (const info of header.columns) check(data, info);
}

/** Throws in words if some number of a place, a stack or a sample leads nowhere. */
export function checkParts({ header, texts, nodes, samples, locations }: Parts): void {
  for (const name of ["function", "file", "module", "oldFile"] as const) {
    below(locations[name], texts.length, locations.count, "places in code");
  }
  for (const name of ["line", "oldLine", "origin", "kind", "language"] as const) {
    below(locations[name], Infinity, locations.count, "places in code");
  }
  below(nodes.location, locations.count, nodes.count, "stacks");
  let deepest = 0;
  for (let i = 0; i < nodes.count; i++) {
    if (nodes.depth[i]! < 0 || nodes.depth[i]! > deepest) throw damaged("stacks");
    deepest = nodes.depth[i]! + 1;
  }
  below(samples.node, nodes.count, samples.count, "samples");
  for (let i = 1; i < samples.count; i++) {
    if (samples.node[i]! < samples.node[i - 1]!) throw damaged("samples");
  }
  below(samples.site, locations.count, samples.count, "samples");
  below(samples.thread, header.threads.length + 1, samples.count, "samples");
  below(samples.process, header.processes.length, samples.count, "samples");
}

function below(numbers: Int32Array, limit: number, rows: number, what: string): void {
  if (numbers.length !== rows) throw damaged(what);
  for (let i = 0; i < numbers.length; i++) {
    if (numbers[i]! < 0 || numbers[i]! >= limit) throw damaged(what);
  }
}

const damaged = (what: string): Error => new Error(`its ${what} are damaged`);
