/**
 * A checkpoint's tensors as the graph wants them: queries, keys and values stacked into one matrix, biases joined. One
 * layer in memory at a time, in fresh arrays that the products may change in place. Knows no precision and no file.
 */
import { CllmError } from "../error.ts";
import type { ModelConfig } from "./config.ts";
import { hollowMatrix, type Matrix, stack } from "./matrix.ts";
import type { Weights } from "./weights.ts";

/** y = x · Wᵀ + b, with W as `(out, in)`. */
export interface Product {
  readonly matrix: Matrix;
  readonly bias: Float32Array | null; // (out,)
}

export interface LayerWeights {
  readonly inputNorm: Float32Array; // (D,)
  /** Rows of queries, then keys, then values. */
  readonly qkv: Product;
  readonly queryNorm: Float32Array | null; // (headSize,)
  readonly keyNorm: Float32Array | null;
  readonly output: Product;
  readonly postNorm: Float32Array; // (D,)
  readonly gate: Product;
  readonly up: Product;
  readonly down: Product;
}

export interface LayeredWeights {
  embedding(): Promise<Matrix>; // (V, D)
  layer(index: number): Promise<LayerWeights>;
  finalNorm(): Promise<Float32Array>; // (D,)
  /** The embedding itself where the head is tied. */
  head(): Promise<Matrix>; // (V, D)
}

/** What is read together: a layer by its index, or the embedding and the head. */
export type WeightUnit = number | "vocabulary";

/**
 * Throws `bad-weights` where a tensor has not the shape that the configuration asks for. `begin` is told of each unit
 * before it is read and says whether its matrices are wanted; if not, hollow matrices take their place, for a thread
 * that makes only a part of the model.
 */
export function layeredWeights(
  config: ModelConfig,
  weights: Weights,
  begin: (unit: WeightUnit) => boolean | Promise<boolean> = () => true,
): LayeredWeights {
  const { hiddenSize, vocabSize, intermediateSize, heads, kvHeads, headSize } = config;
  const queries = heads * headSize;
  const keys = kvHeads * headSize;

  const read = async (name: string, ...shape: number[]): Promise<Float32Array> => {
    const stored = weights.shape(name);
    if (stored.join() !== shape.join()) {
      throw new CllmError(
        "bad-weights",
        `${name} has shape [${stored.join(", ")}], but the configuration asks for [${shape.join(", ")}]: ` +
          "the weights and the configuration are not of the same model",
      );
    }
    return weights.read(name);
  };
  let wanted = true;
  const matrix = async (name: string, rows: number, columns: number): Promise<Matrix> =>
    wanted ? { rows, columns, data: await read(name, rows, columns) } : hollowMatrix(rows, columns);
  const vocabulary = async (name: string): Promise<Matrix> => {
    wanted = await begin("vocabulary");
    return matrix(name, vocabSize, hiddenSize);
  };

  return {
    embedding: () => vocabulary("model.embed_tokens.weight"),
    finalNorm: () => read("model.norm.weight", hiddenSize),
    head: () => vocabulary(config.tiedHead ? "model.embed_tokens.weight" : "lm_head.weight"),
    async layer(index) {
      wanted = await begin(index);
      const name = (part: string): string => `model.layers.${index}.${part}`;
      const vector = (part: string, size: number): Promise<Float32Array> => read(name(part), size);
      const weight = (part: string, rows: number, columns: number): Promise<Matrix> =>
        matrix(name(`${part}.weight`), rows, columns);
      let qkvBias: Float32Array | null = null;
      if (config.attentionBias) {
        qkvBias = new Float32Array(queries + 2 * keys);
        qkvBias.set(await vector("self_attn.q_proj.bias", queries));
        qkvBias.set(await vector("self_attn.k_proj.bias", keys), queries);
        qkvBias.set(await vector("self_attn.v_proj.bias", keys), queries + keys);
      }
      return {
        inputNorm: await vector("input_layernorm.weight", hiddenSize),
        qkv: {
          matrix: stack([
            await weight("self_attn.q_proj", queries, hiddenSize),
            await weight("self_attn.k_proj", keys, hiddenSize),
            await weight("self_attn.v_proj", keys, hiddenSize),
          ]),
          bias: qkvBias,
        },
        queryNorm: config.queryKeyNorm ? await vector("self_attn.q_norm.weight", headSize) : null,
        keyNorm: config.queryKeyNorm ? await vector("self_attn.k_norm.weight", headSize) : null,
        output: {
          matrix: await weight("self_attn.o_proj", hiddenSize, queries),
          bias: config.outputBias ? await vector("self_attn.o_proj.bias", hiddenSize) : null,
        },
        postNorm: await vector("post_attention_layernorm.weight", hiddenSize),
        gate: { matrix: await weight("mlp.gate_proj", intermediateSize, hiddenSize), bias: null },
        up: { matrix: await weight("mlp.up_proj", intermediateSize, hiddenSize), bias: null },
        down: { matrix: await weight("mlp.down_proj", hiddenSize, intermediateSize), bias: null },
      };
    },
  };
}
