/**
 * A checkpoint's tensors as the graph wants them: queries, keys and values stacked into one matrix, biases joined. One
 * layer in memory at a time, in fresh arrays that the products may change in place. Knows no precision and no file.
 */
import { CllmError } from "../error.ts";
import type { ModelConfig } from "./config.ts";
import { BLOCK, hollowMatrix, type Matrix, type StoredBlocks, stack } from "./matrix.ts";
import { type LayerNorms, normNames, projectionRows } from "./tensors.ts";
import type { Weights } from "./weights.ts";

/** y = x · Wᵀ + b, with W as `(out, in)`. */
export interface Product {
  readonly matrix: Matrix;
  readonly bias: Float32Array | null; // (out,)
  /** Of the last layer, whose errors no later layer evens out. Default: false. */
  readonly last?: boolean;
  /** What a draft adapter adds for draft rows; see `draft-adapter.ts`. */
  readonly draft?: DraftShare;
}

/** Factors A of all products that read the same input, one below the other. */
export interface DraftGroup {
  readonly a: Matrix; // (sum of ranks, in)
  readonly ranks: readonly number[];
}

/** One product's part of a group, and its factor B. */
export interface DraftShare {
  readonly group: DraftGroup;
  readonly share: number;
  readonly b: Matrix; // (out, rank), the scale in it
}

export interface LayerWeights {
  readonly norms: LayerNorms<Float32Array>; // (D,) each
  /** Rows of queries, then keys, then values. */
  readonly qkv: Product;
  readonly queryNorm: Float32Array | null; // (headSize,), or as wide as all heads
  readonly keyNorm: Float32Array | null;
  readonly output: Product;
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
 * that makes only a part of the model. `blocks`: matrices come with the blocks that the file stores them in.
 */
export function layeredWeights(
  config: ModelConfig,
  weights: Weights,
  begin: (unit: WeightUnit) => boolean | Promise<boolean> = () => true,
  { blocks = false }: { readonly blocks?: boolean } = {},
): LayeredWeights {
  const { hiddenSize, vocabSize, intermediateSize, headSize } = config;
  const projections = projectionRows(config);
  const [queries, keys] = projections;

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
  const matrix = async (name: string, rows: number, columns: number): Promise<Matrix> => {
    const plain = wanted ? { rows, columns, data: await read(name, rows, columns) } : hollowMatrix(rows, columns);
    return blocks ? { ...plain, blocks: await blocksOf(weights, name, rows * columns, wanted) } : plain;
  };
  const vocabulary = async (name: string): Promise<Matrix> => {
    wanted = await begin("vocabulary");
    return matrix(name, vocabSize, hiddenSize);
  };

  /** What a norm multiplies by. */
  const norm = async (name: string, size: number): Promise<Float32Array> => {
    const weight = await read(`${name}.weight`, size);
    return config.normsAddOne ? weight.map((value) => 1 + value) : weight;
  };

  return {
    embedding: () => vocabulary("model.embed_tokens.weight"),
    finalNorm: () => norm("model.norm", hiddenSize),
    head: () => vocabulary(config.tiedHead ? "model.embed_tokens.weight" : "lm_head.weight"),
    async layer(index) {
      wanted = await begin(index);
      const name = (part: string): string => `model.layers.${index}.${part}`;
      const vector = (part: string, size: number): Promise<Float32Array> => read(name(part), size);
      const weight = (part: string, rows: number, columns: number): Promise<Matrix> =>
        matrix(name(`${part}.weight`), rows, columns);
      const layerNorm = async (part: string | null): Promise<Float32Array | null> =>
        part === null ? null : norm(name(part), hiddenSize);
      const headsNorm = async (part: string, width: number): Promise<Float32Array | null> =>
        config.queryKeyNorm ? norm(name(`self_attn.${part}`), config.wideQueryKeyNorm ? width : headSize) : null;

      const parts = config.packedProjections ? ["qkv_proj"] : ["q_proj", "k_proj", "v_proj"];
      const sizes = config.packedProjections ? [queries + 2 * keys] : projections;
      const stacked: Matrix[] = [];
      const biases: number[] = [];
      for (const [i, part] of parts.entries()) {
        const size = sizes[i] as number;
        stacked.push(await weight(`self_attn.${part}`, size, hiddenSize));
        if (config.attentionBias) for (const value of await vector(`self_attn.${part}.bias`, size)) biases.push(value);
      }
      const gateAndUp = config.packedProjections
        ? halves(await weight("mlp.gate_up_proj", 2 * intermediateSize, hiddenSize))
        : [
            await weight("mlp.gate_proj", intermediateSize, hiddenSize),
            await weight("mlp.up_proj", intermediateSize, hiddenSize),
          ];
      const norms = normNames(config);
      const last = index === config.layers - 1;
      return {
        norms: {
          input: await layerNorm(norms.input),
          attended: await layerNorm(norms.attended),
          feedForward: await layerNorm(norms.feedForward),
          fed: await layerNorm(norms.fed),
        },
        qkv: {
          matrix: stacked.length === 1 ? (stacked[0] as Matrix) : stack(stacked),
          bias: config.attentionBias ? Float32Array.from(biases) : null,
          last,
        },
        queryNorm: await headsNorm("q_norm", queries),
        keyNorm: await headsNorm("k_norm", keys),
        output: {
          matrix: await weight("self_attn.o_proj", hiddenSize, queries),
          bias: config.outputBias ? await vector("self_attn.o_proj.bias", hiddenSize) : null,
          last,
        },
        gate: { matrix: gateAndUp[0] as Matrix, bias: null, last },
        up: { matrix: gateAndUp[1] as Matrix, bias: null, last },
        down: { matrix: await weight("mlp.down_proj", hiddenSize, intermediateSize), bias: null, last },
      };
    },
  };
}

/** The upper and the lower rows of a matrix, which share its memory. */
function halves({ rows, columns, data, hollow }: Matrix): [Matrix, Matrix] {
  const half = rows / 2;
  if (hollow) return [hollowMatrix(half, columns), hollowMatrix(half, columns)];
  const upper = { rows: half, columns, data: data.subarray(0, half * columns) };
  return [upper, { ...upper, data: data.subarray(half * columns) }];
}

/** The blocks of a matrix of so many elements; only their form where they are not wanted. */
async function blocksOf(
  weights: Weights,
  name: string,
  elements: number,
  wanted: boolean,
): Promise<StoredBlocks | undefined> {
  const form = weights.blocks?.(name) ?? null;
  if (form === null) return undefined;
  const { scales, offsets } = wanted
    ? await form.parameters()
    : { scales: new Float32Array(0), offsets: new Float32Array(0) };
  return {
    bits: form.largest < 16 && form.centered ? 4 : 8,
    ownOffsets: !form.centered,
    largest: new Uint8Array(wanted ? elements / BLOCK : 0).fill(form.largest),
    scales,
    offsets,
  };
}
