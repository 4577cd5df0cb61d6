/** Qwen3, the dense ones: Llama with norms over each head's queries and keys (Yang et al., arXiv:2505.09388). */
import {
  ATTENTION_BIAS_KEYS,
  type Family,
  GGUF_TENSORS,
  hasDivisors,
  readAttentionBias,
  writeAttentionBias,
} from "./family.ts";
import { missingWindow, readLaterWindow, writeLaterWindow } from "./windows.ts";

export const qwen3: Family = {
  name: "qwen3",
  huggingFace: {
    architecture: "Qwen3ForCausalLM",
    defaults: { kvHeads: 32, contextLength: 32_768, headSize: 128 },
    keys: ATTENTION_BIAS_KEYS,
    read: (fields, common) => ({
      queryKeyNorm: true,
      ...readAttentionBias(fields),
      ...readLaterWindow(fields, common),
    }),
    write: (config) => ({ ...writeAttentionBias(config), ...writeLaterWindow(config) }),
  },
  gguf: {
    architecture: "qwen3",
    interleaved: false,
    tensors: GGUF_TENSORS,
    read: () => ({ queryKeyNorm: true }),
    write: () => [],
    missing(config) {
      if (hasDivisors(config)) return `rotary scaling of type ${config.ropeScaling?.type}`;
      if (config.attentionBias) return "biases in attention";
      return missingWindow(config);
    },
  },
};
