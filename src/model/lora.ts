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

/** What packed matrices are made of: they have an adapter as a whole where one of these is asked for. */
const PACKED: Readonly<Record<string, readonly LoraTarget[]>> = {
  qkv_proj: ["q_proj", "k_proj", "v_proj"],
  gate_up_proj: ["gate_proj", "up_proj"],
};

/** Whether the matrix `name` has an adapter. */
export function isLoraTarget(name: string, { targets }: Pick<LoraSettings, "targets">): boolean {
  const [, module = ""] = /\.(\w+)\.weight$/.exec(name) ?? [];
  const parts: readonly string[] = PACKED[module] ?? [module];
  return targets.some((target) => parts.includes(target));
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

/** An adapter's product for one matrix: what is added to it is scale · B A. */
export interface LowRank {
  readonly rank: number;
  readonly scale: number;
  readonly a: Float32Array; // (rank, inputs)
  readonly b: Float32Array; // (outputs, rank)
  readonly inputs: number;
}

/**
 * values += scale · B[from..] A, row by row, each sum in double: the one way in which an adapter is merged, so that a model in
 * training is measured with the bits that it is loaded with later. `values` are whole rows, the first of them row `from`.
 */
export function addLowRank(values: Float32Array, { rank, scale, a, b, inputs }: LowRank, from = 0): void {
  const sum = new Float64Array(inputs);
  const whole = rank - (rank % TOGETHER);
  for (let row = 0; row < values.length / inputs; row++) {
    sum.fill(0);
    const first = (from + row) * rank;
    for (let k = 0; k < whole; k += TOGETHER) addEight(sum, b, first + k, a, k * inputs);
    for (let k = whole; k < rank; k++) {
      const factor = b[first + k]!;
      for (let j = 0; j < inputs; j++) sum[j] = sum[j]! + factor * a[k * inputs + j]!;
    }
    for (let j = 0, at = row * inputs; j < inputs; j++, at++) values[at] = values[at]! + scale * sum[j]!;
  }
}

/** Ranks that are added in one loop: the sums stay in registers, in the same order and so to the same bits. */
const TOGETHER = 8;

/** sum += b[k] · a[row] for eight factors from `k` on and as many rows of a from `start` on, one after the other. */
function addEight(sum: Float64Array, b: Float32Array, k: number, a: Float32Array, start: number): void {
  const n = sum.length;
  const [f0, f1, f2, f3] = [b[k]!, b[k + 1]!, b[k + 2]!, b[k + 3]!];
  const [f4, f5, f6, f7] = [b[k + 4]!, b[k + 5]!, b[k + 6]!, b[k + 7]!];
  for (let j = 0, i = start; j < n; j++, i++) {
    const half = sum[j]! + f0 * a[i]! + f1 * a[i + n]! + f2 * a[i + 2 * n]! + f3 * a[i + 3 * n]!;
    sum[j] = half + f4 * a[i + 4 * n]! + f5 * a[i + 5 * n]! + f6 * a[i + 6 * n]! + f7 * a[i + 7 * n]!;
  }
}

/** Factors in memory by the module that each belongs to. */
export function lowRanks(tensors: Iterable<NamedTensor>, { rank, alpha }: LoraSettings): Map<string, LowRank> {
  const byName = new Map(Array.from(tensors, (tensor) => [tensor.name, tensor]));
  const factors = new Map<string, LowRank>();
  for (const [name, { shape, data: a }] of byName) {
    const [, module] = /^(.*)\.lora_A\.weight$/.exec(name) ?? [];
    const b = module === undefined ? undefined : byName.get(loraNames(module).b)?.data;
    if (module !== undefined && b !== undefined)
      factors.set(module, { rank, scale: alpha / rank, a, b, inputs: shape[1] ?? 0 });
  }
  return factors;
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
    const [, inputs = 0] = tensor.shape;
    const data = Float32Array.from(tensor.data);
    addLowRank(data, { rank, scale: alpha / rank, a, b, inputs });
    yield { ...tensor, data };
  }
}
