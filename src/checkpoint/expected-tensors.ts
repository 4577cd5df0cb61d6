/**
 * Whether a checkpoint's tensors are those that its configuration calls for: all there, of the right shape and a readable
 * type, and none left over that the graph would silently ignore. Knows Hugging Face's names, no file format.
 */
import { CllmError } from "../error.ts";
import type { ModelConfig } from "../model/config.ts";
import { nearMisses, shorten } from "./near-miss.ts";
import type { StoredTensor } from "./stored-weights.ts";
import { unsupportedType } from "./stored-weights.ts";

/** Buffers that old checkpoints store beside the weights; they follow from the configuration. */
const IGNORED = /(\.rotary_emb\.inv_freq|\.masked_bias|\.attn\.bias)$/;

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

/**
 * The tensors that the model uses, in the file's order. Throws `bad-weights` where one is missing or of another shape,
 * and `unsupported` where a type cannot be read or a tensor is there that the family does not have.
 */
export function selectTensors(config: ModelConfig, tensors: readonly StoredTensor[], path: string): StoredTensor[] {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const used = new Set<string>();
  for (const [name, shape] of expectedTensors(config)) {
    const tensor = byName.get(name);
    if (!tensor) {
      const near = nearMisses(name, byName.keys(), 1);
      const hint = near.length > 0 ? ` The nearest name is ${near[0]}.` : "";
      const message = `${path} lacks the tensor ${name}, which its configuration (${config.family}) calls for.${hint}`;
      throw new CllmError("bad-weights", `${message} Fetch or convert the checkpoint again.`);
    }
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
      const message = `Tensor ${name} of ${tensor.file.path} is [${tensor.shape}]; its configuration says [${shape}].`;
      throw new CllmError("bad-weights", `${message} Fetch or convert the checkpoint again.`);
    }
    if (!tensor.codec) throw unsupportedType(tensor);
    used.add(name);
  }
  for (const { name, file } of tensors) {
    if (used.has(name) || IGNORED.test(name) || (config.tiedHead && name === "lm_head.weight")) continue;
    const message = `${file.path} holds the tensor ${shorten(name)}, which a ${config.family} model does not have.`;
    throw new CllmError("unsupported", `${message} Its architecture differs from ${config.family}: use another model.`);
  }
  return tensors.filter(({ name }) => used.has(name));
}
