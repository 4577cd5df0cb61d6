/**
 * Low-rank adapters: which matrices get one, what they are called and how large they are (Hu et al., arXiv:2106.09685,
 * section 4.1). y = x Wᵀ + scale · (x Aᵀ) Bᵀ with A `(rank, in)` and B `(out, rank)`. Knows no graph and no file format.
 */
import type { ModelConfig } from "./config.ts";
import type { NamedTensor } from "./memory-weights.ts";
import { LOW_RANK_TILE, numberKernels } from "./number-kernels.ts";
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
  const kernels = numberKernels();
  const rows = values.length / inputs;
  const ranks = Math.ceil(rank / LOW_RANK_TILE) * LOW_RANK_TILE; // the last ones may be zeros, which change no sum
  const filled = Math.ceil(inputs / 2) * 2; // numbers of a row, in pairs
  const stride = 8 * filled;
  // In the kernels' memory: A in doubles, sums, factors of B, rows of W.
  const at = { sums: ranks * stride, factors: (ranks + LOW_RANK_TILE) * stride, rows: 0 };
  at.rows = at.factors + 8 * LOW_RANK_TILE * ranks;
  const memory = kernels.memory(at.rows + 4 * LOW_RANK_TILE * filled);
  const wide = new Float64Array(memory, 0, ranks * filled).fill(0);
  for (let k = 0; k < rank; k++) wide.set(a.subarray(k * inputs, (k + 1) * inputs), k * filled);
  const sums = new Float64Array(memory, at.sums, LOW_RANK_TILE * filled);
  const factors = new Float64Array(memory, at.factors, LOW_RANK_TILE * ranks);
  const tile = new Float32Array(memory, at.rows, LOW_RANK_TILE * filled);
  for (let row = 0; row < rows; row += LOW_RANK_TILE) {
    const count = Math.min(LOW_RANK_TILE, rows - row);
    factors.fill(0);
    for (let r = 0; r < count; r++) {
      for (let k = 0; k < rank; k++) {
        const group = k - (k % LOW_RANK_TILE);
        factors[LOW_RANK_TILE * (group + r) + k - group] = b[(from + row + r) * rank + k]!;
      }
      tile.set(values.subarray((row + r) * inputs, (row + r + 1) * inputs), r * filled);
    }
    sums.fill(0);
    kernels.run("addLowRank", 0, ranks * stride, stride, at.factors, at.sums, at.rows, scale);
    for (let r = 0; r < count; r++) values.set(tile.subarray(r * filled, r * filled + inputs), (row + r) * inputs);
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
