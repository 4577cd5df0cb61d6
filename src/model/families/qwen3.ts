/** Qwen3, the dense ones: Llama with norms over each head's queries and keys (Yang et al., arXiv:2505.09388). */
import {
  type Family,
  firstMissing,
  GGUF_TENSORS,
  missingDivisors,
  readAttentionBias,
  writeAttentionBias,
} from "./family.ts";
import { missingWindow, readLaterWindow, writeLaterWindow } from "./windows.ts";

export const qwen3: Family = {
  name: "qwen3",
  huggingFace: {
    architecture: "Qwen3ForCausalLM",
    defaults: { kvHeads: 32, contextLength: 32_768, headSize: 128 },
    keys: [],
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
    keys: [],
    tensors: GGUF_TENSORS,
    read: () => ({ queryKeyNorm: true }),
    write: () => [],
    missing: (config) =>
      firstMissing(missingDivisors(config), config.attentionBias ? "biases in attention" : null, missingWindow(config)),
  },
};
