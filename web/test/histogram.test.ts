import assert from "node:assert/strict";
import { test } from "node:test";
import { histogram, isEstimate } from "../src/model";
import { make } from "./make";

test("histograms with the buckets of the header", () => {
  const made = make({
    places: [{ function: "a" }],
    samples: [{ stack: [0] }, { stack: [0], thread: 2 }],
    columns: { "size.sample": [0, 0, 1], "size.bucket": [0, 2, 0], "size.count": [3, 4, 5] },
  });
  assert.deepEqual(
    histogram(made, "size").map((bucket) => [bucket.label, bucket.count]),
    [["up to 16 B", 8], ["up to 1 KiB", 0], ["over 1 KiB", 4]],
  );
  assert.equal(histogram(made, "size", { threads: new Set([2]), processes: null })[0]!.count, 5);
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

test("in a range what was recorded by time is exact", () => {
  const made = make({
    places: [{ function: "a" }],
    samples: [{ stack: [0] }],
    bins: [[0, 10], [10, 20], [20, 30]],
    changes: [{ bin: 0, sample: 0, blocks_in: 6, bytes_in: 6 }],
    columns: {
      "size.sample": [0], "size.bucket": [0], "size.count": [99],
      "bin.spreads": [3, 0, 3],
      "spread.thread": [1, 1, 2, 1, 1, 2], "spread.process": [0, 0, 1, 0, 0, 1],
      "spread.bucket": [0, 7, 7, 3, 4, 9], "spread.count": [1, 2, 3, 4, 5, 6],
    },
  });
  const counts = (
    kind: "size" | "life" | "age", range: [number, number], threads?: number[], processes?: number[],
  ) => {
    const owners = {
      threads: threads ? new Set(threads) : null, processes: processes ? new Set(processes) : null,
    };
    return histogram(made, kind, owners, range).map((bucket) => bucket.count);
  };
  assert.equal(isEstimate(made), false);
  assert.deepEqual(counts("size", [0, 10]), [5, 0, 0]);
  assert.deepEqual(counts("size", [0, 30]), [5, 0, 6]);
  assert.deepEqual(counts("size", [10, 20]), [0, 0, 0]);
  assert.deepEqual(counts("size", [0, 30], [1]), [2, 0, 0]);
  assert.deepEqual(counts("size", [0, 30], undefined, [1]), [3, 0, 6]);
  assert.deepEqual(counts("age", [0, 30]), [1, 0, 0, 4]);
  assert.deepEqual(counts("life", [0, 30]), [5, 0, 0]);
  assert.equal(histogram(made, "size")[0]!.count, 99);
});

test("in a range each sample's blocks are as over the whole time where no more was recorded", () => {
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
    histogram(made, "size", undefined, range).map((bucket) => bucket.count);
  assert.ok(isEstimate(made));
  assert.deepEqual(counts(null), [9, 0, 4]);
  assert.deepEqual(counts([0, 10]), [3, 0, 3]);
  assert.deepEqual(counts([10, 20]), [6, 0, 1]);
  assert.deepEqual(counts([0, 20]), [9, 0, 4]);
});
