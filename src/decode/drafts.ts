/**
 * Draft policies: where the guesses come from that a Jacobi block starts with. Any guess gives the same text; a good one
 * takes fewer passes. Knows nothing about the passes that check them.
 */
import { hash } from "../hash.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import { NgramIndex } from "./ngrams.ts";

/**
 * Fills `block` from index `from` on with guesses. `block[0]` is the last token of `text` (prompt and accepted tokens),
 * the tokens after it up to `from` are guesses already.
 */
export type Draft = (block: TokenIds, from: number, text: TokenIds) => void;

/** Prepares a draft for one prompt. */
export type DraftPolicy = (prompt: TokenIds) => Draft;

/** Tokens of the prompt, picked pseudo-randomly by seed and position, as CLLM does (arXiv:2403.00835, section 3.1). */
export function fromPrompt(seed = 0): DraftPolicy {
  return (prompt) => (block, from, text) => {
    for (let i = from; i < block.length; i++) block[i] = prompt[hash(seed, text.length + i) % prompt.length]!;
  };
}

/** One token again and again, which a model was trained to see as a gap. */
export function constant(token: number): DraftPolicy {
  return () => (block, from) => block.fill(token, from);
}

/** What decoders draft unless they are told otherwise: the model's own draft token, or tokens of the prompt. */
export function ownDraft({ draftToken }: Pick<Session, "draftToken">): DraftPolicy {
  return draftToken === undefined ? fromPrompt() : constant(draftToken);
}

/** The last token before the guesses, again and again. */
export const repeatLast: DraftPolicy = () => (block, from) => block.fill(block[from - 1]!, from);

/** What followed the latest earlier occurrence of the block's beginning; `otherwise` where there is none. */
export function fromLookup(maxNgram = 3, otherwise: DraftPolicy = fromPrompt()): DraftPolicy {
  return (prompt) => {
    const index = new NgramIndex(maxNgram);
    const fallback = otherwise(prompt);
    return (block, from, text) => {
      index.update(text);
      const context = Int32Array.of(...text.subarray(-maxNgram), ...block.subarray(1, from));
      if (index.draft(context, block.subarray(from)) === 0) fallback(block, from, text);
    };
  };
}

/** A completion that is already guessed, token i of it for the i-th new token; `otherwise` past its end. */
export function given(completion: TokenIds, otherwise: DraftPolicy = fromPrompt()): DraftPolicy {
  return (prompt) => {
    const fallback = otherwise(prompt);
    return (block, from, text) => {
      fallback(block, from, text);
      const start = text.length - 1 - prompt.length; // the new token that block[0] is
      block.set(completion.subarray(start + from, start + block.length), from);
    };
  };
}
