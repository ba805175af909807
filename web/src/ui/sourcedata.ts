/** Source text, and what each of its lines has. */
import type { Dataset } from "../model";
import type { State } from "./state";
import { cleanSource, indexOfByte } from "./text";
import type { Views } from "./views";

export interface LineFigures {
  site: number; // charged to it
  inclusive: number; // with all that it calls
}

/** A part of a line, as indices into it. */
export interface Part {
  from: number;
  to: number;
}

/** Figures by line of the file with text number `file`; differences in a comparison. */
export function lineFigures(views: Views, state: State, file: number): Map<number, LineFigures> {
  const { locations } = views.data;
  const groups = views.groups(state, "line");
  const pair = views.metric(state).pair !== null;
  const found = new Map<number, LineFigures>();
  for (const row of views.table(state, "line")) {
    const at = groups.location[row.key]!;
    if (locations.file[at] !== file || !locations.line[at]) continue;
    found.set(locations.line[at]!, {
      site: pair ? row.site - row.baseSite : row.site,
      inclusive: pair ? row.inclusive - row.baseInclusive : row.inclusive,
    });
  }
  return found;
}

/** The location of each line of `file` that has most, of those whose columns are known. */
export function hotLocations(views: Views, state: State, file: number): Map<number, number> {
  const { data } = views;
  const { locations, nodes } = data;
  const { inclusive } = views.values(state).nodes;
  const weight = new Float64Array(locations.count);
  for (let i = 0; i < nodes.count; i++) weight[nodes.location[i]!]! += Math.abs(inclusive[i]!);
  const best = new Map<number, number>();
  for (let i = 0; i < locations.count; i++) {
    if (locations.file[i] !== file || !locations.column[i] || !weight[i]) continue;
    const line = locations.line[i]!;
    const other = best.get(line);
    if (other === undefined || weight[i]! > weight[other]!) best.set(line, i);
  }
  return best;
}

/** What of line `number` (from 1) the place `location` covers; null: nothing, or not known. */
export function partOf(
  data: Dataset,
  location: number,
  number: number,
  line: string,
): Part | null {
  const at = data.locations;
  const first = at.line[location]!;
  const last = at.endLine[location] || first;
  if (number < first || number > last) return null;
  const indent = line.length - line.trimStart().length;
  const from = number === first ? indexOfByte(line, at.column[location]! - 1) : indent;
  const end = at.endColumn[location]!;
  const to = number === last && end ? indexOfByte(line, end - 1) : line.trimEnd().length;
  return to > from ? { from, to } : null;
}

/** The text before, within and behind `part`, cleaned. */
export function pieces(line: string, part: Part | null): [string, string, string] {
  if (!part) return [cleanSource(line), "", ""];
  return [
    cleanSource(line.slice(0, part.from)),
    cleanSource(line.slice(part.from, part.to)),
    cleanSource(line.slice(part.to)),
  ];
}

const asked = new Map<number, Promise<string | null>>();

/** The text of a file: embedded, or from the server that the page is from; null: there is none. */
export function textOf(data: Dataset, file: number, served: boolean): Promise<string | null> {
  const embedded = data.header.sources[String(file)];
  if (embedded !== undefined) return Promise.resolve(embedded);
  if (!served) return Promise.resolve(null);
  let found = asked.get(file);
  if (!found) {
    found = fetch(`source?file=${file}`)
      .then((answer) => (answer.ok ? answer.text() : null))
      .catch(() => null);
    asked.set(file, found);
  }
  return found;
}
