import assert from "node:assert/strict";
import { test } from "node:test";
import { amount, binarySize, bothSizes, count, duration, durations, percent, signed, signedPercent, size, some } from "../src/model";

/** Texts are printed by heaptide.views.units: a figure reads the same wherever it is read. */
function expect(format: (value: number) => string, cases: [number, string][]): void {
  for (const [value, text] of cases) assert.equal(format(value), text);
}

test("sizes; what lies halfway goes to the even digit", () => {
  expect(size, [
    [0, "0 B"],
    [1, "1 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [1049, "1.0 kB"],
    [1050, "1.1 kB"],
    [1150, "1.1 kB"],
    [1250, "1.2 kB"],
    [1350, "1.4 kB"],
    [999949, "999.9 kB"],
    [999950, "1.0 MB"],
    [1250000, "1.2 MB"],
    [-1250, "-1.2 kB"],
    [-999950, "-1.0 MB"],
    [1000000000000000, "1.0 PB"],
  ]);
  expect(binarySize, [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1025, "1.0 KiB"],
    [1152, "1.1 KiB"],
    [1048524, "1023.9 KiB"],
    [1048525, "1.0 MiB"],
    [-1250, "-1.2 KiB"],
  ]);
  expect(bothSizes, [
    [999, "999 B"],
    [1000, "1.0 kB (1000 B)"],
    [1250000, "1.2 MB (1.2 MiB)"],
  ]);
});

test("counts", () => {
  expect(count, [
    [0, "0"],
    [999, "999"],
    [1000, "1,000"],
    [1250000, "1,250,000"],
    [-1250, "-1,250"],
    [9007199254740991, "9,007,199,254,740,991"],
  ]);
  assert.deepEqual([1, 2, 1000].map((n) => some(n, "block", "blocks")), [
    "1 block", "2 blocks", "1,000 blocks",
  ]);
});

test("spans have the digits that tell their ends apart", () => {
  const cases: [number, number, string][] = [
    [10.1, 10.12, "10.100 s – 10.120 s"],
    [0, 0.0209, "0 s – 20.9 ms"],
    [0.98, 1, "980 ms – 1.000 s"],
    [9.9999, 10, "9.99990 s – 10.00000 s"],
    [1, 4, "1.00 s – 4.00 s"],
    [59.9, 61.2, "59.9 s – 1 min 01.2 s"],
    [90.3, 90.5, "1 min 30.30 s – 1 min 30.50 s"],
    [119.999, 120, "1 min 59.9990 s – 2 min 00.0000 s"],
    [90, 200, "1 min 30 s – 3 min 20 s"],
    [7325, 7330, "2 h 02 min 05.0 s – 2 h 02 min 10.0 s"],
    [7325, 7425, "2 h 02 min 05 s – 2 h 03 min 45 s"],
    [7200, 14400, "2 h 00 min – 4 h 00 min"],
    [5, 5, "5.00 s – 5.00 s"],
    [1, 1.000000001, "1.000000000 s – 1.000000001 s"],
  ];
  for (const [from, to, text] of cases) assert.equal(durations(from, to).join(" – "), text);
});

test("parts", () => {
  expect(percent, [
    [0, "0.0 %"],
    [0.0001, "<0.1 %"],
    [0.0004999, "<0.1 %"],
    [0.0005, "0.1 %"],
    [0.37, "37.0 %"],
    [0.0625, "6.2 %"],
    [0.1875, "18.8 %"],
    [0.99951, "100.0 %"],
    [1, "100.0 %"],
    [1.5, "150.0 %"],
    [-0.0625, "-6.2 %"],
  ]);
});

test("changes by a part keep their sign", () => {
  expect(signedPercent, [
    [0, "0.0 %"], [0.0001, "+0.0 %"], [-0.0001, "−0.0 %"], [0.37, "+37.0 %"], [-1, "−100.0 %"],
  ]);
});

test("durations", () => {
  expect(duration, [
    [0, "0 s"],
    [1e-09, "0.00 µs"],
    [1.2e-06, "1.20 µs"],
    [9.995e-06, "10.0 µs"],
    [0.5, "500 ms"],
    [1.125, "1.12 s"],
    [9.375, "9.38 s"],
    [3.21, "3.21 s"],
    [59.94, "59.9 s"],
    [59.95, "1 min 00 s"],
    [60, "1 min 00 s"],
    [75, "1 min 15 s"],
    [75.5, "1 min 16 s"],
    [76.5, "1 min 16 s"],
    [3599.5, "1 h 00 min"],
    [3600, "1 h 00 min"],
    [7322, "2 h 02 min"],
    [-3.5, "-3.50 s"],
  ]);
});

test("differences have a sign", () => {
  assert.deepEqual([5000, -5000, 0].map((one) => signed(one, "bytes")), ["+5.0 kB", "−5.0 kB", "0 B"]);
  assert.equal(signed(1234, "allocations"), "+1,234");
  assert.deepEqual(["bytes", "allocations"].map((unit) => amount(1234, unit)), ["1.2 kB", "1,234"]);
});
