/**
 * Which weights these are, without reading them all: names, shapes and types of the tensors, rows of each, and sizes and times
 * of the files. Two checkpoints of the same identity are taken for the same; one that was changed has another. Knows no format.
 */
import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Weights } from "../model/weights.ts";

/** Numbers of a tensor that are looked at, about: rows from its beginning, its middle and its end. */
const ROWS = 3;

/** 64 hexadecimal digits, of the checkpoint at `path` as `weights` gives it, adapter and all. */
export async function weightsIdentity(path: string, weights: Weights): Promise<string> {
  const hash = createHash("sha256");
  for (const [name, size, time] of await filesOf(path)) hash.update(`${name}\0${size}\0${time}\0`);
  // Read ahead, for a disk answers many at once sooner than one after the other.
  const samples = [...weights.names()].map((name) => {
    const shape = weights.shape(name);
    const rows = shape[0] ?? 1;
    const chosen = Array.from({ length: Math.min(ROWS, rows) }, (_, i) =>
      Math.floor((i * (rows - 1)) / Math.max(1, ROWS - 1)),
    );
    return {
      facts: `${name}\0${weights.dtype(name)}\0${shape.join()}\0`,
      rows: Promise.all(chosen.map((row) => weights.read(name, row, row + 1))),
    };
  });
  const read = await Promise.all(samples.map(({ rows }) => rows));
  for (const [i, { facts }] of samples.entries()) {
    hash.update(facts);
    for (const values of read[i]!) hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
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
