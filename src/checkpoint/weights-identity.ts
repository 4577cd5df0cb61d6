/**
 * Which weights these are, without reading them all: names, shapes and types of the tensors, a row of each, and sizes and times
 * of the files. Two checkpoints of the same identity are taken for the same; one that was changed has another. Knows no format.
 */
import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Weights } from "../model/weights.ts";

/** By this share of its rows a tensor's sample lies behind that of the tensor before it: samples of many tensors lie everywhere. */
const STRIDE = (Math.sqrt(5) - 1) / 2;

/** 64 hexadecimal digits, of the checkpoint at `path` as `weights` gives it, adapter and all. */
export async function weightsIdentity(path: string, weights: Weights): Promise<string> {
  const hash = createHash("sha256");
  for (const [name, size, time] of await filesOf(path)) hash.update(`${name}\0${size}\0${time}\0`);
  // Read ahead, for a disk answers many at once sooner than one after the other.
  const samples = [...weights.names()].map((name, i) => {
    const shape = weights.shape(name);
    const row = Math.floor((shape[0] ?? 1) * ((i * STRIDE) % 1));
    return {
      facts: `${name}\0${weights.dtype(name)}\0${shape.join()}\0`,
      values: weights.read(name, row, row + 1),
    };
  });
  const read = await Promise.all(samples.map(({ values }) => values));
  for (const [i, { facts }] of samples.entries()) {
    const { buffer, byteOffset, byteLength } = read[i]!;
    hash.update(facts);
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest("hex");
}

async function filesOf(path: string): Promise<(readonly [name: string, bytes: number, time: number])[]> {
  const facts = await stat(path);
  if (!facts.isDirectory()) return [["", facts.size, facts.mtimeMs]];
  const found: (readonly [string, number, number])[] = [];
  for (const name of (await readdir(path)).sort()) {
    if (!/\.(safetensors|gguf)$/i.test(name)) continue;
    const { size, mtimeMs } = await stat(join(path, name));
    found.push([name, size, mtimeMs]);
  }
  return found;
}
