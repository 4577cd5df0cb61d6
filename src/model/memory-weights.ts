/**
 * Weights that are already in memory, as those of a model in training are. Knows no file format.
 */
import { CllmError } from "../error.ts";
import type { Weights } from "./weights.ts";

/** A tensor by its Hugging Face name, float32, outermost dimension first. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** `Weights` over the caller's tensors. Reading copies; later changes of the tensors show in later reads. */
export function memoryWeights(tensors: Iterable<NamedTensor>): Weights {
  const byName = new Map(Array.from(tensors, (tensor) => [tensor.name, tensor]));
  const find = (name: string): NamedTensor => {
    const tensor = byName.get(name);
    if (tensor === undefined) throw new CllmError("bad-weights", `there is no tensor ${name} among those in memory`);
    return tensor;
  };
  return {
    names: () => [...byName.keys()],
    has: (name) => byName.has(name),
    shape: (name) => find(name).shape,
    dtype: () => "F32",
    async read(name, from = 0, to) {
      const { data, shape } = find(name);
      const row = shape.slice(1).reduce((product, size) => product * size, 1);
      const part = data.slice(from * row, (to ?? shape[0] ?? 1) * row);
      if (!part.every(Number.isFinite)) {
        throw new CllmError(
          "bad-weights",
          `${name} holds a value that is not finite: go back to an earlier checkpoint`,
        );
      }
      return part;
    },
    byteLength: [...byName.values()].reduce((sum, { data }) => sum + data.byteLength, 0),
    close: async () => {},
  };
}
