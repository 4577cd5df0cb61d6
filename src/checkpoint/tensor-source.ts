/**
 * Where tensors to write come from: anything that can say what it has and read it piece by piece, so that files larger
 * than the memory can be written. Knows no format.
 */
import { CllmError } from "../error.ts";
import { memoryWeights, type NamedTensor } from "../model/memory-weights.ts";
import type { Weights } from "../model/weights.ts";

/** What writers need of `Weights`. */
export type TensorSource = Pick<Weights, "names" | "shape" | "read">;

/** What takes long while it is written: for progress bars. */
export type OnWrite = (tensor: string, done: number, total: number) => void;

/** A chunk's elements, at most, where a row is not longer. */
const CHUNK_ELEMENTS = 2 ** 22;

/** Tensors in memory as a source; a source as it is. Throws `bad-weights` for a name that comes twice. */
export function sourceOf(tensors: TensorSource | Iterable<NamedTensor>): TensorSource {
  if (!(Symbol.iterator in tensors)) return tensors;
  const list = [...tensors];
  const names = new Set<string>();
  for (const { name, shape, data } of list) {
    if (names.has(name)) throw new CllmError("bad-weights", `tensor ${name} is there twice: give each its own name`);
    names.add(name);
    if (elementsOf(shape) === data.length) continue;
    const message = `tensor ${name} [${shape}] needs ${elementsOf(shape)} values; it has ${data.length}`;
    throw new CllmError("bad-weights", message);
  }
  return memoryWeights(list);
}

/** Numbers in a tensor of that shape. */
export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The tensor from start to end, in runs of whole rows. */
export async function* chunksOf(source: TensorSource, name: string): AsyncGenerator<Float32Array, void, void> {
  const shape = source.shape(name);
  const [rows = 1] = shape;
  const fitting = Math.floor(CHUNK_ELEMENTS / Math.max(1, elementsOf(shape.slice(1))));
  const step = fitting > 1024 ? fitting - (fitting % 1024) : Math.max(1, fitting);
  if (step >= rows) return yield await source.read(name);
  for (let row = 0; row < rows; row += step) yield await source.read(name, row, Math.min(rows, row + step));
}
