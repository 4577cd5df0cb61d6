/**
 * The numbers that training changes, each tensor with the two moments that AdamW keeps of it, and those that it leaves alone.
 * Knows no graph and no file.
 */
import { CllmError } from "../error.ts";
import { hash } from "../hash.ts";
import type { ModelConfig } from "../model/config.ts";
import { type LoraSettings, loraTensors } from "../model/lora.ts";
import { medusaTensors } from "../model/medusa.ts";
import type { NamedTensor } from "../model/memory-weights.ts";
import { expectedTensors } from "../model/tensors.ts";
import { headName, type MedusaTraining } from "../model/training-graph.ts";
import type { Weights } from "../model/weights.ts";

/** A tensor with AdamW's moments, all of one length. */
export interface TrainedTensor extends NamedTensor {
  readonly first: Float32Array;
  readonly second: Float32Array;
}

export interface Parameters {
  readonly trained: readonly TrainedTensor[];
  /** Inputs of the graph that are not trained. */
  readonly frozen: readonly NamedTensor[];
  /** Numbers that are trained. */
  readonly count: number;
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Room for tensors, all zeros. */
function allocate(tensors: readonly (readonly [name: string, shape: readonly number[]])[]): TrainedTensor[] {
  return tensors.map(([name, shape]) => {
    const size = sizeOf(shape);
    return { name, shape, data: new Float32Array(size), first: new Float32Array(size), second: new Float32Array(size) };
  });
}

/** A model's own tensors, all of them to be trained. Reads one at a time. */
export async function fullParameters(config: ModelConfig, weights: Weights): Promise<Parameters> {
  const trained = allocate([...expectedTensors(config)]);
  for (const { name, data } of trained) data.set(await weights.read(name));
  return { trained, frozen: [], count: countOf(trained) };
}

/**
 * A model's tensors as they are, and an adapter to be trained: A random, B zero, so that nothing has changed yet; or the
 * tensors of `start`, which has just those that the settings ask for.
 */
export async function loraParameters(
  config: ModelConfig,
  weights: Weights,
  lora: LoraSettings,
  seed: number,
  start: readonly NamedTensor[] | null = null,
): Promise<Parameters> {
  const frozen: NamedTensor[] = [];
  for (const [name, shape] of expectedTensors(config)) frozen.push({ name, shape, data: await weights.read(name) });
  const trained = allocate([...loraTensors(config, lora)]);
  const given = new Map(start?.map((tensor) => [tensor.name, tensor.data]));
  for (const [index, { name, shape, data }] of trained.entries()) {
    if (start !== null) {
      const values = given.get(name);
      if (values?.length === data.length) data.set(values);
      else
        throw new CllmError(
          "bad-weights",
          `the adapter to begin with has no ${name} of [${shape}]: it is for another model`,
        );
    }
    if (start === null && name.endsWith(".lora_A.weight"))
      fillUniform(data, Math.sqrt(3 / (shape[1] ?? 1)), seed, index);
  }
  return { trained, frozen, count: countOf(trained) };
}

/**
 * A model from nothing: normal numbers, with a deviation of 0.02 in embeddings and 1/√inputs in matrices (LeCun et al. 1998,
 * section 4.6), smaller in what writes to the residual stream (Radford et al. 2019, section 2.3); norms one, biases zero.
 */
export function randomParameters(config: ModelConfig, seed: number): Parameters {
  const trained = allocate([...expectedTensors(config)]);
  for (const [index, { name, shape, data }] of trained.entries()) {
    if (/norm\.weight$/.test(name)) data.fill(config.normsAddOne ? 0 : 1);
    else if (name.endsWith(".bias")) data.fill(0);
    else {
      const deviation = /_proj\.weight$/.test(name) ? 1 / Math.sqrt(shape[1] as number) : 0.02;
      const writes = /(o_proj|down_proj)\.weight$/.test(name);
      fillNormal(data, writes ? deviation / Math.sqrt(2 * config.layers) : deviation, seed, index);
    }
  }
  return { trained, frozen: [], count: countOf(trained) };
}

/**
 * Medusa heads to be trained beside what `base` has: blocks that add nothing yet, and matrices to the vocabulary that begin as the model's own
 * (Cai et al., arXiv:2401.10774, section 2.1). With a frozen base all of the model's tensors are inputs that stay as they are.
 */
export async function medusaParameters(
  config: ModelConfig,
  weights: Weights,
  medusa: MedusaTraining,
  base: Parameters | null,
): Promise<Parameters> {
  const heads = allocate(medusaTensors(config, medusa));
  for (const { name, data } of heads)
    if (/^\d+\.\d+\.weight$/.test(name)) data.set(await weights.read(headName(config)));
  const frozen: NamedTensor[] = [...(base?.frozen ?? [])];
  if (base === null)
    for (const [name, shape] of expectedTensors(config)) frozen.push({ name, shape, data: await weights.read(name) });
  const trained = [...(base?.trained ?? []), ...heads];
  return { trained, frozen, count: countOf(trained) };
}

const countOf = (trained: readonly NamedTensor[]): number => trained.reduce((sum, { data }) => sum + data.length, 0);

/** Uniform in (0, 1), a function of the seed and the place alone. */
const uniform = (seed: number, index: number, i: number): number => (hash(seed, index, i) + 0.5) / 2 ** 32;

function fillUniform(data: Float32Array, bound: number, seed: number, index: number): void {
  for (let i = 0; i < data.length; i++) data[i] = bound * (2 * uniform(seed, index, i) - 1);
}

/** Box and Muller's transform. */
function fillNormal(data: Float32Array, deviation: number, seed: number, index: number): void {
  for (let i = 0; i < data.length; i++) {
    const radius = Math.sqrt(-2 * Math.log(uniform(seed, index, 2 * i)));
    data[i] = deviation * radius * Math.cos(2 * Math.PI * uniform(seed, index, 2 * i + 1));
  }
}
