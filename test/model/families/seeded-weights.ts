/** Weights that are a function of a tensor's name and an element's index: `make.py` makes the same in Python. */
import type { ModelConfig } from "../../../src/model/config.ts";
import { memoryWeights, type NamedTensor } from "../../../src/model/memory-weights.ts";
import { expectedTensors } from "../../../src/model/tensors.ts";
import type { Weights } from "../../../src/model/weights.ts";

/** Numbers in [-1, 1). */
function seeded(name: string, count: number): Float32Array {
  let seed = 2166136261;
  for (const byte of Buffer.from(name)) seed = Math.imul(seed ^ byte, 16777619);
  return Float32Array.from({ length: count }, (_, i) => {
    let x = (Math.imul(i, 0x9e3779b9) + seed) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return (((x ^ (x >>> 16)) >>> 0) >>> 8) * 2 ** -23 - 1;
  });
}

export function seededTensors(config: ModelConfig): NamedTensor[] {
  return Array.from(expectedTensors(config), ([name, shape]) => {
    const values = seeded(
      name,
      shape.reduce((product, size) => product * size, 1),
    );
    const mean = config.normsAddOne ? 0 : 1;
    const data = name.includes("norm")
      ? values.map((x) => x * 0.25 + mean)
      : values.map((x) => (name.includes("embed_tokens") ? x : x * 0.25));
    return { name, shape, data };
  });
}

export const seededWeights = (config: ModelConfig): Weights => memoryWeights(seededTensors(config));
