/** Granite 3 and 4, the dense ones: Llama with four multipliers (Granite Team, arXiv:2405.04324; muP, arXiv:2203.03466). */
import * as z from "zod";
import type { ModelConfig } from "../config.ts";
import { type Family, GGUF_TENSORS, positiveNumber, readAttentionBias, writeAttentionBias } from "./family.ts";
import { missingWindow } from "./windows.ts";

const multiplier = z.number().positive().nullish();
const schema = z.looseObject({
  embedding_multiplier: multiplier,
  attention_multiplier: multiplier,
  residual_multiplier: multiplier,
  logits_scaling: multiplier,
});

/** Logits are divided in files and multiplied in the graph; rounded, so that a number survives both ways. */
const inverse = (value: number): number => Number((1 / value).toPrecision(15));

const scales = (config: ModelConfig) => {
  const { embeddingScale = 1, residualScale = 1, headSize, attentionScale = 1 / Math.sqrt(headSize) } = config;
  return { embeddingScale, residualScale, attentionScale, divisor: inverse(config.logitScale ?? 1) };
};

export const granite: Family = {
  name: "granite",
  huggingFace: {
    architecture: "GraniteForCausalLM",
    defaults: { kvHeads: null, contextLength: 2048, headSize: null },
    keys: ["embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling"],
    read(fields) {
      const own = fields.parse(schema);
      return {
        embeddingScale: own.embedding_multiplier ?? 1,
        attentionScale: own.attention_multiplier ?? 1,
        residualScale: own.residual_multiplier ?? 1,
        logitScale: inverse(own.logits_scaling ?? 1),
        ...readAttentionBias(fields),
      };
    },
    write(config) {
      const { embeddingScale, residualScale, attentionScale, divisor } = scales(config);
      return {
        embedding_multiplier: embeddingScale,
        attention_multiplier: attentionScale,
        residual_multiplier: residualScale,
        logits_scaling: divisor,
        ...writeAttentionBias(config),
        mlp_bias: false,
      };
    },
  },
  gguf: {
    architecture: "granite",
    interleaved: true,
    keys: ["embedding_scale", "residual_scale", "logit_scale", "attention.scale"],
    tensors: GGUF_TENSORS,
    read(fields, common) {
      const read = (key: string, otherwise: number): number => positiveNumber(fields, "granite", key, otherwise);
      return {
        embeddingScale: read("embedding_scale", 1),
        attentionScale: read("attention.scale", 1 / Math.sqrt(common.headSize)),
        residualScale: read("residual_scale", 1),
        logitScale: inverse(read("logit_scale", 1)),
      };
    },
    write(config) {
      const { embeddingScale, residualScale, attentionScale, divisor } = scales(config);
      return [
        ["embedding_scale", { f32: embeddingScale }],
        ["residual_scale", { f32: residualScale }],
        ["attention.scale", { f32: attentionScale }],
        ["logit_scale", { f32: divisor }],
      ];
    },
    missing: missingWindow,
  },
};
