/**
 * What a training run is told: objective, schedule, sizes. Defaults that have been tried, each with its trade. Checked when
 * a run begins; stored beside its results. Knows no flags.
 */
import * as z from "zod";
import { LORA_TARGETS, type LoraSettings } from "../model/lora.ts";

export interface TrainSettings {
  readonly objective: "ar" | "consistency";
  readonly points: "on-policy" | "stored";
  readonly consistency: "global" | "local" | "progressive";
  readonly loss: "hard" | "kl";
  readonly blockSize: number;
  readonly pointsPerExample: number;
  readonly refinements: number;
  readonly arWeight: number;
  readonly promptWeight: number;
  readonly labelSmoothing: number;
  readonly lora: LoraSettings | null;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly finalShare: number;
  readonly weightDecay: number;
  readonly clipNorm: number;
  readonly steps: number;
  readonly sequenceLength: number;
  readonly batch: number;
  readonly accumulate: number;
  readonly seed: number;
  readonly evaluateEvery: number;
  readonly checkpointEvery: number;
  readonly collapseLimit: number;
}

const positive = z.number().positive();
const share = z.number().min(0).max(1);
const count = z.int().min(1);

const loraSchema = z.strictObject({
  rank: count.max(1024),
  alpha: positive,
  targets: z.array(z.enum(LORA_TARGETS)).min(1),
});

export const trainSettingsSchema: z.ZodType<TrainSettings> = z.strictObject({
  /** `ar`: plain fine-tuning or pre-training. `consistency`: noisy points beside the clean text, and always its AR term. */
  objective: z.enum(["ar", "consistency"]).default("ar"),
  /** Where points come from: made from the student as it learns, or those of collected trajectories. */
  points: z.enum(["on-policy", "stored"]).default("on-policy"),
  /** What a point learns from: the fixed point, its successor, or the fixed point with noise that grows block by block. */
  consistency: z.enum(["global", "local", "progressive"]).default("global"),
  /** `hard`: the target's tokens. `kl`: the student's own distribution on the target, as the paper has it. */
  loss: z.enum(["hard", "kl"]).default("hard"),
  blockSize: z.int().min(2).max(256).default(16),
  /** Noisy points for each example and step. More teach more per token of clean text, and fill sequences sooner. */
  pointsPerExample: count.max(256).default(4),
  /** Passes of the student, at most, that refine a fresh on-policy point before it is learned from. */
  refinements: z.int().min(0).max(16).default(3),
  /** What the mean AR loss counts beside the mean consistency loss of 1. */
  arWeight: z.number().min(0).default(1),
  /** What a prompt token counts beside one of the completion; above 0 for pre-training. */
  promptWeight: z.number().min(0).default(0),
  labelSmoothing: share.default(0),
  /** An adapter instead of all weights; null for all weights. */
  lora: loraSchema.nullable().default(null),

  learningRate: positive.default(2e-4),
  warmupSteps: z.int().min(0).default(20),
  /** What is left of the learning rate at the end. */
  finalShare: share.default(0),
  weightDecay: z.number().min(0).default(0.01),
  /** Longest gradient; 0 for any. */
  clipNorm: z.number().min(0).default(1),

  /** Optimizer steps of the run. */
  steps: count.default(1000),
  /** Tokens of one sequence, into which examples are packed. */
  sequenceLength: z.int().min(8).default(512),
  /** Sequences in a pass. */
  batch: count.max(256).default(1),
  /** Passes before each step, whose gradients are added up. */
  accumulate: count.max(1024).default(1),
  seed: z.int().min(0).default(0),

  /** Steps between evaluations on the held-out part; 0 for the end only. */
  evaluateEvery: z.int().min(0).default(0),
  /** Steps between checkpoints. */
  checkpointEvery: count.default(100),
  /** Accuracy lost against the best evaluation, 0 to 1, that stops a run whose tokens per forward rise: it is collapsing. */
  collapseLimit: share.default(0.2),
});
