/**
 * Granite 3 and 4, the dense ones: Llama with four multipliers (Granite Team, arXiv:2405.04324; muP, arXiv:2203.03466). Granite 4 is
 * a hybrid class in Hugging Face's words, whose dense models have attention in every layer and one shared feed-forward block.
 */
import * as z from "zod";
import type { ModelConfig } from "../config.ts";
import {
  type Family,
  GGUF_TENSORS,
  type HuggingFaceFields,
  positiveNumber,
  readAttentionBias,
  writeAttentionBias,
} from "./family.ts";
import { missingWindow } from "./windows.ts";

const multiplier = z.number().positive().nullish();
const schema = z.looseObject({
  embedding_multiplier: multiplier,
  attention_multiplier: multiplier,
  residual_multiplier: multiplier,
  logits_scaling: multiplier,
});

const HYBRID = "granitemoehybrid";
const hybridSchema = z.looseObject({
  model_type: z.string().nullish(),
  num_local_experts: z.number().nullish(),
  layer_types: z.array(z.string()).nullish(),
  position_embedding_type: z.string().nullish(),
  shared_intermediate_size: z.number().int().min(1).nullish(),
});

/** What the hybrid class says of a dense model. Throws `unsupported` for any other. */
function readHybrid(fields: HuggingFaceFields): Partial<ModelConfig> {
  const own = fields.parse(hybridSchema);
  if (own.model_type !== HYBRID) return {};
  const refuse = (problem: string) => fields.unsupported(problem, "use a dense Granite 4, such as granite-4.0-micro");
  const { num_local_experts: experts = 8, layer_types: types, position_embedding_type: positions } = own;
  if (experts !== 0) throw refuse(`num_local_experts is ${experts}; only 0 is supported`);
  const other = types ? types.find((type) => type !== "attention" && type !== "full_attention") : "mamba"; // the class's
  if (other !== undefined) throw refuse(`layer_types names ${other}; only attention is supported`);
  if (positions !== "rope") throw refuse(`position_embedding_type is ${positions ?? null}; only rope is supported`);
  return { intermediateSize: own.shared_intermediate_size ?? 1024 };
}

/** Logits are divided in files and multiplied in the graph; rounded, so that a number survives both ways. */
const inverse = (value: number): number => Number((1 / value).toPrecision(15));

const scales = (config: ModelConfig) => {
  const { embeddingScale = 1, residualScale = 1, headSize, attentionScale = 1 / Math.sqrt(headSize) } = config;
  return { embeddingScale, residualScale, attentionScale, divisor: inverse(config.logitScale ?? 1) };
};

export const granite: Family = {
  name: "granite",
  huggingFace: {
    aliases: [HYBRID],
    packed: {
      "shared_mlp.input_linear": ["mlp.gate_proj", "mlp.up_proj"],
      "shared_mlp.output_linear": ["mlp.down_proj"],
    },
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
        ...readHybrid(fields),
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
