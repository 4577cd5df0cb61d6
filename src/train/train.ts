/**
 * The training loop: batches in, steps out, with evaluations, checkpoints and the brakes. One generator for every consumer; it
 * writes below its folder only. A run that was interrupted at any moment goes on from its last checkpoint and ends with the
 * weights, bit for bit, that it would have had. Knows no text, no flags and no terminal.
 */
import { CllmError } from "../error.ts";
import { isHeadTensor } from "../model/medusa.ts";
import type { NamedTensor } from "../model/memory-weights.ts";
import { makeBatch } from "./batch.ts";
import { checkpointFolder, loadCheckpoint, type RunState, saveCheckpoint, updateCheckpoint } from "./checkpoints.ts";
import { aimOf, isBetter, type Measured } from "./choice.ts";
import type { Evaluation } from "./evaluate.ts";
import { headTotals } from "./head-targets.ts";
import { packLength, totalWeights } from "./pack.ts";
import { learningRateAt } from "./schedule.ts";
import type { MedusaSettings, TrainSettings } from "./settings.ts";
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
  /** Of Medusa heads, by head: the mean cross entropy; null where a head had no target. Only with heads. */
  readonly headLosses?: readonly (number | null)[];
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
  /** It is the best so far; see `isBetter`. */
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

const BEGINNING: RunState = { step: 0, place: 0, tokens: 0, seconds: 0, best: null, last: null, peak: null };

/**
 * Trains until the last step. The weights are saved before they are evaluated, and on abort before `aborted` is thrown, so that
 * whatever ends a run loses the steps since then and no others. Throws `diverged` where a loss is not finite, before any weight
 * is changed, or where the model collapses; the best weights before that were given to `onBest`.
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
  if (resumed !== null) await trainer.bring();
  let state = resumed ?? BEGINNING;
  let saved = state.step;
  const save = async (): Promise<void> => {
    if (checkpoints === null || saved === state.step) return;
    await trainer.fetch();
    await saveCheckpoint(checkpoints, parameters, state);
    saved = state.step;
  };

  for (;;) {
    if (evaluate !== undefined && isDue(state, settings)) {
      await save();
      const start = performance.now();
      await trainer.fetch();
      const evaluation = await evaluate(state.step);
      checkCollapse(evaluation, state, settings);
      const measured = measuredOf(evaluation, state.step);
      const best = isBetter(measured, state.best, aimOf(settings));
      if (best) await onBest?.(parameters.trained, state.step, evaluation);
      const seconds = (performance.now() - start) / 1000;
      yield { type: "evaluation", step: state.step, ...evaluation, best, seconds };
      const { accuracy, tokensPerForward } = evaluation;
      const { peak } = state;
      state = {
        ...{ ...state, last: measured, best: best ? measured : state.best },
        peak: peak === null || accuracy > peak.accuracy ? { accuracy, tokensPerForward } : peak,
      };
      if (checkpoints !== null) await updateCheckpoint(checkpoints, state);
    }
    if (state.step >= settings.steps) {
      await trainer.fetch();
      return state;
    }
    let record: Awaited<ReturnType<typeof trainStep>>;
    try {
      checkAborted(signal, state.step);
      record = await trainStep(trainer, source, settings, state, signal);
    } catch (error) {
      if (signal?.aborted) await save(); // no weight was changed since the last step
      throw error;
    }
    state = {
      ...state,
      step: state.step + 1,
      place: record.place,
      tokens: state.tokens + record.step.tokens,
      seconds: state.seconds + record.step.seconds,
    };
    yield record.step;
    if (state.step === settings.steps || state.step % settings.checkpointEvery === 0) await save();
  }
}

/** What each head's summed cross entropies are multiplied by: lambda 0 times decay^k over the head's total weight. */
function headFactorsOf(packs: Parameters<typeof headTotals>[0], { heads, weight, decay }: MedusaSettings): number[] {
  return headTotals(packs, heads).map((total, head) => (total > 0 ? (weight * decay ** (head + 1)) / total : 0));
}

/** Heads at their own rate, and the rest of the model once they are warm. */
function rateOf({ rate, warmup }: MedusaSettings, step: number): (name: string) => number {
  return (name) => (isHeadTensor(name) ? rate : step < warmup ? 0 : 1);
}

/** Whether the weights are to be measured and were not yet. */
function isDue({ step, last }: RunState, { steps, evaluateEvery }: TrainSettings): boolean {
  if (step === 0 || last?.step === step) return false;
  return step === steps || (evaluateEvery > 0 && step % evaluateEvery === 0);
}

function checkCollapse(
  { examples, accuracy, tokensPerForward }: Evaluation,
  { step, best, peak }: RunState,
  { collapseLimit }: TrainSettings,
): void {
  if (peak === null || tokensPerForward <= peak.tokensPerForward || accuracy >= peak.accuracy - collapseLimit) return;
  if (Math.round((peak.accuracy - accuracy) * examples) <= 1) return; // one answer of a few is luck
  throw new CllmError(
    "diverged",
    `the model is collapsing at step ${step}: ${tokensPerForward.toFixed(2)} tokens per forward, but accuracy fell ` +
      `from ${peak.accuracy.toFixed(3)} to ${accuracy.toFixed(3)}, more than ${collapseLimit}; the weights of ` +
      `step ${best?.step} are kept: raise arWeight or lower the learning rate`,
  );
}

function measuredOf({ examples, accuracy, tokensPerForward, heldOutLoss }: Evaluation, step: number): Measured {
  return { step, examples, accuracy, tokensPerForward, heldOutLoss };
}

function checkAborted(signal: AbortSignal | undefined, step: number): void {
  if (!signal?.aborted) return;
  throw new CllmError("aborted", `training was stopped after step ${step}`, { cause: signal.reason });
}

async function trainStep(
  trainer: Trainer,
  source: ExampleSource,
  settings: TrainSettings,
  { step, place }: RunState,
  signal: AbortSignal | undefined,
): Promise<{ step: StepRecord; place: number }> {
  const start = performance.now();
  const batches = [];
  let [next, skipped] = [place, 0];
  for (let i = 0; i < settings.accumulate; i++) {
    const batch = await makeBatch(trainer, source, next, settings, () => checkAborted(signal, step));
    batches.push(batch.packs);
    next = batch.next;
    skipped += batch.skipped;
    checkAborted(signal, step);
  }
  const totals = totalWeights(batches.flat());
  const { medusa } = settings;
  const headFactors = medusa === undefined ? [] : headFactorsOf(batches.flat(), medusa);
  const factors = {
    ar: totals.ar > 0 ? (settings.objective === "consistency" ? settings.arWeight : 1) / totals.ar : 0,
    consistency: totals.consistency > 0 ? 1 / totals.consistency : 0,
  };
  let sum: Gradients | null = null;
  const heads = headFactors.map(() => [0, 0] as [number, number]);
  const means = { ar: [0, 0], consistency: [0, 0] } satisfies Record<string, [number, number]>;
  for (const packs of batches) {
    const gradients = await trainer.gradients(packs, factors, headFactors);
    checkAborted(signal, step);
    const { crossEntropies, layout } = gradients;
    const { weights, divergenceWeights } = layout;
    for (const [row, term] of layout.terms.entries()) {
      const mean = means[term];
      const weight = (weights[row] as number) + (divergenceWeights[row] as number);
      mean[0] = (mean[0] as number) + weight * (crossEntropies[row] as number);
      mean[1] = (mean[1] as number) + weight;
    }
    for (const [head, loss] of gradients.headLosses.entries()) {
      const mean = heads[head] as [number, number];
      mean[0] += loss.sum;
      mean[1] += loss.weight;
    }
    sum = sum === null ? gradients : await trainer.add(sum, gradients);
  }
  const { loss } = sum as Gradients;
  if (!Number.isFinite(loss)) {
    throw new CllmError("diverged", `the loss of step ${step + 1} is ${loss}: lower the learning rate and resume`);
  }
  const learningRate = learningRateAt(step + 1, { ...settings, totalSteps: settings.steps });
  const { weightDecay, clipNorm } = settings;
  const gradientNorm = await trainer.step(sum as Gradients, {
    ...{ step: step + 1, learningRate, weightDecay, clipNorm },
    ...(medusa !== undefined && { rateOf: rateOf(medusa, step) }),
  });
  const mean = ([total, weight]: readonly number[]): number | null =>
    weight === 0 ? null : (total as number) / (weight as number);
  return {
    place: next,
    step: {
      type: "step",
      step: step + 1,
      loss,
      arLoss: medusa?.base === "frozen" ? null : mean(means.ar),
      consistencyLoss: mean(means.consistency),
      ...(medusa !== undefined && { headLosses: heads.map(mean) }),
      gradientNorm,
      learningRate,
      tokens: batches.flat().reduce((tokens, pack) => tokens + packLength(pack), 0),
      seconds: (performance.now() - start) / 1000,
      skipped,
    },
  };
}
