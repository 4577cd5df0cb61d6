/**
 * Prompt lookup: the draft is what followed the latest earlier occurrence of the text's last n-gram, in the prompt or in
 * what was written since (Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding). Without an occurrence a pass is
 * autoregressive. Pays where the answer quotes the prompt: code edits, summaries, text-to-SQL.
 */
import type { Session, TokenIds } from "../runtime/session.ts";
import { NgramIndex } from "./ngrams.ts";
import { requireInteger } from "./require.ts";
import { Transcript } from "./transcript.ts";
import type { DecodeOptions, Iteration } from "./types.ts";

export interface PromptLookupOptions extends DecodeOptions {
  /** Most tokens of one pass: the last accepted one, and the draft after it. Default: 16. */
  readonly blockSize?: number;
  /** Longest n-gram looked for; shorter ones are tried after it. Default: 3. */
  readonly maxNgram?: number;
}

/**
 * Guesses are what followed the same words earlier in the text.
 *
 * @example for await (const { accepted } of promptLookup(session, prompt, { maxNewTokens: 64 })) console.log(accepted);
 */
export async function* promptLookup(
  session: Session,
  prompt: TokenIds,
  { blockSize = 16, maxNgram = 3, ...options }: PromptLookupOptions,
): AsyncGenerator<Iteration, void, void> {
  requireInteger("blockSize", blockSize, 1);
  requireInteger("maxNgram", maxNgram, 1, 16);
  const text = new Transcript(session, prompt, options);
  const index = new NgramIndex(maxNgram);
  const draft = new Int32Array(blockSize - 1);
  while (text.unfinished()) {
    index.update(text.tokens);
    const guesses = draft.subarray(0, text.left - 1);
    const found = index.draft(text.tokens, guesses) > 0;
    yield (await text.verify(text.mend(guesses.subarray(0, found ? guesses.length : 0)))).iteration;
  }
}
