/** The twin of `gguf-vocabulary.ts`, which is loaded when it is needed: most pages read no GGUF files. */
import type { GgufTokenizerSource } from "../checkpoint/tokenizer-source.ts";
import { CllmError } from "../error.ts";
import type { Vocabulary } from "./vocabulary.ts";

let loaded: ((source: GgufTokenizerSource, vocabSize: number) => Vocabulary) | null = null;

export async function loadGgufVocabulary(): Promise<void> {
  loaded ??= (await import("./gguf-vocabulary.ts")).ggufVocabulary;
}

/** To be called behind `loadGgufVocabulary`. */
export function ggufVocabulary(source: GgufTokenizerSource, vocabSize: number): Vocabulary {
  if (loaded !== null) return loaded(source, vocabSize);
  throw new CllmError("usage", "what reads tokenizers of GGUF files is not loaded: open the model with load");
}
