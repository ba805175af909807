/** Columns as they are packed: little-endian integers, byte plane by byte plane, maybe as steps. */
import type { ColumnInfo } from "./header";

export type Column = Int32Array | Float64Array;

const LARGEST = 2 ** 31 - 1;

/** The numbers of `info` in `data`, which begins behind the header. Throws if they are not there. */
export function unpack(data: Uint8Array, info: ColumnInfo): Column {
  check(data, info);
  const stored = isSmall(data, info) ? integers(data, info) : narrowed(floats(data, info));
  return info.delta ? undelta(stored) : stored;
}

/** Throws if the column is not a part of `data`. */
export function check(data: Uint8Array, { name, rows, width, offset }: ColumnInfo): void {
  const whole = [rows, width, offset].every((number) => Number.isInteger(number) && number >= 0);
  if (!whole || width < 1 || width > 8) throw new Error(`the column ${name} is damaged`);
  if (offset + rows * width > data.length) throw new Error(`the column ${name} is cut off`);
}

/** Whether all numbers are below 2^31, by their bytes. */
function isSmall(data: Uint8Array, { rows, width, offset }: ColumnInfo): boolean {
  if (width !== 4) return width < 4;
  for (let i = offset + 3 * rows; i < offset + 4 * rows; i++) if (data[i]! >= 128) return false;
  return true;
}

/** Of at most four bytes each. */
function integers(data: Uint8Array, { rows, width, offset }: ColumnInfo): Int32Array {
  const out = new Int32Array(rows);
  const [a, b, c, d] = [0, 1, 2, 3].map((plane) => data.subarray(offset + plane * rows));
  if (width === 1) out.set(a!.subarray(0, rows));
  else if (width === 2) for (let i = 0; i < rows; i++) out[i] = a![i]! | (b![i]! << 8);
  else if (width === 3) {
    for (let i = 0; i < rows; i++) out[i] = a![i]! | (b![i]! << 8) | (c![i]! << 16);
  } else {
    for (let i = 0; i < rows; i++) {
      out[i] = a![i]! | (b![i]! << 8) | (c![i]! << 16) | (d![i]! << 24);
    }
  }
  return out;
}

/** Exact up to 2^53. */
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
function undelta(steps: Column): Column {
  return (steps instanceof Int32Array && smallSums(steps)) || largeSums(steps);
}

/** null: some sum needs more than 32 bits. */
function smallSums(steps: Int32Array): Int32Array | null {
  const out = new Int32Array(steps.length);
  let value = 0;
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i]!;
    value += (step >>> 1) ^ -(step & 1);
    if (value !== (value | 0)) return null;
    out[i] = value;
  }
  return out;
}

function largeSums(steps: Column): Column {
  const out = new Float64Array(steps.length);
  let value = 0;
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i]!;
    value += step % 2 ? -(step + 1) / 2 : step / 2;
    out[i] = value;
  }
  return narrowed(out);
}

function narrowed(values: Float64Array): Column {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value > LARGEST || value < -LARGEST) return values;
  }
  return Int32Array.from(values);
}
