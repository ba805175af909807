/** Columns as they are packed: little-endian integers, byte plane by byte plane, maybe as steps. */
import type { ColumnInfo } from "./header";

export type Column = Int32Array | Float64Array;

const LARGEST = 2 ** 31 - 1;

/** The numbers of `info` in `data`, which begins behind the header. */
export function unpack(data: Uint8Array, info: ColumnInfo): Column {
  const { rows, width, offset } = info;
  if (offset + rows * width > data.length) throw new Error(`the column ${info.name} is cut off`);
  if (info.delta) return width < 4 ? smallSteps(integers(data, info)) : undelta(floats(data, info));
  if (width < 4) return integers(data, info);
  return narrowed(floats(data, info));
}

function integers(data: Uint8Array, { rows, width, offset }: ColumnInfo): Int32Array {
  const out = new Int32Array(rows);
  for (let plane = 0; plane < width; plane++) {
    const from = offset + plane * rows;
    const shift = 8 * plane;
    for (let i = 0; i < rows; i++) out[i]! |= data[from + i]! << shift;
  }
  return out;
}

function floats(data: Uint8Array, { rows, width, offset }: ColumnInfo): Float64Array {
  const out = new Float64Array(rows);
  let weight = 1;
  for (let plane = 0; plane < width; plane++, weight *= 256) {
    const from = offset + plane * rows;
    for (let i = 0; i < rows; i++) out[i]! += data[from + i]! * weight;
  }
  return out;
}

/** Row i is the zigzag-coded step from row i - 1; the first from 0. */
function undelta(steps: Float64Array): Column {
  let value = 0;
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i]!;
    value += step % 2 ? -(step + 1) / 2 : step / 2;
    steps[i] = value;
  }
  return narrowed(steps);
}

/** The same for steps that are small, as nearly all are: several times as fast. */
function smallSteps(steps: Int32Array): Column {
  const out = new Float64Array(steps.length);
  let value = 0;
  let large = false;
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i]!;
    value += (step >>> 1) ^ -(step & 1);
    if (value > LARGEST || value < -LARGEST) large = true;
    out[i] = value;
  }
  return large ? out : Int32Array.from(out);
}

function narrowed(values: Float64Array): Column {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value > LARGEST || value < -LARGEST) return values;
  }
  return Int32Array.from(values);
}
