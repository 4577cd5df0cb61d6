/**
 * Low-rank adapters: which matrices get one, what they are called and how large they are (Hu et al., arXiv:2106.09685,
 * section 4.1). y = x Wᵀ + scale · (x Aᵀ) Bᵀ with A `(rank, in)` and B `(out, rank)`. Knows no graph and no file format.
 */
import type { ModelConfig } from "./config.ts";
import type { NamedTensor } from "./memory-weights.ts";
import { expectedTensors } from "./tensors.ts";

/** The matrices of a layer that can have an adapter, as PEFT names them. */
export const LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] as const;
export type LoraTarget = (typeof LORA_TARGETS)[number];

export interface LoraSettings {
  readonly rank: number;
  /** The adapter's product is multiplied by alpha / rank. */
  readonly alpha: number;
  readonly targets: readonly LoraTarget[];
}

/** The names of an adapter's two matrices on the matrix `name`, which ends in `.weight`. */
export function loraNames(name: string): { a: string; b: string } {
  const module = name.replace(/\.weight$/, "");
  return { a: `${module}.lora_A.weight`, b: `${module}.lora_B.weight` };
}

/** Whether the matrix `name` has an adapter. */
export function isLoraTarget(name: string, { targets }: LoraSettings): boolean {
  return targets.some((target) => name.endsWith(`.${target}.weight`));
}

/** Name and shape of every tensor of an adapter, in the order of the layers. */
export function* loraTensors(
  config: ModelConfig,
  lora: LoraSettings,
): Generator<[name: string, shape: readonly number[]]> {
  for (const [name, [rows = 0, columns = 0]] of expectedTensors(config)) {
    if (!isLoraTarget(name, lora)) continue;
    const { a, b } = loraNames(name);
    yield [a, [lora.rank, columns]];
    yield [b, [rows, lora.rank]];
  }
}

/** Tensors of a base with an adapter merged in: W + alpha / rank · B A. One at a time; those without are handed on. */
export function* mergedTensors(
  base: Iterable<NamedTensor>,
  adapter: Iterable<NamedTensor>,
  lora: LoraSettings,
): Generator<NamedTensor, void, void> {
  const byName = new Map(Array.from(adapter, (tensor) => [tensor.name, tensor.data]));
  const { rank, alpha } = lora;
  for (const tensor of base) {
    const { a: nameA, b: nameB } = loraNames(tensor.name);
    const [a, b] = [byName.get(nameA), byName.get(nameB)];
    if (a === undefined || b === undefined) {
      yield tensor;
      continue;
    }
    const [rows = 0, columns = 0] = tensor.shape;
    const data = Float32Array.from(tensor.data);
    for (let i = 0; i < rows; i++) {
      for (let r = 0; r < rank; r++) {
        const factor = ((b[i * rank + r] as number) * alpha) / rank;
        for (let j = 0; j < columns; j++)
          data[i * columns + j] = (data[i * columns + j] as number) + factor * (a[r * columns + j] as number);
      }
    }
    yield { ...tensor, data };
  }
}
