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
  const wide = Float64Array.from(a);
  const rows = values.length / inputs;
  const sums = new Float64Array(TILE * inputs);
  for (let row = 0; row < rows; row += TILE) {
    const count = Math.min(TILE, rows - row);
    sums.fill(0);
    const whole = count === TILE ? rank - (rank % TILE) : 0;
    for (let k = 0; k < whole; k += TILE) addTile(sums, b, (from + row) * rank + k, rank, wide, k * inputs);
    for (let r = 0; r < count; r++) {
      for (let k = whole; k < rank; k++) {
        const factor = b[(from + row + r) * rank + k]!;
        for (let j = 0, i = r * inputs; j < inputs; j++, i++) sums[i] = sums[i]! + factor * wide[k * inputs + j]!;
      }
    }
    for (let i = 0, at = row * inputs; i < count * inputs; i++, at++) values[at] = values[at]! + scale * sums[i]!;
  }
}

/** Rows, and ranks, that are added in one loop: what is read of A serves them all. Each sum keeps its order, and so its bits. */
const TILE = 4;

/** sums += B A, for four rows of B from `first` on and as many rows of A from `start` on. */
function addTile(
  sums: Float64Array, // (4, inputs)
  b: Float32Array,
  first: number,
  rank: number,
  a: Float64Array,
  start: number,
): void {
  const n = sums.length / TILE;
  const [second, third, fourth] = [first + rank, first + 2 * rank, first + 3 * rank];
  const [p0, p1, p2, p3] = [b[first]!, b[first + 1]!, b[first + 2]!, b[first + 3]!];
  const [q0, q1, q2, q3] = [b[second]!, b[second + 1]!, b[second + 2]!, b[second + 3]!];
  const [r0, r1, r2, r3] = [b[third]!, b[third + 1]!, b[third + 2]!, b[third + 3]!];
  const [s0, s1, s2, s3] = [b[fourth]!, b[fourth + 1]!, b[fourth + 2]!, b[fourth + 3]!];
  const [n2, n3] = [2 * n, 3 * n];
  for (let j = 0, i = start; j < n; j++, i++) {
    const a0 = a[i]!;
    const a1 = a[i + n]!;
    const a2 = a[i + n2]!;
    const a3 = a[i + n3]!;
    sums[j] = sums[j]! + p0 * a0 + p1 * a1 + p2 * a2 + p3 * a3;
    sums[j + n] = sums[j + n]! + q0 * a0 + q1 * a1 + q2 * a2 + q3 * a3;
    sums[j + n2] = sums[j + n2]! + r0 * a0 + r1 * a1 + r2 * a2 + r3 * a3;
    sums[j + n3] = sums[j + n3]! + s0 * a0 + s1 * a1 + s2 * a2 + s3 * a3;
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
