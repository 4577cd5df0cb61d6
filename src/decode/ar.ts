/**
 * Autoregressive decoding: one token per pass, y_i = argmax p(· | x, y_<i). The plain twin that every other decoder is
 * tested against, and the baseline that their speed is measured by.
 */
import type { Session, TokenIds } from "../runtime/session.ts";
import { Transcript } from "./transcript.ts";
import type { DecodeOptions, Iteration } from "./types.ts";

const NONE = new Int32Array(0);

/**
 * One token per pass: the plain way, which all others are measured by.
 *
 * @example for await (const { accepted } of ar(session, prompt, { maxNewTokens: 64 })) console.log(accepted);
 */
export async function* ar(
  session: Session,
  prompt: TokenIds,
  options: DecodeOptions,
): AsyncGenerator<Iteration, void, void> {
  const text = new Transcript(session, prompt, options);
  while (text.unfinished()) yield (await text.verify(NONE)).iteration;
}
