/** The twin of `open-tokenizer.ts`: what GGUF files need is loaded with the first of them. */
import type { TokenizerSource } from "../checkpoint/tokenizer-source.ts";
import { loadGgufVocabulary } from "./gguf-vocabulary.web.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";

export async function openTokenizer(source: TokenizerSource, vocabSize: number): Promise<Tokenizer> {
  if (source.kind === "gguf") await loadGgufVocabulary();
  return createTokenizer(source, vocabSize);
}
