/** Mistral 7B and its kin: Llama with a sliding window in every layer (Jiang et al., arXiv:2310.06825). GGUF calls it llama. */
import type { Family } from "./family.ts";
import { llama } from "./llama.ts";
import { readWindow, writeLayerTypes } from "./windows.ts";

export const mistral: Family = {
  name: "mistral",
  huggingFace: {
    architecture: "MistralForCausalLM",
    defaults: { kvHeads: 8, contextLength: 131_072, headSize: null },
    keys: [],
    read: (fields, common) => readWindow(fields, common),
    write: (config) => ({
      sliding_window: config.slidingWindow,
      ...(config.slidingLayers !== undefined && writeLayerTypes(config)),
    }),
  },
  gguf: llama.gguf,
};
