import assert from "node:assert/strict";
import { deflateSync } from "node:zlib";
import { test } from "node:test";
import { decode, fromBase64, links } from "../src/model";
import { compressed, make, pack, Random, type Description } from "./make";

const NOTHING: Description = { places: [], samples: [] };
const SMALL: Description = {
  places: [{ function: "a" }, { function: "b" }],
  samples: [{ stack: [0, 1] }, { stack: [0] }],
  bins: [[0, 1]],
  changes: [{ bin: 0, sample: 0, bytes_in: 1 }],
};

test("columns of any width, as they are and as steps", () => {
  for (const largest of [0, 200, 70_000, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 40, 2 ** 53 - 1]) {
    const values = [largest, 0, 1, largest];
    const stepped = values.map((value) => Math.min(value, 2 ** 51)); // steps need two bits more
    const data = make({
      ...NOTHING,
      columns: { "time.live": values, "bin.start": stepped, "bin.end": stepped, "bin.changes": [0, 0, 0, 0] },
    });
    assert.deepEqual([...data.column("time.live")], values);
    assert.equal(data.column("time.live") instanceof Int32Array, largest < 2 ** 31);
    assert.deepEqual([...data.column("bin.start")], stepped);
    assert.equal(data.column("bin.start") instanceof Int32Array, largest < 2 ** 31);
  }
});

test("columns at random, as they are and as steps", () => {
  const random = new Random(3);
  for (let round = 0; round < 200; round++) {
    const bits = 1 + random.below(50);
    const values = Array.from({ length: random.below(40) }, () =>
      Math.floor((random.below(2 ** 30) / 2 ** 30) * 2 ** random.below(bits + 1)),
    );
    const data = make({
      ...NOTHING,
      columns: {
        "time.rss": values, "bin.start": values, "bin.end": values, "bin.changes": values.map(() => 0),
      },
    });
    assert.deepEqual([...data.column("time.rss")], values);
    assert.deepEqual([...data.column("bin.start")], values);
  }
});

test("a column that is not there is empty", () => {
  const data = make(NOTHING);
  assert.equal(data.has("time.live"), false);
  assert.equal(data.has("node.depth"), true);
  assert.equal(data.column("time.live").length, 0);
});

test("links of nodes in depth-first order", () => {
  const { parent, end } = links(Int32Array.from([0, 1, 2, 1, 0, 1]));
  assert.deepEqual([...parent], [-1, 0, 1, 0, -1, 4]);
  assert.deepEqual([...end], [4, 3, 3, 4, 6, 6]);
});

test("stacks of 10,000 frames", () => {
  const stack = Array.from({ length: 10_000 }, (_, i) => i % 3);
  const data = make({ places: [0, 1, 2].map((i) => ({ function: `f${i}` })), samples: [{ stack }] });
  assert.equal(data.nodes.count, 10_000);
  assert.equal(data.nodes.parent[9_999], 9_998);
  assert.equal(data.nodes.end[0], 10_000);
});

test("decode what was compressed", async () => {
  const bytes = compressed({ places: [{ function: "é\u202e" }], samples: [{ stack: [0] }] });
  const data = await decode(bytes);
  assert.deepEqual(data.texts, ["", "é\u202e"]);
  assert.equal(data.nodes.count, 1);
  assert.deepEqual(fromBase64(` ${Buffer.from(bytes).toString("base64")}\n`), bytes);
});

test("equal texts are one, whatever their number", async () => {
  const packed = pack(
    { version: 2, threads: [], processes: [] },
    {
      "location.function": [1, 3], "location.file": [0, 4], "location.module": [4, 2],
      "location.line": [0, 0], "location.origin": [0, 0], "location.kind": [0, 0],
      "location.language": [0, 0],
    },
    ["", "f", "m", "f", ""],
  );
  const { locations } = await decode(new Uint8Array(deflateSync(packed)));
  assert.deepEqual(
    [locations.function, locations.file, locations.module].map((texts) => [...texts]),
    [[1, 1], [0, 0], [0, 2]],
  );
});

test("what was not compressed, or was changed since, is refused in words", async () => {
  const bytes = compressed(SMALL);
  assert.throws(() => fromBase64("<p>"), /no base64/);
  for (let size = 0; size < bytes.length; size += 7) {
    await assert.rejects(decode(bytes.subarray(0, size)), /^Error: it cannot be unpacked$/);
  }
  const random = new Random(1);
  for (let i = 0; i < 100; i++) {
    const broken = Uint8Array.from(bytes);
    broken[2 + random.below(broken.length - 2)]! ^= 1 + random.below(255);
    await assert.rejects(decode(broken), /^Error: it cannot be unpacked$/);
  }
});

test("what was compressed damaged is refused in words", async () => {
  const decoded = (bytes: Uint8Array): Promise<unknown> =>
    decode(new Uint8Array(deflateSync(bytes)));
  const whole = pack({ version: 2, threads: [], processes: [] }, {}, [""]);
  await decoded(whole);
  await assert.rejects(decoded(whole.subarray(0, 3)), /cut off/);
  await assert.rejects(decoded(whole.subarray(0, 40)), /header is cut off/);
  await assert.rejects(decoded(whole.slice().fill(123, 4, 9)), /header is damaged/);
  const texts = pack({ version: 2 }, {}, ["", "name"]);
  await assert.rejects(decoded(texts.subarray(0, -1)), /column texts is cut off/);
  await assert.rejects(decoded(pack({ version: 9 }, {}, [])), /version 9/);
});

test("numbers that lead nowhere are refused in words", () => {
  const damaged: [string, number[], RegExp][] = [
    ["node.location", [0, 2], /stacks/],
    ["node.location", [0], /stacks/],
    ["node.depth", [0, 2], /stacks/],
    ["node.depth", [1, 0], /stacks/],
    ["location.function", [1, 3], /places in code/],
    ["location.line", [1], /places in code/],
    ["sample.node", [0, 2], /samples/],
    ["sample.node", [1, 0], /samples/],
    ["sample.site", [0, 2], /samples/],
    ["sample.thread", [0, 3], /samples/],
    ["sample.process", [0, 1], /samples/],
    ["bin.changes", [2], /changes over time/],
    ["bin.end", [], /changes over time/],
    ["base.bin.changes", [1], /changes over time/],
  ];
  make(SMALL);
  for (const [name, values, what] of damaged) {
    assert.throws(() => make({ ...SMALL, columns: { [name]: values } }), what, name);
  }
});
