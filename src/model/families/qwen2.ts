/** Qwen2 and Qwen2.5: Llama with biases for queries, keys and values (Yang et al., arXiv:2407.10671). */
import { type Family, GGUF_TENSORS, hasDivisors } from "./family.ts";
import { missingWindow, readLaterWindow, writeLaterWindow } from "./windows.ts";

export const qwen2: Family = {
  name: "qwen2",
  huggingFace: {
    architecture: "Qwen2ForCausalLM",
    defaults: { kvHeads: 32, contextLength: 32_768, headSize: null },
    keys: [],
    read: (fields, common) => ({ attentionBias: true, ...readLaterWindow(fields, common) }),
    write: writeLaterWindow,
  },
  gguf: {
    architecture: "qwen2",
    interleaved: false,
    tensors: GGUF_TENSORS,
    read: () => ({}),
    write: () => [],
    missing(config) {
      const { heads, headSize, hiddenSize, ropeScaling } = config;
      if (hasDivisors(config)) return `rotary scaling of type ${ropeScaling?.type}`;
      if (heads * headSize !== hiddenSize) {
        return `${heads} heads of ${headSize} over a hidden size of ${hiddenSize}`;
      }
      return missingWindow(config);
    },
  },
};
