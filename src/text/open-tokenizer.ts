/** A tokenizer, once everything that it is made of is at hand. In a page that takes a moment; here it never does. */
import type { TokenizerSource } from "../checkpoint/tokenizer-source.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";

/** Errors as those of `createTokenizer`. */
export async function openTokenizer(source: TokenizerSource, vocabSize: number): Promise<Tokenizer> {
  return createTokenizer(source, vocabSize);
}
