/**
 * Medusa heads, their one definition (Cai et al., arXiv:2401.10774, section 2.1): each goes from the normalized stream, which the model's own
 * head reads, through residual blocks to a vocabulary. Head k, from 0 on, guesses what stands k + 1 places behind the next token.
 * Decoding and training say how a product is made. Knows no file.
 */
import type { Graph, Value } from "../graph/graph.ts";
import type { ModelConfig } from "./config.ts";

/** What heads there are. */
export interface MedusaShape {
  readonly heads: number;
  /** Residual blocks of each head: x + SiLU(W x + b). */
  readonly layers: number;
  /** Each head has a matrix to the vocabulary of its own; without it they share the model's. */
  readonly ownLinear: boolean;
  /** The blocks have biases, as those of the paper have. */
  readonly bias: boolean;
}

/** The name of a block's matrix, or of its bias. */
export const blockName = (head: number, layer: number, part: "weight" | "bias"): string =>
  `${head}.${layer}.linear.${part}`;

/** The name of a head's own matrix to the vocabulary. */
export const linearName = (head: number, layers: number): string => `${head}.${layers}.weight`;

/** Whether a tensor is one of a head's, by its name: the model's own do not begin with a number. */
export const isHeadTensor = (name: string): boolean => /^\d/.test(name);

/** Name and shape of every tensor, as the released heads have them. */
export function medusaTensors(
  { hiddenSize, vocabSize }: Pick<ModelConfig, "hiddenSize" | "vocabSize">,
  { heads, layers, ownLinear, bias }: MedusaShape,
): [name: string, shape: readonly number[]][] {
  return Array.from({ length: heads }, (_, head) => head).flatMap((head): [string, readonly number[]][] => [
    ...Array.from({ length: layers }, (_, layer) => layer).flatMap((layer): [string, readonly number[]][] => [
      [blockName(head, layer, "weight"), [hiddenSize, hiddenSize]],
      ...(bias ? [[blockName(head, layer, "bias"), [hiddenSize]] as [string, readonly number[]]] : []),
    ]),
    ...(ownLinear ? [[linearName(head, layers), [vocabSize, hiddenSize]] as [string, readonly number[]]] : []),
  ]);
}

/** Makes W x + b of tensors by their names; `bias` is null for none. */
export type NamedProduct = (x: Value, weight: string, bias: string | null) => Value | Promise<Value>;

/** What a head's blocks make of the stream, in the same shape: what its matrix to the vocabulary reads. */
export async function medusaBlocks(
  graph: Graph,
  { layers, bias }: MedusaShape,
  head: number,
  stream: Value,
  product: NamedProduct,
): Promise<Value> {
  let x = stream;
  for (let layer = 0; layer < layers; layer++) {
    const y = await product(x, blockName(head, layer, "weight"), bias ? blockName(head, layer, "bias") : null);
    x = graph.op("Add", [x, graph.op("QuickGelu", [y], { alpha: { float: 1 } })]); // SiLU
  }
  return x;
}
