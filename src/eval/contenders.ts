/**
 * Who takes part in an evaluation: each model with each decoder, and with each block size where the decoder has one.
 * Autoregressive decoding is always among a model's decoders, and its first: it is what the others are compared with.
 * Knows no task and runs nothing.
 */
import { CllmError } from "../error.ts";
import type { DecoderName } from "../generate/types.ts";

export interface Contender {
  /** No two contenders of a run share it. */
  readonly name: string;
  /** The model's name in this run. */
  readonly model: string;
  readonly decoder: DecoderName;
  /** null where the decoder has none, or chooses by itself. */
  readonly blockSize: number | null;
}

/** Decoders that are asked with every block size; `auto` chooses its own. */
const NAMES: readonly DecoderName[] = ["jacobi", "prompt-lookup", "suffix", "prediction", "multiblock"];
const SIZED: ReadonlySet<DecoderName> = new Set(NAMES);

/** Whether it is asked with every block size that is given. */
export const takesBlockSize = (decoder: DecoderName): boolean => SIZED.has(decoder);

/** Models in the order given, each with `ar` first. Throws `usage` where two models have the same name. */
export function contendersOf(
  models: readonly string[],
  decoders: readonly DecoderName[],
  blockSizes: readonly number[],
): readonly Contender[] {
  const twice = models.find((model, index) => models.indexOf(model) !== index);
  if (twice !== undefined) {
    throw new CllmError("usage", `two models are called ${twice}: give them names, as in before=${twice}`);
  }
  const sizes = [...new Set(blockSizes)].sort((a, b) => a - b);
  const names = [...new Set<DecoderName>(["ar", ...decoders])];
  return models.flatMap((model) =>
    names.flatMap((decoder): Contender[] => {
      if (!takesBlockSize(decoder)) return [{ name: `${model}, ${decoder}`, model, decoder, blockSize: null }];
      return sizes.map((blockSize) => ({ name: `${model}, ${decoder} ${blockSize}`, model, decoder, blockSize }));
    }),
  );
}

/** What a contender's speed, score and tokens are compared with: its own model, one token at a time. */
export function baselineOf(contenders: readonly Contender[], { model }: Contender): Contender {
  return contenders.find((other) => other.model === model && other.decoder === "ar")!;
}
