/**
 * Whether a checkpoint's tensors are those that its configuration calls for: all there, of the right shape and a readable
 * type, and none left over that the graph would silently ignore. Knows Hugging Face's names, no file format.
 */
import { CllmError } from "../error.ts";
import { nearMisses, shorten } from "../files/near-miss.ts";
import type { ModelConfig } from "../model/config.ts";
import { expectedTensors } from "../model/tensors.ts";
import type { StoredTensor } from "./stored-weights.ts";
import { unsupportedType } from "./stored-weights.ts";

/**
 * Tensors that checkpoints store and that no output depends on: buffers of old checkpoints, which follow from the
 * configuration; scales for caches of eight bits; the value head of training; heads that predict tokens further ahead.
 */
const IGNORED =
  /(\.rotary_emb\.(inv_freq|(cos|sin)_cached)|\.masked_bias|\.attn\.bias|\.self_attn\.[kv]_scale)$|^(v_head|(model\.)?mtp)\./;

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
      const hint = near.length > 0 ? `; the nearest name is ${near[0]}` : "";
      const message = `${path} lacks the tensor ${name}, which its configuration (${config.family}) calls for${hint}`;
      throw new CllmError("bad-weights", `${message}; fetch or convert the checkpoint again`);
    }
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
      const message = `tensor ${name} of ${tensor.file.path} is [${tensor.shape}]; its configuration says [${shape}]`;
      throw new CllmError("bad-weights", `${message}; fetch or convert the checkpoint again`);
    }
    if (!tensor.codec) throw unsupportedType(tensor);
    used.add(name);
  }
  for (const { name, file } of tensors) {
    if (used.has(name) || IGNORED.test(name) || (config.tiedHead && name === "lm_head.weight")) continue;
    const message = `${file.path} holds the tensor ${shorten(name)}, which a ${config.family} model does not have`;
    throw new CllmError("unsupported", `${message}; its architecture differs from ${config.family}: use another model`);
  }
  return tensors.filter(({ name }) => used.has(name));
}
