/**
 * Which tensors a model is made of: Hugging Face's names and shapes, from the configuration alone. Knows no file format.
 */
import type { ModelConfig } from "./config.ts";

/** Name and shape of every tensor of a model, in the order of its layers. Shapes are `(out, in)`. */
export function* expectedTensors(config: ModelConfig): Generator<[name: string, shape: readonly number[]]> {
  const { hiddenSize, intermediateSize, vocabSize, headSize } = config;
  const queries = config.heads * headSize;
  const keys = config.kvHeads * headSize;
  yield ["model.embed_tokens.weight", [vocabSize, hiddenSize]];
  for (let layer = 0; layer < config.layers; layer++) {
    const at = `model.layers.${layer}`;
    yield [`${at}.input_layernorm.weight`, [hiddenSize]];
    for (const [name, size] of [["q_proj", queries] as const, ["k_proj", keys] as const, ["v_proj", keys] as const]) {
      yield [`${at}.self_attn.${name}.weight`, [size, hiddenSize]];
      if (config.attentionBias) yield [`${at}.self_attn.${name}.bias`, [size]];
    }
    if (config.queryKeyNorm) {
      yield [`${at}.self_attn.q_norm.weight`, [headSize]];
      yield [`${at}.self_attn.k_norm.weight`, [headSize]];
    }
    yield [`${at}.self_attn.o_proj.weight`, [hiddenSize, queries]];
    if (config.outputBias) yield [`${at}.self_attn.o_proj.bias`, [hiddenSize]];
    yield [`${at}.post_attention_layernorm.weight`, [hiddenSize]];
    yield [`${at}.mlp.gate_proj.weight`, [intermediateSize, hiddenSize]];
    yield [`${at}.mlp.up_proj.weight`, [intermediateSize, hiddenSize]];
    yield [`${at}.mlp.down_proj.weight`, [hiddenSize, intermediateSize]];
  }
  yield ["model.norm.weight", [hiddenSize]];
  if (!config.tiedHead) yield ["lm_head.weight", [vocabSize, hiddenSize]];
}
