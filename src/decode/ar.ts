/**
 * Autoregressive decoding: one token per pass, y_i = argmax p(· | x, y_<i). The plain twin that every other decoder is
 * tested against, and the baseline that their speed is measured by.
 */
import type { Session, TokenIds } from "../runtime/session.ts";
import { Transcript } from "./transcript.ts";
import type { DecodeOptions, Iteration } from "./types.ts";

export async function* ar(
  session: Session,
  prompt: TokenIds,
  options: DecodeOptions,
): AsyncGenerator<Iteration, void, void> {
  const text = new Transcript(session, prompt, options);
  while (text.unfinished()) yield text.accept(await text.run(Int32Array.of(text.last)), 1);
}
