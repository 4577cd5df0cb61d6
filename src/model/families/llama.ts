/**
 * Llama 1 to 3, SmolLM and SmolLM2, TinyLlama and their kin: the family that the others are described by (Touvron et al.,
 * arXiv:2302.13971, section 2.2).
 */
import { type Family, GGUF_TENSORS, readAttentionBias, writeAttentionBias } from "./family.ts";
import { missingWindow } from "./windows.ts";

export const llama: Family = {
  name: "llama",
  huggingFace: {
    wordsOf: ({ slidingWindow }) => (slidingWindow === null ? "llama" : "mistral"),
    architecture: "LlamaForCausalLM",
    defaults: { kvHeads: null, contextLength: 2048, headSize: null },
    keys: [],
    read: readAttentionBias,
    write: (config) => ({ ...writeAttentionBias(config), mlp_bias: false }),
  },
  gguf: {
    architecture: "llama",
    interleaved: true,
    keys: [],
    tensors: GGUF_TENSORS,
    read: () => ({}),
    write: () => [],
    missing: missingWindow,
  },
};
