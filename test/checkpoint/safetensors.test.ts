/** Safetensors files that lie: each is one error that says how, and nothing is allocated for what they claim. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readSafetensorsHeader } from "../../src/checkpoint/huggingface/safetensors.ts";
import { writeSafetensors } from "../../src/checkpoint/huggingface/write-safetensors.ts";
import type { StoredTensor } from "../../src/checkpoint/stored-weights.ts";
import { openBinaryFile } from "../../src/files/binary-file.ts";
import { encodeSafetensors, safetensorsBytes, TINY, temporaryFolder, tinyTensors } from "./files.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

async function readHeader(bytes: Uint8Array): Promise<StoredTensor[]> {
  const path = join(folder.path, "model.safetensors");
  writeFileSync(path, bytes);
  const file = await openBinaryFile(path);
  try {
    return await readSafetensorsHeader(file);
  } finally {
    await file.close();
  }
}

const eight = new Uint8Array(8);
const entry = (begin: number, end: number, shape: number[] = [1], dtype = "F32"): object => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});
const claims = (length: bigint): Buffer => {
  const bytes = safetensorsBytes({ a: entry(0, 4) }, eight);
  bytes.writeBigUInt64LE(length);
  return bytes;
};

const lies: Record<string, [bytes: Uint8Array, says: string]> = {
  "an empty file": [new Uint8Array(0), "0 bytes"],
  "a file shorter than its prefix": [new Uint8Array(7), "7 bytes"],
  "a header longer than the file": [claims(1_000_000n), "claims 1000000 bytes"],
  "a header of 2^63 bytes": [claims(2n ** 63n), "claims 9223372036854775808 bytes"],
  "a header that ends within its JSON": [claims(10n), "not JSON"],
  "an array for a header": [safetensorsBytes("[1]", eight), "not a JSON object"],
  "bad JSON": [safetensorsBytes('{"a":', eight), "not JSON"],
  "the same name twice": [
    safetensorsBytes(`{"a":${JSON.stringify(entry(0, 4))},"a":${JSON.stringify(entry(4, 8))}}`, eight),
    "same key twice",
  ],
  "a JSON bomb of brackets": [safetensorsBytes(`{"a":${"[".repeat(1_000_000)}`, eight), "levels deep"],
  "a number for a tensor": [safetensorsBytes({ a: 1 }, eight), "tensor a"],
  "a negative dimension": [safetensorsBytes({ a: entry(0, 8, [-2]) }, eight), "shape.0"],
  "a fractional dimension": [safetensorsBytes({ a: entry(0, 8, [1.5]) }, eight), "shape.0"],
  "a shape that overflows": [safetensorsBytes({ a: entry(0, 8, [2 ** 40, 2 ** 40]) }, eight), "needs"],
  "a shape beyond exact numbers": [
    safetensorsBytes(`{"a":{"dtype":"F32","shape":[1e300],"data_offsets":[0,8]}}`, eight),
    "shape.0",
  ],
  "a shape larger than its bytes": [safetensorsBytes({ a: entry(0, 8, [3]) }, eight), "needs 12"],
  "offsets past the end": [safetensorsBytes({ a: entry(0, 400, [100]) }, eight), "bytes 0 to 400"],
  "offsets backwards": [safetensorsBytes({ a: entry(8, 0, [2]) }, eight), "bytes 8 to 0"],
  "negative offsets": [safetensorsBytes({ a: entry(-4, 4, [2]) }, eight), "data_offsets.0"],
  "overlapping tensors": [safetensorsBytes({ a: entry(0, 8, [2]), b: entry(4, 8) }, eight), "overlaps"],
  "a hole between tensors": [safetensorsBytes({ a: entry(4, 8) }, eight), "4 bytes before tensor a"],
  "bytes after the last tensor": [safetensorsBytes({ a: entry(0, 4) }, eight), "4 bytes at its end"],
  "an unknown type": [safetensorsBytes({ a: entry(0, 8, [2], "F31") }, eight), "unknown type F31"],
  "a type named like a method": [safetensorsBytes({ a: entry(0, 8, [2], "constructor") }, eight), "unknown type"],
  "metadata that is no map of strings": [
    safetensorsBytes({ __metadata__: { a: 1 } }, new Uint8Array(0)),
    "__metadata__",
  ],
};

describe("a file with", () => {
  test.each(Object.entries(lies))("%s is bad-file and says so", async (_, [bytes, says]) => {
    await expect(readHeader(bytes)).rejects.toMatchObject({ code: "bad-file", message: expect.stringContaining(says) });
  });

  test("every truncation of a sound file is an error", async () => {
    const whole = encodeSafetensors(
      tinyTensors({ ...TINY, layers: 1, hiddenSize: 8, headSize: 2, intermediateSize: 4 }),
    );
    expect(await readHeader(whole)).not.toHaveLength(0);
    for (let length = 0; length < whole.length; length += length < 64 ? 1 : 41) {
      await expect(readHeader(whole.subarray(0, length))).rejects.toMatchObject({ code: "bad-file" });
    }
  });

  test("names that JavaScript gives a meaning are names like others", async () => {
    const path = join(folder.path, "odd.safetensors");
    const data = Float32Array.of(1, 2);
    await writeSafetensors(
      path,
      ["__proto__", "constructor"].map((name) => ({ name, shape: [2], data })),
    );
    const names = (await readHeader(readFileSync(path))).map(({ name }) => name);
    expect(names).toEqual(["__proto__", "constructor"]);
  });

  test("writing refuses shapes that do not fit, and leaves nothing behind where it fails", async () => {
    const target = join(folder.path, "written");
    mkdirSync(target);
    const path = join(target, "x.safetensors");
    const short = [{ name: "a", shape: [3], data: Float32Array.of(1) }];
    await expect(writeSafetensors(path, short)).rejects.toMatchObject({ code: "bad-weights" });
    expect(readdirSync(target)).toEqual([]);
    mkdirSync(path); // a directory in the way: the last step, the renaming, fails
    const good = [{ name: "a", shape: [1], data: Float32Array.of(1) }];
    await expect(writeSafetensors(path, good)).rejects.toMatchObject({ code: "usage" });
    expect(readdirSync(target)).toEqual(["x.safetensors"]);
    const beneath = join(folder.path, "model.safetensors", "x.safetensors"); // a file for a folder
    writeFileSync(join(folder.path, "model.safetensors"), "");
    await expect(writeSafetensors(beneath, good)).rejects.toMatchObject({ code: "disk" });
    const deeper = join(target, "a", "b", "x.safetensors");
    await writeSafetensors(deeper, good);
    expect(await readHeader(readFileSync(deeper))).toHaveLength(1);
  });
});

test.skipIf(process.getuid?.() === 0)("a file that may not be read is a disk error", async () => {
  const path = join(folder.path, "secret.safetensors");
  writeFileSync(path, "x");
  chmodSync(path, 0);
  expect(existsSync(path)).toBe(true);
  await expect(openBinaryFile(path)).rejects.toMatchObject({ code: "disk" });
});
