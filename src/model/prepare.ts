/**
 * A checkpoint's tensors as the graph wants them: products that read the same input stacked into one matrix, biases
 * joined, and, for low precision, the residual stream rotated. One layer in memory at a time. Knows no precision and no file.
 */
import { CllmError } from "../error.ts";
import type { ModelConfig } from "./config.ts";
import { diagonal, type Matrix, scaleColumns, stack, transpose } from "./matrix.ts";
import { Rotation } from "./rotation.ts";
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

export interface PreparedWeights {
  embedding(): Promise<Matrix>; // (V, D)
  layer(index: number): Promise<LayerWeights>;
  finalNorm(): Promise<Float32Array>; // (D,)
  /** What each segment of the hidden layer is multiplied by before the down projection, or null for nothing. */
  hiddenMix(): Promise<Matrix | null>;
  /** What the normalized stream is multiplied by before the head, `(D, D)`, or null for nothing. */
  finalMix(): Promise<Matrix | null>;
  /** The embedding itself where the head is tied. */
  head(): Promise<Matrix>; // (V, D)
}

/** The weights as stored. */
export function plainWeights(config: ModelConfig, weights: Weights): PreparedWeights {
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
  const matrix = async (name: string, rows: number, columns: number): Promise<Matrix> => ({
    rows,
    columns,
    data: await read(name, rows, columns),
  });

  return {
    embedding: () => matrix("model.embed_tokens.weight", vocabSize, hiddenSize),
    finalNorm: () => read("model.norm.weight", hiddenSize),
    finalMix: async () => null,
    hiddenMix: async () => null,
    head: () => matrix(config.tiedHead ? "model.embed_tokens.weight" : "lm_head.weight", vocabSize, hiddenSize),
    async layer(index) {
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

/** Channels of the hidden layer that are rotated together, at most: wider spreads outliers farther and costs more. */
const HIDDEN_SEGMENT = 128;

/**
 * The same model with its residual stream in a rotated basis: norm weights are folded into the products behind them, which
 * leaves norms that commute with the rotation; what reads the stream is rotated in its columns, what writes to it in its
 * rows. Outliers are spread over all channels, so activations lose less in eight bits, and decoding costs no more. The
 * hidden layer lies behind a product of two vectors, so segments of it are rotated as they come (`hiddenMix`).
 */
export function rotatedWeights(config: ModelConfig, weights: Weights): PreparedWeights {
  const plain = plainWeights(config, weights);
  const stream = new Rotation(config.hiddenSize);
  const hidden = new Rotation(Math.min(HIDDEN_SEGMENT, config.intermediateSize & -config.intermediateSize));
  const ones = new Float32Array(config.hiddenSize).fill(1);

  const reads = ({ matrix, bias }: Product, norm: Float32Array): Product => {
    scaleColumns(matrix, norm);
    stream.apply(matrix.data);
    return { matrix, bias };
  };
  const writes = ({ matrix, bias }: Product): Product => {
    const columns = transpose(matrix);
    stream.apply(columns.data);
    if (bias !== null) stream.apply(bias);
    return { matrix: transpose(columns), bias };
  };

  const hiddenRotated = (matrix: Matrix): Matrix => {
    hidden.apply(matrix.data);
    return matrix;
  };
  const rotated = async (matrix: Promise<Matrix>): Promise<Matrix> => {
    const read = await matrix;
    stream.apply(read.data);
    return read;
  };

  return {
    embedding: () => rotated(plain.embedding()),
    async layer(index) {
      const layer = await plain.layer(index);
      return {
        ...layer,
        inputNorm: ones,
        qkv: reads(layer.qkv, layer.inputNorm),
        output: writes(layer.output),
        postNorm: ones,
        gate: reads(layer.gate, layer.postNorm),
        up: reads(layer.up, layer.postNorm),
        down: writes({ ...layer.down, matrix: hiddenRotated(layer.down.matrix) }),
      };
    },
    finalNorm: async () => ones,
    async hiddenMix() {
      const mix = diagonal(new Float32Array(hidden.size).fill(1));
      hidden.apply(mix.data);
      return mix;
    },
    /** Qᵀ · diag(norm) · Q: the final norm's weights in the rotated basis, so that embedding and head stay one table. */
    async finalMix() {
      const mix = diagonal(await plain.finalNorm());
      stream.apply(mix.data); // diag(norm) · Q
      const columns = transpose(mix);
      stream.apply(columns.data); // (Qᵀ · diag(norm) · Q)ᵀ, which is symmetric
      return columns;
    },
    head: () => rotated(plain.head()),
  };
}
