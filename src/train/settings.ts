/**
 * What a training run is told: objective, schedule, sizes. One entry is one option, with its type, default and a line of
 * help; the command makes its flags and its configuration file from the same entries, and a run stores what they came to
 * beside its results.
 */
import * as z from "zod";
import { CllmError } from "../error.ts";
import { check } from "../generate/check.ts";
import type { Fields } from "../generate/options.ts";
import type { ModelConfig } from "../model/config.ts";
import { LORA_TARGETS, type LoraSettings, type LoraTarget } from "../model/lora.ts";
import type { MedusaTraining } from "../model/training-graph.ts";

/** What the schedule, the batches and the losses are made from; each option is explained where its default stands. */
export interface TrainSettings extends Omit<TrainFields, "loraRank" | "loraAlpha" | "loraTargets" | MedusaField> {
  /** An adapter instead of all weights. */
  readonly lora: LoraSettings | null;
  /** Heads, for the objective `medusa` and no other. */
  readonly medusa?: MedusaSettings | undefined;
}

/** Which heads are trained, and how (Cai et al., arXiv:2401.10774, section 2.2). */
export interface MedusaSettings extends MedusaTraining {
  /** What the heads' losses count beside the model's own, lambda 0; 1 where the base is frozen. */
  readonly weight: number;
  /** What each head counts against the one before it, the first one against 1. */
  readonly decay: number;
  /** Steps in which only the heads are trained. */
  readonly warmup: number;
  /** The heads' learning rate, as a multiple of the model's. */
  readonly rate: number;
}

type MedusaField = Extract<keyof TrainFields, `medusa${string}`>;

/** The same, flat. */
export interface TrainFields {
  readonly objective: "ar" | "consistency" | "medusa";
  readonly lossless: boolean;
  readonly points: "on-policy" | "stored";
  readonly consistency: "global" | "local" | "progressive";
  readonly loss: "hard" | "kl";
  readonly blockSize: number;
  readonly pointsPerExample: number;
  readonly refinements: number;
  readonly draftToken: number | undefined;
  readonly leadingPoints: number;
  readonly rowDecay: number;
  readonly arWeight: number;
  readonly promptWeight: number;
  readonly labelSmoothing: number;
  readonly loraRank: number;
  readonly loraAlpha: number | undefined;
  readonly loraTargets: readonly LoraTarget[];
  readonly medusaNumHeads: number;
  readonly medusaNumLayers: number;
  readonly medusaLinear: "shared" | "own";
  readonly medusaBase: "frozen" | "trained";
  readonly medusaWeight: number;
  readonly medusaDecay: number;
  readonly medusaWarmup: number;
  readonly medusaRate: number;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly finalShare: number;
  readonly weightDecay: number;
  readonly clipNorm: number;
  readonly steps: number;
  readonly sequenceLength: number;
  readonly batch: number;
  readonly keepTogether: number;
  readonly accumulate: number;
  readonly seed: number;
  readonly evaluateEvery: number;
  readonly checkpointEvery: number;
  readonly collapseLimit: number;
}

const amount = z.number().min(0);
const share = z.number().min(0).max(1);
const count = z.int().min(1);
const say = (description: string, placeholder?: string) =>
  placeholder === undefined ? { description } : { description, placeholder };

export const trainFields: Fields<TrainFields> = {
  objective: z
    .enum(["ar", "consistency", "medusa"])
    .default("ar")
    .meta(
      say(
        "ar: plain fine-tuning; consistency: noisy points beside the clean text; medusa: heads that guess further tokens",
      ),
    ),
  lossless: z
    .boolean()
    .default(false)
    .meta(say("train a draft adapter: it guesses, and the model, which stays as it is, decides in the same pass")),
  points: z
    .enum(["on-policy", "stored"])
    .default("on-policy")
    .meta(say("noisy points made from the student as it learns, or those of collected trajectories")),
  consistency: z
    .enum(["global", "local", "progressive"])
    .default("global")
    .meta(say("a point learns the fixed point, its successor, or the fixed point with noise that grows by block")),
  loss: z
    .enum(["hard", "kl"])
    .default("hard")
    .meta(say("learn the target's tokens, or the student's own distribution on clean text as the paper does")),
  blockSize: z.int().min(2).max(256).default(16).meta(say("tokens solved for together", "tokens")),
  pointsPerExample: count
    .max(256)
    .default(4)
    .meta(say("noisy points for each example and step; more teach more per clean token")),
  leadingPoints: z
    .int()
    .min(0)
    .max(256)
    .default(0)
    .meta(
      say("of these, so many begin right behind the prompt; decoders then let a first draft ride in the prompt's pass"),
    ),
  refinements: z
    .int()
    .min(0)
    .max(16)
    .default(3)
    .meta(say("passes, at most, by which the student refines a fresh point before it learns from it", "passes")),
  draftToken: z
    .int()
    .min(0)
    .optional()
    .meta(
      say("fill fresh points with this token, which the model then keeps for decoding; default: prompt tokens", "id"),
    ),
  rowDecay: share
    .default(1)
    .meta(say("what each row of a point counts against the one before it, from the first wrong guess on", "share")),
  arWeight: amount.default(1).meta(say("what the AR loss counts beside a consistency loss of 1")),
  promptWeight: amount.default(0).meta(say("what a prompt token counts beside one of the answer; for pre-training")),
  labelSmoothing: share.default(0).meta(say("share of the target spread over the vocabulary", "share")),
  loraRank: z.int().min(0).max(1024).default(0).meta(say("train a LoRA adapter of this rank; 0 trains all weights")),
  loraAlpha: z
    .number()
    .positive()
    .optional()
    .meta(say("what the adapter counts, over its rank; default: twice the rank")),
  loraTargets: z
    .array(z.enum(LORA_TARGETS))
    .min(1)
    .default([...LORA_TARGETS])
    .meta(say("matrices that get an adapter; default: all", "name")),
  medusaNumHeads: count.max(16).default(4).meta(say("Medusa heads: head k guesses k tokens further", "heads")),
  medusaNumLayers: count.max(8).default(1).meta(say("residual blocks of each head", "blocks")),
  medusaLinear: z
    .enum(["shared", "own"])
    .default("shared")
    .meta(say("heads share the model's matrix to the vocabulary, or each has one, which begins as a copy of it")),
  medusaBase: z
    .enum(["frozen", "trained"])
    .default("frozen")
    .meta(say("frozen: only the heads are trained (Medusa-1); trained: the model or its LoRA too (Medusa-2)")),
  medusaWeight: amount.default(0.2).meta(say("what the heads' losses count beside the model's own, for Medusa-2")),
  medusaDecay: share.default(0.8).meta(say("what each head counts against the one before it", "share")),
  medusaWarmup: z
    .int()
    .min(0)
    .default(100)
    .meta(say("steps in which only the heads are trained, for Medusa-2", "steps")),
  medusaRate: amount.default(4).meta(say("the heads' learning rate as a multiple of the model's, for Medusa-2")),
  learningRate: z.number().positive().default(2e-4).meta(say("at its peak")),
  warmupSteps: z.int().min(0).default(20).meta(say("steps until the peak", "steps")),
  finalShare: share.default(0).meta(say("what half a cosine leaves of the peak at the end", "share")),
  weightDecay: amount.default(0.01).meta(say("decoupled, of matrices")),
  clipNorm: amount.default(1).meta(say("longest gradient; 0 for any")),
  steps: count.default(1000).meta(say("optimizer steps of the run", "steps")),
  sequenceLength: z
    .int()
    .min(8)
    .default(512)
    .meta(say("tokens of a sequence, into which examples are packed", "tokens")),
  batch: count.max(256).default(1).meta(say("sequences in a pass")),
  keepTogether: count
    .max(1024)
    .default(1)
    .meta(
      say(
        "examples that stay in a row when the order is drawn, so that they can share a prompt's beginning",
        "examples",
      ),
    ),
  accumulate: count.max(1024).default(1).meta(say("passes before each step")),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(0)
    .meta(say("of order, drafts and fresh weights")),
  evaluateEvery: z.int().min(0).default(100).meta(say("steps between evaluations; 0 for the end only", "steps")),
  checkpointEvery: count.default(100).meta(say("steps between checkpoints", "steps")),
  collapseLimit: share
    .default(0.2)
    .meta(say("accuracy lost against the best, while tokens per forward rise, that stops the run", "share")),
};

/** The model as it comes out of training: one whose fresh points were a token drafts that token, where it saw it. */
export function trainedConfig(
  config: ModelConfig,
  settings: Pick<TrainSettings, "draftToken" | "leadingPoints" | "objective" | "lossless">,
): ModelConfig {
  const { draftToken: draftTokenId, leadingPoints, objective, lossless } = settings;
  if (objective === "medusa") return config;
  if (lossless) {
    const { draftTokenId: _, leadingDraft: __, ...base } = config; // draft rows are no part of the prompt's pass
    return draftTokenId === undefined ? base : { ...base, draftTokenId };
  }
  if (draftTokenId === undefined) return config;
  const { leadingDraft = false, ...rest } = config;
  const leads = objective === "ar" ? leadingDraft : leadingPoints > 0;
  return { ...rest, draftTokenId, ...(leads && { leadingDraft: true }) };
}

const schema = z.strictObject(trainFields);

/**
 * Checks options and fills in defaults. Throws `usage`.
 *
 * @example const settings = trainSettings({ objective: "consistency", steps: 500, loraRank: 16 });
 */
export function trainSettings(
  options: { readonly [K in keyof TrainFields]?: TrainFields[K] | undefined },
): TrainSettings {
  const checked = check(schema, options, { what: "train" }) as TrainFields;
  const { medusaNumHeads: heads, medusaNumLayers: layers, medusaLinear, medusaBase: base, ...others } = checked;
  const { medusaWeight, medusaDecay: decay, medusaWarmup: warmup, medusaRate: rate, ...flat } = others;
  const { loraRank, loraAlpha, loraTargets, ...rest } = flat;
  const alpha = loraAlpha ?? 2 * loraRank;
  if (rest.lossless && rest.objective !== "consistency")
    throw new CllmError("usage", `lossless training is of objective consistency, not ${rest.objective}: give that too`);
  if (rest.lossless && loraRank === 0)
    throw new CllmError("usage", "lossless training makes an adapter beside the model: give loraRank, such as 16");
  if (rest.lossless && (rest.points === "stored" || rest.loss === "kl" || rest.consistency !== "global"))
    throw new CllmError(
      "usage",
      "lossless training knows on-policy points, loss hard and consistency global: omit others",
    );
  if (rest.objective === "medusa" && base === "frozen" && loraRank > 0)
    throw new CllmError(
      "usage",
      "with a frozen base only heads are trained: omit loraRank, or give medusaBase trained",
    );
  const frozen = base === "frozen";
  const medusa: MedusaSettings = {
    ...{ heads, layers, ownLinear: medusaLinear === "own", bias: true, base, decay },
    ...(frozen ? { weight: 1, warmup: 0, rate: 1 } : { weight: medusaWeight, warmup, rate }),
  };
  return {
    ...rest,
    lora: loraRank === 0 ? null : { rank: loraRank, alpha, targets: loraTargets },
    ...(rest.objective === "medusa" && { medusa }),
  };
}

/**
 * Which settings these leave without a use, each with why: a part of another objective, of other points, or of an adapter that is
 * not trained. A caller who gives one of them means something else.
 */
export function unusedSettings(
  settings: Pick<TrainFields, "objective" | "points" | "consistency" | "loraRank"> &
    Partial<Pick<TrainFields, "lossless" | "medusaBase">> & { readonly fromAdapter?: unknown },
): { readonly [K in keyof TrainFields]?: string } {
  const { objective, points, consistency, loraRank, fromAdapter, lossless = false, medusaBase = "frozen" } = settings;
  const all = (keys: readonly (keyof TrainFields)[], why: string) => Object.fromEntries(keys.map((key) => [key, why]));
  return {
    ...(loraRank === 0 && fromAdapter === undefined && all(["loraAlpha", "loraTargets"], "no adapter is trained")),
    ...(lossless && all(["arWeight", "promptWeight"], "lossless training has no AR loss")),
    ...(objective !== "consistency" && all(CONSISTENCY_ONLY, "it is for the objective consistency")),
    ...(objective !== "medusa" && all(MEDUSA, "it is for the objective medusa")),
    ...(objective === "medusa" && all(["labelSmoothing"], "heads learn their tokens as they are")),
    ...(objective === "medusa" && medusaBase === "frozen" && all(MEDUSA_2, "it is for medusaBase trained")),
    ...(objective === "consistency" && points === "stored" && all(FRESH_ONLY, "it is for on-policy points")),
    ...(objective === "consistency" &&
      points === "on-policy" &&
      consistency !== "global" &&
      all(["consistency"], `${consistency} is for stored points`)),
  };
}

const MEDUSA_2 = ["medusaWeight", "medusaWarmup", "medusaRate"] as const satisfies readonly (keyof TrainFields)[];
const MEDUSA: readonly (keyof TrainFields)[] = [
  ...(["medusaNumHeads", "medusaNumLayers", "medusaLinear", "medusaBase", "medusaDecay"] as const),
  ...MEDUSA_2,
];
const CONSISTENCY_ONLY = [
  ...["points", "consistency", "loss", "pointsPerExample", "leadingPoints", "refinements", "rowDecay", "arWeight"],
] as (keyof TrainFields)[];
const FRESH_ONLY = ["leadingPoints", "refinements"] as const satisfies readonly (keyof TrainFields)[];
