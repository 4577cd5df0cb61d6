/**
 * Drafts of suffix decoding (arXiv:2411.04975, section 3): what followed the longest suffix of the text, in the text itself or in
 * earlier answers. A longer match is trusted with more guesses. Knows nothing about how answers are kept.
 */
import type { TokenIds } from "../runtime/session.ts";
import type { DraftPolicy } from "./drafts.ts";
import { joinTokens } from "./join-tokens.ts";
import { LONGEST_MATCH, NgramIndex } from "./ngrams.ts";
import type { SuffixView } from "./suffix-memory.ts";

export interface SuffixDraftOptions {
  /** Guesses for each token that matches, alpha in the paper. Default: 2. */
  readonly perMatch?: number;
}

/**
 * Guesses from the text and, where there are any, from earlier answers, whichever agrees with more of the text's end.
 *
 * @example jacobi(session, prompt, { maxNewTokens: 64, draft: fromSuffixes(new SuffixMemory(16).scoped()) })
 */
export function fromSuffixes(answers: SuffixView | null, { perMatch = 2 }: SuffixDraftOptions = {}): DraftPolicy {
  return () => {
    const index = new NgramIndex();
    return {
      guess(text, guesses, { count }) {
        index.update(text);
        const context = guesses.length === 0 ? text : joinTokens(text.subarray(-LONGEST_MATCH), guesses);
        const own = new Int32Array(count);
        const match = index.draft(context, own);
        const earlier: TokenIds = new Int32Array(count);
        const foretold = answers?.foretell(context, earlier) ?? { match: 0, length: 0 };
        if (foretold.match > match) return earlier.subarray(0, Math.min(foretold.length, perMatch * foretold.match));
        return own.subarray(0, perMatch * match);
      },
      [Symbol.asyncDispose]: async () => {},
    };
  };
}
