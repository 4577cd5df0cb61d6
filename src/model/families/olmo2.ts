/** OLMo 2: norms behind the blocks, and over all queries and keys together (OLMo Team, arXiv:2501.00656, section 2.1). */
import type { ModelConfig } from "../config.ts";
import {
  type Family,
  firstMissing,
  GGUF_TENSORS,
  missingDivisors,
  missingHeads,
  readAttentionBias,
  writeAttentionBias,
} from "./family.ts";
import { missingWindow } from "./windows.ts";

const BLOCKS = {
  normPlace: "after",
  queryKeyNorm: true,
  wideQueryKeyNorm: true,
} as const satisfies Partial<ModelConfig>;

const { input_layernorm: _, ...SHARED } = GGUF_TENSORS;

export const olmo2: Family = {
  name: "olmo2",
  huggingFace: {
    architecture: "Olmo2ForCausalLM",
    defaults: { kvHeads: null, contextLength: 2048, headSize: null, normEpsilon: 1e-5 },
    keys: [],
    read: (fields) => ({ ...BLOCKS, ...readAttentionBias(fields) }),
    write: writeAttentionBias,
  },
  gguf: {
    architecture: "olmo2",
    interleaved: false,
    keys: [],
    tensors: {
      ...SHARED,
      post_attention_layernorm: "post_attention_norm",
      post_feedforward_layernorm: "post_ffw_norm",
    },
    read: () => BLOCKS,
    write: () => [],
    missing: (config) =>
      firstMissing(
        missingDivisors(config),
        missingHeads(config),
        config.attentionBias ? "biases in attention" : null,
        missingWindow(config),
      ),
  },
};
