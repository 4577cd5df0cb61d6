/**
 * Rotary base and scaling in the words of `config.json`: `rope_parameters` of transformers 5, `rope_theta` and `rope_scaling` of
 * transformers 4, read and written. Reads no files.
 */
import { z } from "zod";
import type { ModelConfig, RopeScaling } from "../../model/config.ts";
import type { HuggingFaceFields } from "../../model/families/family.ts";
import { LIMITS } from "../config-limits.ts";

const positive = z.number().positive();
const length = z.number().int().min(1).max(LIMITS.contextLength);
const divisors = z.array(positive).max(LIMITS.headSize);

/** Factors are read where the type asks for them: a file may hold anything in those that nothing uses. */
const ropeSchema = z.looseObject({
  type: z.string().nullish(),
  rope_type: z.string().nullish(),
  rope_theta: positive.nullish(),
  original_max_position_embeddings: length.nullish(),
  partial_rotary_factor: positive.nullish(),
});
/** Of layers of several kinds, `rope_parameters` has those of each kind. */
const parametersSchema = ropeSchema.extend({ full_attention: ropeSchema.nullish() });

const schema = z.looseObject({
  rope_theta: positive.nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: parametersSchema.nullish(),
  original_max_position_embeddings: length.nullish(),
  partial_rotary_factor: positive.nullish(),
});

export interface Rope {
  readonly theta: number;
  readonly scaling: RopeScaling | null;
  /** The share of each head's channels that is rotated. */
  readonly partial: number;
  /** What the model can see with this scaling, where the configuration says less or more. */
  readonly contextLength: number;
}

/** Longer contexts make scores too flat, so they are sharpened (arXiv:2309.00071, section 3.4). */
const sharpened = (factor: number, scale = 1): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);

/** `contextLength` is `max_position_embeddings`, `theta` the class's base. */
export function readRope(
  fields: HuggingFaceFields,
  { contextLength, theta: classTheta }: { readonly contextLength: number; readonly theta: number },
): Rope {
  const raw = fields.parse(schema);
  const nested = raw.rope_parameters?.full_attention;
  const rope: z.infer<typeof ropeSchema> = { ...raw.rope_scaling, ...raw.rope_parameters, ...nested };
  const theta = rope.rope_theta ?? raw.rope_theta ?? classTheta;
  const type = rope.rope_type ?? rope.type ?? "default";
  const holder = nested || raw.rope_parameters ? "rope_parameters" : "rope_scaling";
  const read = <T extends z.ZodType>(key: string, schema: T): z.infer<T> | undefined => {
    const inner = nested ? z.looseObject({ full_attention: z.looseObject({ [key]: schema }) }) : undefined;
    const checked = inner ?? z.looseObject({ [key]: schema });
    if ((rope[key] ?? undefined) === undefined) return undefined;
    const at = raw.rope_parameters?.[key] === undefined && !nested ? "rope_scaling" : "rope_parameters";
    fields.parse(z.looseObject({ [at]: checked }));
    return rope[key] as z.infer<T>;
  };
  const need = <T extends z.ZodType>(key: string, schema: T): z.infer<T> => {
    const value = read(key, schema);
    if (value === undefined) throw fields.bad(`rope scaling of type ${type} lacks ${key}`);
    return value;
  };
  const original = (): number => {
    const value = rope.original_max_position_embeddings ?? raw.original_max_position_embeddings;
    if (!value) throw fields.bad(`rope scaling of type ${type} lacks original_max_position_embeddings`);
    return value;
  };
  const found = (scaling: RopeScaling | null, seen = contextLength): Rope => ({
    theta,
    scaling,
    partial: rope.partial_rotary_factor ?? raw.partial_rotary_factor ?? 1,
    contextLength: seen,
  });
  if (type === "default" || type === "dynamic") return found(null); // dynamic: from the context's end on
  if (type === "linear") return found({ type: "linear", factor: need("factor", positive) });
  if (type === "llama3") {
    const originalContextLength = original();
    const lowFrequencyFactor = need("low_freq_factor", positive);
    const highFrequencyFactor = need("high_freq_factor", positive);
    if (highFrequencyFactor <= lowFrequencyFactor) {
      throw fields.bad(`high_freq_factor ${highFrequencyFactor} must exceed low_freq_factor ${lowFrequencyFactor}`);
    }
    const factor = need("factor", positive);
    return found({ type, factor, lowFrequencyFactor, highFrequencyFactor, originalContextLength });
  }
  if (type === "longrope" || type === "su" || (type === "yarn" && rope["short_factor"] !== undefined)) {
    const [short, long] = [need("short_factor", divisors), need("long_factor", divisors)];
    const originalContextLength = original();
    const factor = read("factor", positive) ?? contextLength / originalContextLength;
    const flat = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalContextLength));
    const magnitude = read("attention_factor", positive) ?? flat;
    // Keys that were rotated by short factors do not go with long ones, so the context ends where those begin, unless more is asked for.
    const seen = Math.min(contextLength, originalContextLength);
    const lengths = { originalContextLength, longContextLength: contextLength };
    return found({ type: "longrope", short, long, ...lengths, magnitude }, seen);
  }
  if (type === "yarn") {
    const given = rope.original_max_position_embeddings ?? raw.original_max_position_embeddings;
    const originalContextLength = given ?? contextLength;
    const factor = read("factor", positive) ?? (given ? contextLength / given : need("factor", positive));
    const [scale, scaleAll] = [read("mscale", z.number()), read("mscale_all_dim", z.number())];
    const usual = scale && scaleAll ? sharpened(factor, scale) / sharpened(factor, scaleAll) : sharpened(factor);
    const scaling: RopeScaling = {
      ...{ type, factor, originalContextLength },
      fastTurns: read("beta_fast", positive) ?? 32,
      slowTurns: read("beta_slow", positive) ?? 1,
      magnitude: read("attention_factor", positive) ?? usual,
      wholeChannels: read("truncate", z.boolean()) ?? true,
    };
    return found(scaling, Math.max(contextLength, Math.round(factor * originalContextLength)));
  }
  throw fields.unsupported(
    `${holder}: rope scaling of type ${type} is not supported; default, dynamic, linear, llama3, yarn and longrope are`,
    "remove it to use the model within its original context",
  );
}

/** `rope_scaling`. Divisors have no words: they are named before. */
export function writeRopeScaling({ ropeScaling: scaling }: ModelConfig): Record<string, unknown> | null {
  if (scaling === null || scaling.type === "divisors") return null;
  if (scaling.type === "linear") return { rope_type: "linear", factor: scaling.factor };
  const original = { original_max_position_embeddings: scaling.originalContextLength };
  if (scaling.type === "longrope") {
    const { short, long, magnitude } = scaling;
    return { rope_type: "longrope", short_factor: short, long_factor: long, attention_factor: magnitude, ...original };
  }
  if (scaling.type === "yarn") {
    return {
      rope_type: "yarn",
      factor: scaling.factor,
      ...original,
      beta_fast: scaling.fastTurns,
      beta_slow: scaling.slowTurns,
      attention_factor: scaling.magnitude,
      ...(!scaling.wholeChannels && { truncate: false }),
    };
  }
  return {
    rope_type: "llama3",
    factor: scaling.factor,
    low_freq_factor: scaling.lowFrequencyFactor,
    high_freq_factor: scaling.highFrequencyFactor,
    ...original,
  };
}
