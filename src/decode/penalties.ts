/**
 * Penalties on tokens that occurred already, and biases: how logits change by the text so far. Repetition is that of Keskar et
 * al. (arXiv:1909.05858, section 4.1) over prompt and answer, presence and frequency are OpenAI's over the answer. Knows no decoder.
 */
import { CllmError } from "../error.ts";
import type { TokenIds } from "../runtime/session.ts";

export interface PenaltyOptions {
  /** Divides the logits over 0 of tokens in prompt and answer, and multiplies those below. 1, the default, changes nothing. */
  readonly repetitionPenalty?: number | undefined;
  /** Taken off the logits of tokens in the answer, once. Default: 0. */
  readonly presencePenalty?: number | undefined;
  /** Taken off the logits of tokens in the answer, once for each time. Default: 0. */
  readonly frequencyPenalty?: number | undefined;
  /** Added to the logits of these ids. Default: none. */
  readonly logitBias?: ReadonlyMap<number, number> | undefined;
}

export interface Penalties {
  readonly silent: boolean;
  /** Changes `logits`, of what follows `prompt` and then `written`. */
  apply(logits: Float32Array, prompt: TokenIds, written: TokenIds): void;
}

export const isSilent = ({ silent }: Penalties): boolean => silent;

/** Checks the options; throws `usage`. */
export function penaltiesOf(options: PenaltyOptions, vocabSize: number): Penalties {
  const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, logitBias } = options;
  if (!(repetitionPenalty > 0 && repetitionPenalty < Number.POSITIVE_INFINITY))
    throw new CllmError("usage", `repetitionPenalty is ${repetitionPenalty}: it must be a number over 0`);
  for (const [name, value] of Object.entries({ presencePenalty, frequencyPenalty }))
    if (!Number.isFinite(value)) throw new CllmError("usage", `${name} is ${value}: it must be a number`);
  for (const [id, bias] of logitBias ?? []) {
    if (!(Number.isInteger(id) && id >= 0 && id < vocabSize))
      throw new CllmError("usage", `logitBias has id ${id}; the vocabulary has ids 0 to ${vocabSize - 1}`);
    if (Number.isNaN(bias)) throw new CllmError("usage", `logitBias of id ${id} is ${bias}: it must be a number`);
  }
  const counted = presencePenalty !== 0 || frequencyPenalty !== 0;
  return {
    silent: repetitionPenalty === 1 && !counted && (logitBias === undefined || logitBias.size === 0),
    apply(logits, prompt, written) {
      if (repetitionPenalty !== 1)
        for (const id of new Set([...prompt, ...written]))
          logits[id] = logits[id]! > 0 ? logits[id]! / repetitionPenalty : logits[id]! * repetitionPenalty;
      if (counted) {
        const counts = new Map<number, number>();
        for (const id of written) counts.set(id, (counts.get(id) ?? 0) + 1);
        for (const [id, count] of counts) logits[id] = logits[id]! - presencePenalty - frequencyPenalty * count;
      }
      for (const [id, bias] of logitBias ?? []) logits[id] = logits[id]! + bias;
    },
  };
}
