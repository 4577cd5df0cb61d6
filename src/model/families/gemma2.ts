/**
 * Gemma 2: norms before and behind both blocks, 1 + weight in norms, GELU, scaled embeddings, every second layer with a window,
 * and capped scores and logits (Gemma Team, arXiv:2408.00118, section 2).
 */
import * as z from "zod";
import type { ModelConfig } from "../config.ts";
import {
  allButEvery,
  type Family,
  firstMissing,
  GGUF_TENSORS,
  missingDivisors,
  positiveNumber,
  sameLayers,
} from "./family.ts";
import { readWindow, writeLayerTypes } from "./windows.ts";

const STEP = 2;
const WINDOW = 4096;
const ACTIVATION = "gelu_pytorch_tanh";

/** What all Gemmas have in common. */
export const GEMMA_BLOCKS = { normPlace: "both", normsAddOne: true, activation: "gelu" } as const;

export const GEMMA_TENSORS: Readonly<Record<string, string>> = {
  ...GGUF_TENSORS,
  post_attention_layernorm: "post_attention_norm",
  pre_feedforward_layernorm: "ffn_norm",
  post_feedforward_layernorm: "post_ffw_norm",
};

/** Keys of `config.json` that Gemmas share. */
export const GEMMA_KEYS: readonly string[] = [
  "query_pre_attn_scalar",
  "attn_logit_softcapping",
  "final_logit_softcapping",
];
const positive = z.number().positive();
const schema = z.looseObject({
  query_pre_attn_scalar: positive.nullish(),
  attn_logit_softcapping: positive.nullish(),
  final_logit_softcapping: positive.nullish(),
  use_bidirectional_attention: z.literal(false).nullish(),
  attention_bias: z.literal(false).nullish(),
});

/** The differences that Gemmas share. `caps`: those of the class where the file says nothing. */
export function readGemma(
  fields: Parameters<Family["huggingFace"]["read"]>[0],
  { hiddenSize }: ModelConfig,
  caps: { readonly attention: number | null; readonly logits: number | null },
): Partial<ModelConfig> {
  const own = fields.parse(schema);
  const attentionCap = own.attn_logit_softcapping === undefined ? caps.attention : own.attn_logit_softcapping;
  const logitCap = own.final_logit_softcapping === undefined ? caps.logits : own.final_logit_softcapping;
  return {
    ...GEMMA_BLOCKS,
    embeddingScale: Math.sqrt(hiddenSize),
    attentionScale: (own.query_pre_attn_scalar ?? 256) ** -0.5,
    ...(attentionCap !== null && { attentionCap }),
    ...(logitCap !== null && { logitCap }),
  };
}

export function writeGemma(config: ModelConfig): Record<string, unknown> {
  const { headSize, attentionScale = 1 / Math.sqrt(headSize), slidingWindow, attentionCap, logitCap } = config;
  return {
    hidden_act: ACTIVATION,
    hidden_activation: ACTIVATION,
    query_pre_attn_scalar: Number((attentionScale ** -2).toPrecision(12)),
    attn_logit_softcapping: attentionCap ?? null,
    final_logit_softcapping: logitCap ?? null,
    attention_bias: false,
    sliding_window: slidingWindow ?? config.contextLength,
    ...writeLayerTypes(config),
  };
}

/** What llama.cpp takes for granted of Gemmas: the layers with a window, and the scale of scores. */
export function missingGemma(config: ModelConfig, step: number): string | null {
  const { headSize, attentionScale = 1 / Math.sqrt(headSize), slidingWindow, slidingRopeTheta } = config;
  return firstMissing(
    missingDivisors(config),
    Math.abs(attentionScale * Math.sqrt(headSize) - 1) < 1e-6 ? null : `scale of scores of ${attentionScale}`,
    (slidingWindow === null && slidingRopeTheta === undefined) ||
      sameLayers(config, config.slidingLayers, allButEvery(config, step))
      ? null
      : `other full layers than every ${step}th`,
  );
}

export const gemma2: Family = {
  name: "gemma2",
  huggingFace: {
    architecture: "Gemma2ForCausalLM",
    defaults: { kvHeads: 4, contextLength: 8192, headSize: 256 },
    activation: ACTIVATION,
    keys: GEMMA_KEYS,
    read: (fields, common) => ({
      ...readGemma(fields, common, { attention: 50, logits: 30 }),
      ...readWindow(fields, common, allButEvery(common, STEP)),
    }),
    write: writeGemma,
  },
  gguf: {
    architecture: "gemma2",
    interleaved: false,
    normsWithOne: true,
    keys: ["attn_logit_softcapping", "final_logit_softcapping"],
    tensors: GEMMA_TENSORS,
    read(fields, common) {
      const window = fields.number("attention.sliding_window") ?? WINDOW;
      return {
        ...GEMMA_BLOCKS,
        embeddingScale: Math.sqrt(common.hiddenSize),
        attentionScale: common.headSize ** -0.5,
        attentionCap: positiveNumber(fields, "gemma2", "attn_logit_softcapping", 50),
        logitCap: positiveNumber(fields, "gemma2", "final_logit_softcapping", 30),
        ...(window < common.contextLength && { slidingWindow: window, slidingLayers: allButEvery(common, STEP) }),
      };
    },
    write: ({ attentionCap, logitCap, slidingWindow, contextLength }) => [
      ["attn_logit_softcapping", { f32: attentionCap ?? 0 }],
      ["final_logit_softcapping", { f32: logitCap ?? 0 }],
      ["attention.sliding_window", { u32: slidingWindow ?? contextLength }],
    ],
    missing: (config) =>
      firstMissing(
        missingGemma(config, STEP),
        config.attentionCap === undefined || config.logitCap === undefined ? "scores and logits without a cap" : null,
      ),
  },
};
