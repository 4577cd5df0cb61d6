/** SmolLM3: Llama without rotation in every fourth layer (Yang et al., arXiv:2501.18795, section 3). */
import * as z from "zod";
import {
  allButEvery,
  type Family,
  firstMissing,
  GGUF_TENSORS,
  missingDivisors,
  readAttentionBias,
  sameLayers,
  writeAttentionBias,
} from "./family.ts";
import { missingWindow, readLaterWindow, writeLaterWindow } from "./windows.ts";

const STEP = 4;
const schema = z.looseObject({
  no_rope_layers: z.array(z.union([z.literal(0), z.literal(1)])).nullish(), // one where a layer rotates
  no_rope_layer_interval: z.number().int().min(1).nullish(),
});

export const smollm3: Family = {
  name: "smollm3",
  huggingFace: {
    architecture: "SmolLM3ForCausalLM",
    defaults: { kvHeads: 4, contextLength: 32_768, headSize: null, ropeTheta: 2_000_000 },
    keys: ["no_rope_layers", "no_rope_layer_interval"],
    read(fields, common) {
      const { no_rope_layers: flags, no_rope_layer_interval: step } = fields.parse(schema);
      if (flags && flags.length < common.layers) {
        throw fields.bad(`no_rope_layers has ${flags.length} entries for ${common.layers} layers`);
      }
      const rotatedLayers = flags
        ? flags.slice(0, common.layers).map((flag) => flag === 1)
        : allButEvery(common, step ?? STEP);
      return { rotatedLayers, ...readAttentionBias(fields), ...readLaterWindow(fields, common) };
    },
    write: (config) => ({
      ...writeAttentionBias(config),
      mlp_bias: false,
      no_rope_layers: Array.from({ length: config.layers }, (_, i) => Number(config.rotatedLayers?.[i] ?? true)),
      ...writeLaterWindow(config),
    }),
  },
  gguf: {
    architecture: "smollm3",
    interleaved: true,
    keys: [],
    tensors: GGUF_TENSORS,
    read: (_fields, common) => ({ rotatedLayers: allButEvery(common, STEP) }),
    write: () => [],
    missing: (config) =>
      firstMissing(
        missingDivisors(config),
        sameLayers(config, config.rotatedLayers, allButEvery(config, STEP))
          ? null
          : `other layers without rotation than every ${STEP}th`,
        config.attentionBias ? "biases in attention" : null,
        missingWindow(config),
      ),
  },
};
