/**
 * The training loop: batches in, steps out, with evaluations, checkpoints and the brakes. One generator for every consumer; it
 * writes below its folder only. A run that was interrupted at any moment goes on from its last checkpoint and ends with the
 * weights, bit for bit, that it would have had. Knows no text, no flags and no terminal.
 */
import { CllmError } from "../error.ts";
import type { NamedTensor } from "../model/memory-weights.ts";
import { makeBatch } from "./batch.ts";
import { checkpointFolder, loadCheckpoint, type RunState, saveCheckpoint } from "./checkpoints.ts";
import type { Evaluation } from "./evaluate.ts";
import { packLength, totalWeights } from "./pack.ts";
import { learningRateAt } from "./schedule.ts";
import type { TrainSettings } from "./settings.ts";
import type { ExampleSource } from "./source.ts";
import type { Gradients, Trainer } from "./trainer.ts";

/** One step, as logged. */
export interface StepRecord {
  readonly type: "step";
  readonly step: number;
  /** The loss that was minimized. */
  readonly loss: number;
  /** Mean cross entropies of the step's rows, weighted as in the loss, by term; null where it had none. */
  readonly arLoss: number | null;
  readonly consistencyLoss: number | null;
  /** Before clipping. */
  readonly gradientNorm: number;
  readonly learningRate: number;
  /** Tokens that went through in this step. */
  readonly tokens: number;
  readonly seconds: number;
  /** Examples that were longer than a sequence. */
  readonly skipped: number;
}

export interface EvaluationRecord extends Evaluation {
  readonly type: "evaluation";
  readonly step: number;
  readonly best: boolean;
  readonly seconds: number;
}

export type TrainRecord = StepRecord | EvaluationRecord;

export interface TrainOptions {
  /** Where checkpoints go; null keeps none. */
  readonly folder: string | null;
  /** Measures the present weights; without it nothing is evaluated. */
  readonly evaluate?: (step: number) => Promise<Evaluation>;
  /** Called with the weights of a new best evaluation, before it is reported. */
  readonly onBest?: (tensors: readonly NamedTensor[], step: number, evaluation: Evaluation) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Trains until the last step. On abort a checkpoint is written before `aborted` is thrown. Throws `diverged` where a loss is
 * not finite or the model collapses, with the last good checkpoint in place.
 */
export async function* train(
  trainer: Trainer,
  source: ExampleSource,
  settings: TrainSettings,
  { folder, evaluate, onBest, signal }: TrainOptions,
): AsyncGenerator<TrainRecord, RunState, void> {
  const { parameters } = trainer;
  const checkpoints = folder === null ? null : checkpointFolder(folder);
  const resumed = checkpoints === null ? null : await loadCheckpoint(checkpoints, parameters);
  let state: RunState = resumed ?? { step: 0, place: 0, tokens: 0, seconds: 0, best: null, peak: null };
  trainer.steps = state.step;
  let saved = state.step;
  const save = async (): Promise<void> => {
    if (checkpoints === null || saved === state.step) return;
    await saveCheckpoint(checkpoints, parameters, state);
    saved = state.step;
  };

  /** Measure, keep the best, and stop a collapse. */
  const measure = async (run: NonNullable<typeof evaluate>): Promise<EvaluationRecord> => {
    const start = performance.now();
    const evaluation = await run(state.step);
    const { accuracy, tokensPerForward } = evaluation;
    const { best: before, peak } = state;
    if (
      peak !== null &&
      tokensPerForward > peak.tokensPerForward &&
      accuracy < peak.accuracy - settings.collapseLimit
    ) {
      throw new CllmError(
        "diverged",
        `the model is collapsing at step ${state.step}: ${tokensPerForward.toFixed(2)} tokens per forward, but accuracy fell ` +
          `from ${peak.accuracy.toFixed(3)} to ${accuracy.toFixed(3)}, more than ${settings.collapseLimit}; the weights of ` +
          `step ${before?.step} are kept: raise arWeight or lower the learning rate`,
      );
    }
    if (peak === null || accuracy > peak.accuracy) state = { ...state, peak: { accuracy, tokensPerForward } };
    const best = before === null || score(evaluation) > score(before);
    if (best) {
      await onBest?.(parameters.trained, state.step, evaluation);
      state = { ...state, best: { step: state.step, accuracy, tokensPerForward } };
    }
    return { type: "evaluation", step: state.step, ...evaluation, best, seconds: (performance.now() - start) / 1000 };
  };

  while (state.step < settings.steps) {
    if (signal?.aborted) {
      await save();
      throw new CllmError("aborted", `training was stopped after step ${state.step}`, { cause: signal.reason });
    }
    const record = await trainStep(trainer, source, settings, state);
    state = {
      ...state,
      step: state.step + 1,
      place: record.place,
      tokens: state.tokens + record.step.tokens,
      seconds: state.seconds + record.step.seconds,
    };
    const last = state.step === settings.steps;
    yield record.step;
    const due = settings.evaluateEvery > 0 && state.step % settings.evaluateEvery === 0;
    if (evaluate !== undefined && (due || last)) yield await measure(evaluate);
    if (last || state.step % settings.checkpointEvery === 0) await save();
  }
  return state;
}

/** What the best weights are chosen by: one per cent more right answers counts as much as two per cent more speed. */
const score = ({ accuracy, tokensPerForward }: Pick<Evaluation, "accuracy" | "tokensPerForward">): number =>
  accuracy * Math.sqrt(tokensPerForward);

async function trainStep(
  trainer: Trainer,
  source: ExampleSource,
  settings: TrainSettings,
  { step, place }: RunState,
): Promise<{ step: StepRecord; place: number }> {
  const start = performance.now();
  const batches = [];
  let [next, skipped] = [place, 0];
  for (let i = 0; i < settings.accumulate; i++) {
    const batch = await makeBatch(trainer, source, next, settings);
    batches.push(batch.packs);
    next = batch.next;
    skipped += batch.skipped;
  }
  const totals = totalWeights(batches.flat());
  const factors = {
    ar: totals.ar > 0 ? (settings.objective === "ar" ? 1 : settings.arWeight) / totals.ar : 0,
    consistency: totals.consistency > 0 ? 1 / totals.consistency : 0,
  };
  let sum: Gradients | null = null;
  const means = { ar: [0, 0], consistency: [0, 0] } satisfies Record<string, [number, number]>;
  for (const packs of batches) {
    const gradients = await trainer.gradients(packs, factors);
    const { crossEntropies, layout } = gradients;
    const { weights, divergenceWeights } = layout;
    for (const [row, term] of layout.terms.entries()) {
      const mean = means[term];
      const weight = (weights[row] as number) + (divergenceWeights[row] as number);
      mean[0] = (mean[0] as number) + weight * (crossEntropies[row] as number);
      mean[1] = (mean[1] as number) + weight;
    }
    sum = sum === null ? gradients : trainer.add(sum, gradients);
  }
  const { loss } = sum as Gradients;
  if (!Number.isFinite(loss)) {
    throw new CllmError("diverged", `the loss of step ${step + 1} is ${loss}: lower the learning rate and resume`);
  }
  const learningRate = learningRateAt(step + 1, { ...settings, totalSteps: settings.steps });
  const { weightDecay, clipNorm } = settings;
  const gradientNorm = trainer.step(sum as Gradients, { learningRate, weightDecay, clipNorm });
  const mean = ([total, weight]: readonly number[]): number | null =>
    weight === 0 ? null : (total as number) / (weight as number);
  return {
    place: next,
    step: {
      type: "step",
      step: step + 1,
      loss,
      arLoss: mean(means.ar),
      consistencyLoss: mean(means.consistency),
      gradientNorm,
      learningRate,
      tokens: batches.flat().reduce((tokens, pack) => tokens + packLength(pack), 0),
      seconds: (performance.now() - start) / 1000,
      skipped,
    },
  };
}
