/**
 * Gemma 3, the text models: Gemma 2 with norms over queries and keys instead of caps, five layers with a window for one without,
 * and a rotary base of their own for those with one (Gemma Team, arXiv:2503.19786, section 2).
 */
import * as z from "zod";
import { allButEvery, type Family, firstMissing } from "./family.ts";
import { GEMMA_BLOCKS, GEMMA_KEYS, GEMMA_TENSORS, missingGemma, readGemma, writeGemma } from "./gemma2.ts";
import { readLayerTypes, readWindow } from "./windows.ts";

const STEP = 6;
const LOCAL_THETA = 10_000;
const positive = z.number().positive();
const schema = z.looseObject({
  rope_local_base_freq: positive.nullish(),
  rope_parameters: z
    .looseObject({ sliding_attention: z.looseObject({ rope_theta: positive.nullish() }).nullish() })
    .nullish(),
  sliding_window_pattern: z.number().int().min(1).nullish(),
});

export const gemma3: Family = {
  name: "gemma3_text",
  huggingFace: {
    architecture: "Gemma3ForCausalLM",
    defaults: { kvHeads: 4, contextLength: 131_072, headSize: 256, ropeTheta: 1_000_000 },
    activation: "gelu_pytorch_tanh",
    keys: [...GEMMA_KEYS, "rope_local_base_freq", "sliding_window_pattern"],
    read(fields, common) {
      const own = fields.parse(schema);
      // Layers of a window that is as long as the context still have their own rotary base.
      const slidingLayers = readLayerTypes(fields, common) ?? allButEvery(common, own.sliding_window_pattern ?? STEP);
      return {
        ...readGemma(fields, common, { attention: null, logits: null }),
        queryKeyNorm: true,
        slidingRopeTheta: own.rope_local_base_freq ?? own.rope_parameters?.sliding_attention?.rope_theta ?? LOCAL_THETA,
        ...readWindow(fields, common, slidingLayers),
        slidingLayers,
      };
    },
    write: (config) => ({ ...writeGemma(config), rope_local_base_freq: config.slidingRopeTheta ?? LOCAL_THETA }),
  },
  gguf: {
    architecture: "gemma3",
    interleaved: false,
    normsWithOne: true,
    keys: ["attention.sliding_window_pattern", "rope.freq_base_swa", "final_logit_softcapping"],
    tensors: GEMMA_TENSORS,
    read(fields, common) {
      const flags = fields.layers("attention.sliding_window_pattern");
      const step = flags === null ? (fields.number("attention.sliding_window_pattern") ?? STEP) : STEP;
      const logitCap = fields.number("final_logit_softcapping");
      if (fields.number("attention.sliding_window") === null) {
        throw fields.bad("metadata gemma3.attention.sliding_window is missing: how far layers look back is not known");
      }
      return {
        ...GEMMA_BLOCKS,
        queryKeyNorm: true,
        embeddingScale: Math.sqrt(common.hiddenSize),
        attentionScale: common.headSize ** -0.5,
        slidingRopeTheta: fields.number("rope.freq_base_swa") ?? LOCAL_THETA,
        slidingLayers: flags?.map((flag) => flag !== 0) ?? allButEvery(common, step),
        ...(logitCap !== null && logitCap !== 0 && { logitCap }),
      };
    },
    write: ({ slidingWindow, contextLength, slidingRopeTheta, logitCap }) => [
      ["attention.sliding_window", { u32: slidingWindow ?? contextLength }],
      ["rope.freq_base_swa", { f32: slidingRopeTheta ?? LOCAL_THETA }],
      ...(logitCap === undefined ? [] : ([["final_logit_softcapping", { f32: logitCap }]] as const)),
    ],
    missing: (config) =>
      firstMissing(
        missingGemma(config, STEP),
        config.attentionCap === undefined ? null : "cap on scores",
        (config.slidingRopeTheta ?? LOCAL_THETA) === LOCAL_THETA ? null : "other rotary base in layers with a window",
      ),
  },
};
