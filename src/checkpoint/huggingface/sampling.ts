/**
 * The sampling that `generation_config.json` asks for. Knows its keys, and the defaults that transformers has for those that
 * are absent. Reads no files.
 */
import * as z from "zod";
import type { ModelSampling } from "../checkpoint.ts";

const DEFAULTS = { temperature: 1, top_k: 50, top_p: 1, min_p: 0 }; // of transformers, where it samples at all
const NOT_BUILT: Readonly<Record<string, number>> = {
  ...{ repetition_penalty: 1, encoder_repetition_penalty: 1, no_repeat_ngram_size: 0, penalty_alpha: 0 },
  ...{ typical_p: 1, epsilon_cutoff: 0, eta_cutoff: 0 },
};

const number = z.number().finite();
const schema = z.looseObject({
  do_sample: z.boolean().nullish().catch(null),
  temperature: number.min(0).max(100).nullish().catch(null),
  top_k: number.int().min(0).nullish().catch(null),
  top_p: number.gt(0).max(1).nullish().catch(null),
  min_p: number.min(0).max(1).nullish().catch(null),
});

/**
 * null where nothing is sampled. An invalid value counts as absent: the file is read mainly for its ids, and its
 * sampling may not have been asked for.
 */
export function readSampling(generation: Record<string, unknown> | null): ModelSampling | null {
  if (generation === null) return null;
  const { do_sample, temperature, top_k, top_p, min_p } = schema.parse(generation);
  const given = [temperature, top_k, top_p, min_p].some((value) => value != null);
  if (do_sample === false || temperature === 0 || !(do_sample || given)) return null;
  return {
    temperature: temperature ?? DEFAULTS.temperature,
    topK: top_k ?? DEFAULTS.top_k,
    topP: top_p ?? DEFAULTS.top_p,
    minP: min_p ?? DEFAULTS.min_p,
    ignored: Object.keys(NOT_BUILT).filter((key) => (generation[key] ?? NOT_BUILT[key]) !== NOT_BUILT[key]),
  };
}
