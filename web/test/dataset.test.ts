import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, fromBase64, links } from "../src/model";
import { compressed, make, Random } from "./make";

test("columns of any width, as they are and as steps", () => {
  for (const largest of [0, 200, 70_000, 2 ** 31 - 1, 2 ** 31, 2 ** 40, 2 ** 53 - 1]) {
    const values = [largest, 0, 1, largest];
    const stepped = values.map((value) => Math.min(value, 2 ** 51)); // steps need two bits more
    const data = make({
      places: [],
      samples: [],
      columns: { "time.live": values, "bin.start": stepped, "bin.changes": [0, 0, 0, 0] },
    });
    assert.deepEqual([...data.column("time.live")], values);
    assert.deepEqual([...data.column("bin.start")], stepped);
  }
});

test("a column that is not there is empty", () => {
  const data = make({ places: [], samples: [] });
  assert.equal(data.has("time.live"), false);
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

test("damaged data are refused in words", async () => {
  const bytes = compressed({ places: [], samples: [] });
  await assert.rejects(decode(bytes.subarray(0, 20)), /cannot be unpacked/);
  await assert.rejects(decode(new Uint8Array([1, 2, 3])), /cannot be unpacked/);
  assert.throws(() => make({ places: [], samples: [], header: { version: 9 } }), /version 9/);
  const random = new Random(1);
  for (let i = 0; i < 100; i++) {
    const broken = Uint8Array.from(bytes);
    broken[random.below(broken.length)]! ^= 1 + random.below(255);
    await decode(broken).catch((error: unknown) => assert.ok(error instanceof Error));
  }
});
