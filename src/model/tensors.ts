/**
 * Which tensors a model consists of: Hugging Face's names and shapes, from the configuration alone. Knows no file format.
 */
import type { ModelConfig } from "./config.ts";

/** The norms of a layer: before attention and behind it, before the feed-forward block and behind it. Null where there is none. */
export interface LayerNorms<T> {
  readonly input: T | null;
  readonly attended: T | null;
  readonly feedForward: T | null;
  readonly fed: T | null;
}

/** What Hugging Face calls the norms of a layer: behind attention has the name that otherwise is before the feed-forward block. */
export function normNames({ normPlace = "before" }: Pick<ModelConfig, "normPlace">): LayerNorms<string> {
  const [input, behind] = ["input_layernorm", "post_attention_layernorm"];
  if (normPlace === "before") return { input, attended: null, feedForward: behind, fed: null };
  const fed = "post_feedforward_layernorm";
  if (normPlace === "after") return { input: null, attended: behind, feedForward: null, fed };
  return { input, attended: behind, feedForward: "pre_feedforward_layernorm", fed };
}

/** Rows of the matrices for queries, keys and values. */
export function projectionRows({ heads, kvHeads, headSize }: ModelConfig): readonly [number, number, number] {
  return [heads * headSize, kvHeads * headSize, kvHeads * headSize];
}

/** Name within the layer and shape of every tensor of a layer. Shapes are `(out, in)`. */
function* layerTensors(config: ModelConfig): Generator<[part: string, shape: readonly number[]]> {
  const { hiddenSize, intermediateSize, headSize } = config;
  const [queries, keys] = projectionRows(config);
  const norms = normNames(config);
  const norm = function* (name: string | null): Generator<[string, readonly number[]]> {
    if (name !== null) yield [`${name}.weight`, [hiddenSize]];
  };
  yield* norm(norms.input);
  const projections: [string, number][] = config.packedProjections
    ? [["qkv_proj", queries + 2 * keys]]
    : [
        ["q_proj", queries],
        ["k_proj", keys],
        ["v_proj", keys],
      ];
  for (const [name, size] of projections) {
    yield [`self_attn.${name}.weight`, [size, hiddenSize]];
    if (config.attentionBias) yield [`self_attn.${name}.bias`, [size]];
  }
  if (config.queryKeyNorm) {
    yield ["self_attn.q_norm.weight", [config.wideQueryKeyNorm ? queries : headSize]];
    yield ["self_attn.k_norm.weight", [config.wideQueryKeyNorm ? keys : headSize]];
  }
  yield ["self_attn.o_proj.weight", [hiddenSize, queries]];
  if (config.outputBias) yield ["self_attn.o_proj.bias", [hiddenSize]];
  yield* norm(norms.attended);
  yield* norm(norms.feedForward);
  if (config.packedProjections) {
    yield ["mlp.gate_up_proj.weight", [2 * intermediateSize, hiddenSize]];
  } else {
    yield ["mlp.gate_proj.weight", [intermediateSize, hiddenSize]];
    yield ["mlp.up_proj.weight", [intermediateSize, hiddenSize]];
  }
  yield ["mlp.down_proj.weight", [hiddenSize, intermediateSize]];
  yield* norm(norms.fed);
}

/** Name and shape of every tensor of a model, in the order of its layers. Shapes are `(out, in)`. */
export function* expectedTensors(config: ModelConfig): Generator<[name: string, shape: readonly number[]]> {
  const { hiddenSize, vocabSize } = config;
  yield ["model.embed_tokens.weight", [vocabSize, hiddenSize]];
  for (let layer = 0; layer < config.layers; layer++) {
    for (const [part, shape] of layerTensors(config)) yield [`model.layers.${layer}.${part}`, shape];
  }
  yield ["model.norm.weight", [hiddenSize]];
  if (!config.tiedHead) yield ["lm_head.weight", [vocabSize, hiddenSize]];
}
