/** Shards: ranges that make up the whole, names that say which is which, and a set that is whole or an error. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { findShards, shardOfName, shardPath, shardRange } from "../../src/files/shards.ts";

const root = mkdtempSync(join(tmpdir(), "cllm-shards-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;

test("ranges follow one another, make up the whole, and differ by one at most", () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 1, max: 60 }), (items, count) => {
      const ranges = Array.from({ length: count }, (_, i) => shardRange(items, { index: i + 1, count }));
      expect(ranges[0]![0]).toBe(0);
      expect(ranges.at(-1)![1]).toBe(items);
      for (const [i, [begin]] of ranges.entries()) if (i > 0) expect(begin).toBe(ranges[i - 1]![1]);
      const sizes = ranges.map(([begin, end]) => end - begin);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }),
  );
});

test("names say the shard, and are read again", () => {
  expect(shardPath("a/faq.parquet", { index: 3, count: 8 })).toBe("a/faq-00003-of-00008.parquet");
  expect(shardPath("faq.json", { index: 3, count: 8 }, ".parquet")).toBe("faq-00003-of-00008.parquet");
  expect(shardPath("faq", { index: 1, count: 1 })).toBe("faq-00001-of-00001");
  expect(shardOfName("a/faq-00003-of-00008.parquet")).toEqual({ index: 3, count: 8 });
  expect(shardOfName("faq.parquet")).toBeNull();
});

describe("the shards of an output", () => {
  const find = async (names: readonly string[], output = "faq.parquet") => {
    const folder = join(root, String(folders++));
    await import("node:fs/promises").then(({ mkdir }) => mkdir(folder));
    for (const name of names) writeFileSync(join(folder, name), "");
    return (await findShards(join(folder, output), [".parquet"])).map((path) => path.slice(folder.length + 1));
  };
  const all = ["faq-00001-of-00002.parquet", "faq-00002-of-00002.parquet"];

  test("are found in order, and nothing else is", async () => {
    const others = [
      "other-00001-of-00003.parquet",
      "faq-00001-of-00002.parquet.journal",
      "faq.parquet",
      "my-faq-00001-of-00009.parquet",
    ];
    expect(await find([...others, ...all])).toEqual(all);
  });

  test("are an error where some are missing, doubled or of two counts", async () => {
    await expect(find([])).rejects.toMatchObject({ code: "not-found", message: expect.stringContaining("--shard") });
    await expect(find([all[0]!, `${all[1]}.journal`])).rejects.toThrow(/shard 2 of 2 is missing \(begun: 2\)/);
    await expect(find([...all, "faq-00001-of-00003.parquet"])).rejects.toThrow(/shards of 2 and of 3/);
    await expect(find([...all, "faq-00003-of-00002.parquet"])).rejects.toThrow(/beyond the last/);
  });
});
