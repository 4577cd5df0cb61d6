/**
 * Decoders side by side: every prompt through every decoder in one run, so that ratios are taken under the same
 * conditions. Autoregressive decoding is always among them; it is what the others are compared with, in speed and token
 * for token. Prints nothing.
 */
import { tokensPerForward } from "../decode/tokens-per-forward.ts";
import { CllmError } from "../error.ts";
import { quantile } from "../eval/statistics.ts";
import type { DecoderName, GenerateOptions, Generation, LanguageModel, PromptInput } from "../generate/types.ts";
import type { Progress } from "./terminal.ts";

/** What all requests of a run share. */
export type SharedOptions = Omit<GenerateOptions, "prompt" | "messages" | "decoder">;

/** A prompt, perhaps with what its answer is likely to be. */
export type MeasuredInput = PromptInput & Pick<GenerateOptions, "prediction">;

export interface Measurement {
  readonly decoder: DecoderName;
  /** Index of the prompt. */
  readonly prompt: number;
  readonly generation: Generation;
  /** The tokens are those of autoregressive decoding. */
  readonly matches: boolean;
  /** Tokens per second over those of autoregressive decoding of this prompt in this run; null where one has no passes. */
  readonly speedup: number | null;
}

/** What happens while prompts are measured, in order. */
export type MeasureEvent =
  | { readonly kind: "generated"; readonly prompt: number; readonly decoder: DecoderName }
  | { readonly kind: "measured"; readonly measurement: Measurement }
  /** A prompt that could not be measured. */
  | { readonly kind: "refused"; readonly prompt: number; readonly error: CllmError };

/** `ar` first, then the decoders asked for, each once. */
export const withBaseline = (decoders: readonly DecoderName[]): readonly DecoderName[] => [
  ...new Set<DecoderName>(["ar", ...decoders]),
];

/**
 * Runs prompt after prompt, each through every decoder, in an order that turns from prompt to prompt so that none of
 * them always goes first. A prompt that the model refuses (too long, no tokens) is yielded as such.
 */
export async function* measure(
  model: LanguageModel,
  inputs: readonly MeasuredInput[],
  decoders: readonly DecoderName[],
  runs: number,
  shared: SharedOptions,
): AsyncGenerator<MeasureEvent, void, void> {
  const refused = new Set<number>();
  for (let run = 0; run < runs; run++) {
    for (const [prompt, input] of inputs.entries()) {
      if (refused.has(prompt)) continue;
      try {
        yield* measurePrompt(model, input, prompt, turned(withBaseline(decoders), prompt + run), shared, run);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        refused.add(prompt);
        yield { kind: "refused", prompt, error };
      }
    }
  }
}

const turned = <T>(items: readonly T[], by: number): readonly T[] => [
  ...items.slice(by % items.length),
  ...items.slice(0, by % items.length),
];

async function* measurePrompt(
  model: LanguageModel,
  input: MeasuredInput,
  prompt: number,
  decoders: readonly DecoderName[],
  shared: SharedOptions,
  run: number,
): AsyncGenerator<MeasureEvent, void, void> {
  const generations = new Map<DecoderName, Generation>();
  for (const decoder of decoders) {
    // Each runs the prompt itself, which the next one would find in the cache, and remembers its own answers of this run.
    const own = { decoder, cachePrompt: false, memoryScope: `${decoder}, run ${run}` };
    generations.set(decoder, await model.generate({ ...shared, ...input, ...own }));
    yield { kind: "generated", prompt, decoder };
  }
  const baseline = generations.get("ar")!;
  for (const [decoder, generation] of generations) {
    yield { kind: "measured", measurement: measurementOf(decoder, prompt, generation, baseline) };
  }
}

/** A generation beside that of autoregressive decoding of the same prompt. */
export function measurementOf(
  decoder: DecoderName,
  prompt: number,
  generation: Generation,
  baseline: Generation,
): Measurement {
  const ratio = generation.stats.tokensPerSecond / baseline.stats.tokensPerSecond;
  return {
    decoder,
    prompt,
    generation,
    matches: Buffer.from(generation.tokens.buffer).equals(Buffer.from(baseline.tokens.buffer)),
    speedup: Number.isFinite(ratio) && ratio > 0 ? ratio : null,
  };
}

const SHORT = 16; // new tokens of a request that warms up

/**
 * One short request through every decoder, so that what is done once (compiling, calibrating) is not measured. Yields how far
 * it is.
 */
export async function* warmUp(
  model: LanguageModel,
  inputs: readonly MeasuredInput[],
  decoders: readonly DecoderName[],
  shared: SharedOptions,
): AsyncGenerator<Progress, void, void> {
  const names = withBaseline(decoders);
  const maxNewTokens = typeof shared.maxNewTokens === "number" ? Math.min(shared.maxNewTokens, SHORT) : SHORT;
  for (const [index, decoder] of names.entries()) {
    for (const input of inputs) {
      try {
        await model.generate({ ...shared, ...input, decoder, maxNewTokens, memoryScope: "warm up" });
        break;
      } catch (error) {
        if (!isRefusal(error)) throw error;
      }
    }
    yield { stage: "warm up", what: decoder, done: index + 1, total: names.length, unit: "decoders" };
  }
}

/** What a prompt may be left out for; anything else ends the run. */
const isRefusal = (error: unknown): error is CllmError =>
  error instanceof CllmError && (error.code === "context-overflow" || error.code === "bad-input");

export interface DecoderSummary {
  readonly name: DecoderName;
  /** Median over the prompts. */
  readonly tokensPerSecond: number;
  readonly tokensPerSecondQuartiles: readonly [q1: number, q3: number];
  /** Tokens written by decode passes over those passes, all prompts together. */
  readonly tokensPerForward: number;
  /** Median over the prompts of the ratio to autoregressive decoding in the same run. */
  readonly speedup: number;
  readonly speedupQuartiles: readonly [q1: number, q3: number];
  /** Prompts whose tokens differ from those of autoregressive decoding. */
  readonly mismatches: number;
}

/** One line of the table for each decoder. NaN where no prompt had a decode pass. */
export function summarize(
  measurements: readonly Measurement[],
  decoders: readonly DecoderName[],
): readonly DecoderSummary[] {
  return withBaseline(decoders).map((name) => {
    const own = measurements.filter(({ decoder }) => decoder === name);
    const stats = own.map(({ generation }) => generation.stats).filter(({ forwards }) => forwards > 0);
    const speeds = stats.map(({ tokensPerSecond }) => tokensPerSecond);
    const speedups = own.map(({ speedup }) => speedup).filter((speedup) => speedup !== null);
    return {
      name,
      tokensPerSecond: quantile(speeds, 0.5),
      tokensPerSecondQuartiles: [quantile(speeds, 0.25), quantile(speeds, 0.75)],
      tokensPerForward: stats.length === 0 ? Number.NaN : tokensPerForward(stats.flatMap(({ accepted }) => accepted)),
      speedup: quantile(speedups, 0.5),
      speedupQuartiles: [quantile(speedups, 0.25), quantile(speedups, 0.75)],
      mismatches: new Set(own.filter(({ matches }) => !matches).map(({ prompt }) => prompt)).size,
    };
  });
}
