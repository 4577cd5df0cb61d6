/** Browsers read no GGUF files, so nobody comes here. The twin of `gguf-vocabulary.ts`. */
import { CllmError } from "../error.ts";

export function ggufVocabulary(): never {
  throw new CllmError(
    "unsupported",
    "tokenizers of GGUF files are not built for browsers; use a repository with safetensors",
  );
}
