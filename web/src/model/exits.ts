/** What processes held when they ended: never freed, but no part of the live heap any more. */
import type { Column } from "./columns";
import type { Bins, Samples } from "./dataset";
import type { Process } from "./header";

/** What lives no more from the end of bin i on: rows first[i] to first[i + 1]. */
export interface Exits {
  first: Int32Array;
  sample: ArrayLike<number>;
  bytes: ArrayLike<number>;
  blocks: ArrayLike<number>;
}

type Columns = (name: string) => Column;

/** Where rows of bins begin, from how many each has. */
export function firstRows(counts: ArrayLike<number>): Int32Array {
  const first = new Int32Array(counts.length + 1);
  for (let i = 0; i < counts.length; i++) first[i + 1] = first[i]! + counts[i]!;
  return first;
}

/** As a comparison has them: samples there belong to no process. */
export function writtenExits(column: Columns, count: number): Exits {
  const [rows, sample, bytes, blocks] = ["rows", "sample", "bytes", "blocks"].map((name) =>
    column(`exit.${name}`),
  ) as [Column, Column, Column, Column];
  const first = firstRows(rows);
  const even = [sample, bytes, blocks].every((one) => one.length === first[count]);
  if (rows.length !== count || !even) throw new Error("what its processes held is damaged");
  return { first, sample, bytes, blocks };
}

/** From the ends of processes. What ended before a bin began lives no more at that bin's end. */
export function exitsOf(column: Columns, bins: Bins, samples: Samples, processes: Process[]): Exits {
  const gone = processes.map(({ end_ns }) =>
    end_ns === null ? bins.count : firstFrom(bins.start, end_ns),
  );
  const sample: number[] = [];
  const bytes: number[] = [];
  const blocks: number[] = [];
  const counts = new Int32Array(bins.count);
  const leave = (bin: number, at: number, size: number, number: number): void => {
    if (!size && !number) return;
    sample.push(at);
    bytes.push(size);
    blocks.push(number);
    counts[bin]!++;
  };
  if (gone.every((bin) => bin === bins.count)) return { first: firstRows(counts), sample, bytes, blocks };
  const ending = Array.from({ length: bins.count }, (): number[] => []);
  const end = Int32Array.from(samples.process, (process) => gone[process]!);
  end.forEach((bin, at) => ending[bin]?.push(at));
  const held = { bytes: new Float64Array(samples.count), blocks: new Float64Array(samples.count) };
  const [of, came, went, made, freed] = ["sample", "bytes_in", "bytes_out", "blocks_in", "blocks_out"].map(
    (name) => column(`change.${name}`),
  ) as [Column, Column, Column, Column, Column];
  for (let bin = 0; bin < bins.count; bin++) {
    for (let i = bins.first[bin]!; i < bins.first[bin + 1]!; i++) {
      const [size, number] = [came[i]! - went[i]!, made[i]! - freed[i]!];
      if (bin > end[of[i]!]!) leave(bin, of[i]!, size, number);
      else {
        held.bytes[of[i]!]! += size;
        held.blocks[of[i]!]! += number;
      }
    }
    for (const at of ending[bin]!) leave(bin, at, held.bytes[at]!, held.blocks[at]!);
  }
  return { first: firstRows(counts), sample, bytes, blocks };
}

/** The first of `starts` at `time` or behind it; their number: none. */
function firstFrom(starts: Column, time: number): number {
  const found = starts.findIndex((start) => start >= time);
  return found < 0 ? starts.length : found;
}
