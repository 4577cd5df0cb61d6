/**
 * Phi-3 mini and medium, Phi-3.5 mini, Phi-4 and Phi-4-mini: Llama with packed projections; some rotate a share of each head's
 * channels, by frequencies that follow from the length of the context (Abdin et al., arXiv:2404.14219).
 */
import * as z from "zod";
import { type Family, firstMissing, missingDivisors, missingHeads } from "./family.ts";
import { missingWindow, readWindow } from "./windows.ts";

const schema = z.looseObject({ sliding_window: z.unknown().optional() });

export const phi3: Family = {
  name: "phi3",
  partialRotation: true,
  huggingFace: {
    architecture: "Phi3ForCausalLM",
    defaults: { kvHeads: null, contextLength: 4096, headSize: null, normEpsilon: 1e-5 },
    keys: [],
    read(fields, common) {
      const none = (fields.parse(schema).sliding_window ?? null) === null;
      return { packedProjections: true, ...(none ? { slidingWindow: null } : readWindow(fields, common)) };
    },
    write({ slidingWindow, ropeScaling, contextLength }) {
      const original = ropeScaling?.type === "longrope" ? ropeScaling.originalContextLength : contextLength;
      return { sliding_window: slidingWindow, original_max_position_embeddings: original };
    },
  },
  gguf: {
    architecture: "phi3",
    interleaved: false,
    keys: [],
    strips: (token) => /^<(?:\|.*\||\/s)>$/.test(token) && token !== "<|endoftext|>",
    tensors: {
      input_layernorm: "attn_norm",
      "self_attn.qkv_proj": "attn_qkv",
      "self_attn.o_proj": "attn_output",
      post_attention_layernorm: "ffn_norm",
      "mlp.gate_up_proj": "ffn_up",
      "mlp.down_proj": "ffn_down",
    },
    read: () => ({ packedProjections: true }),
    write: () => [],
    missing: (config) => firstMissing(missingDivisors(config), missingHeads(config), missingWindow(config)),
  },
};
