import assert from "node:assert/strict";
import { test } from "node:test";
import { histogram } from "../src/model";
import { make } from "./make";

test("histograms with the buckets of the header", () => {
  const made = make({
    places: [{ function: "a" }],
    samples: [{ stack: [0] }, { stack: [0], thread: 1 }],
    columns: { "size.sample": [0, 0, 1], "size.bucket": [0, 2, 0], "size.count": [3, 4, 5] },
  });
  assert.deepEqual(
    histogram(made, "size").map((bucket) => [bucket.label, bucket.count]),
    [["up to 16 B", 8], ["up to 1 KiB", 0], ["over 1 KiB", 4]],
  );
  assert.equal(histogram(made, "size", (sample) => sample === 1)[0]!.count, 5);
  assert.deepEqual(histogram(made, "age").map((b) => b.label), ["0", "1", "2–7", "8 and more"]);
  assert.deepEqual(histogram(made, "life").map((b) => b.label), [
    "below 1.00 ms", "below 1.00 s", "1.00 s and more",
  ]);
});

test("lifetimes in time and in allocations count their own columns", () => {
  const made = make({
    places: [{ function: "a" }],
    samples: [{ stack: [0] }],
    columns: {
      "life.sample": [0, 0], "life.bucket": [0, 2], "life.count": [1, 2],
      "age.sample": [0, 0], "age.bucket": [1, 3], "age.count": [4, 8],
    },
  });
  assert.deepEqual(histogram(made, "life").map((bucket) => bucket.count), [1, 0, 2]);
  assert.deepEqual(histogram(made, "age").map((bucket) => bucket.count), [0, 4, 0, 8]);
  assert.deepEqual(histogram(made, "size").map((bucket) => bucket.count), [0, 0, 0]);
});

test("in a range each sample's blocks are as over the whole time", () => {
  const made = make({
    places: [{ function: "a" }],
    samples: [{ stack: [0] }, { stack: [0], thread: 1 }],
    bins: [[0, 10], [10, 20]],
    changes: [
      { bin: 0, sample: 0, blocks_in: 6, bytes_in: 6 },
      { bin: 1, sample: 0, blocks_in: 2, bytes_in: 2 },
      { bin: 1, sample: 1, blocks_in: 5, bytes_in: 5 },
    ],
    columns: {
      "size.sample": [0, 0, 1], "size.bucket": [0, 2, 0], "size.count": [4, 4, 5],
    },
  });
  const counts = (range: [number, number] | null) =>
    histogram(made, "size", null, range).map((bucket) => bucket.count);
  assert.deepEqual(counts(null), [9, 0, 4]);
  assert.deepEqual(counts([0, 10]), [3, 0, 3]);
  assert.deepEqual(counts([10, 20]), [6, 0, 1]);
  assert.deepEqual(counts([0, 20]), [9, 0, 4]);
});
