/** The file of counted n-grams: what was written comes back, and what is none is refused with its name. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { NGRAMS, readNgramsIn, requireIds, writeNgrams } from "../../src/checkpoint/ngrams.ts";
import { readNgrams } from "../../src/checkpoint/read-ngrams.ts";
import { NgramCounts } from "../../src/decode/ngram-counts.ts";
import { CllmError } from "../../src/error.ts";
import { diskFolder } from "../../src/files/disk-folder.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-ngrams-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const tableOf = (ids: readonly number[]): Uint32Array => {
  const counts = new NgramCounts(1e6);
  for (let at = 1; at < ids.length; at++) counts.count(Int32Array.from(ids), at);
  return counts.table();
};
const some = tableOf([1, 2, 3, 1, 2, 4, 1, 2, 3]);
const next = { at: 0 };
const folder = (): string => join(scratch, String(next.at++));

test("what was written comes back, and nothing else is left", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(2 ** 24 - 1), { maxLength: 40 }), async (ids) => {
      const to = folder();
      await writeNgrams(to, tableOf(ids));
      expect((await readNgramsIn(diskFolder(to)))?.table).toEqual(tableOf(ids));
      expect(readdirSync(to)).toEqual([NGRAMS]);
    }),
    { numRuns: 20 },
  );
});

test("no such file is null in a folder, and an error where it was asked for", async () => {
  expect(await readNgramsIn(diskFolder(scratch))).toBe(null);
  await expect(readNgrams(scratch)).rejects.toMatchObject({
    code: "not-found",
    message: expect.stringContaining("cllm ngrams"),
  });
});

/** A file with one tensor, as it says of itself. */
function write(name: string, dtype: string, shape: readonly number[], data: Uint8Array): string {
  const to = folder();
  const header = Buffer.from(JSON.stringify({ [name]: { dtype, shape, data_offsets: [0, data.byteLength] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = Buffer.concat([length, header, data]);
  rmSync(to, { recursive: true, force: true });
  return whole(to, file);
}

function whole(to: string, file: Uint8Array): string {
  mkdirSync(to, { recursive: true });
  writeFileSync(join(to, NGRAMS), file);
  return to;
}

test.each<
  [what: string, name: string, dtype: string, words: readonly number[], shape: readonly number[], code: string]
>([
  ["another version", "ngrams.v2", "U32", [1, 1, 257, 0], [1, 4], "unsupported"],
  ["floats", "ngrams.v1", "F32", [1, 1, 257, 0], [1, 4], "bad-file"],
  ["entries of another length", "ngrams.v1", "U32", [1, 1, 257, 0], [2, 2], "bad-file"],
  ["an entry without a hash", "ngrams.v1", "U32", [0, 1, 257, 0], [1, 4], "bad-file"],
  ["entries out of order", "ngrams.v1", "U32", [2, 1, 257, 0, 1, 1, 257, 0], [2, 4], "bad-file"],
  ["an entry that nothing followed", "ngrams.v1", "U32", [1, 0, 257, 0], [1, 4], "bad-file"],
  ["a follower that never came", "ngrams.v1", "U32", [1, 1, 256, 0], [1, 4], "bad-file"],
  ["an entry of a scope", "ngrams.v1", "U32", [1, 65537, 257, 0], [1, 4], "bad-file"],
])("%s is refused", async (_, name, dtype, words, shape, code) => {
  const to = write(name, dtype, shape, new Uint8Array(Uint32Array.from(words).buffer));
  await expect(readNgramsIn(diskFolder(to))).rejects.toMatchObject({
    code,
    message: expect.stringContaining(join(to, NGRAMS)),
  });
});

test("a damaged file opens or is refused, and never anything else", async () => {
  const to = folder();
  await writeNgrams(to, some);
  const good = readFileSync(join(to, NGRAMS));
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), async (at, byte, length) => {
      const bad = Buffer.from(good.subarray(0, length));
      if (at < bad.length) bad[at] = byte;
      whole(to, bad);
      const found = await readNgramsIn(diskFolder(to)).catch((error: unknown) => error);
      if (found instanceof Error) expect(found).toBeInstanceOf(CllmError);
      else expect((found as { table: Uint32Array }).table.length % 4).toBe(0);
    }),
  );
});

test("ids that the vocabulary has not are of another model", () => {
  expect(() => requireIds({ path: "a", table: some }, 5)).not.toThrow();
  expect(() => requireIds({ path: "a", table: some }, 4)).toThrow(/token id 4, but the model has 4/);
});
