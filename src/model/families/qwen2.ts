/** Qwen2 and Qwen2.5: Llama with biases for queries, keys and values (Yang et al., arXiv:2407.10671). */
import { type Family, firstMissing, GGUF_TENSORS, missingDivisors, missingHeads } from "./family.ts";
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
    keys: [],
    tensors: GGUF_TENSORS,
    read: () => ({}),
    write: () => [],
    missing: (config) => firstMissing(missingDivisors(config), missingHeads(config), missingWindow(config)),
  },
};
