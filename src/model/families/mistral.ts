/** Mistral 7B and its kin: Llama with a sliding window in every layer (Jiang et al., arXiv:2310.06825). GGUF calls it llama. */
import type { Family } from "./family.ts";
import { llama } from "./llama.ts";
import { readWindow } from "./windows.ts";

export const mistral: Family = {
  name: "mistral",
  huggingFace: {
    architecture: "MistralForCausalLM",
    defaults: { kvHeads: 8, contextLength: 131_072, headSize: null },
    keys: [],
    read: readWindow,
    write: ({ slidingWindow }) => ({ sliding_window: slidingWindow }),
  },
  gguf: llama.gguf,
};
