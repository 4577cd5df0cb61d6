/**
 * The pre-tokenizers of byte-level BPE that GGUF files refer to by name (`tokenizer.ggml.pre`): how text is cut into
 * words before any merge. A name stands for a list of regular expressions, each splitting what the one before left
 * whole; names and expressions are those of llama.cpp and of the models' own `tokenizer.json`. Knows no vocabulary.
 */
import { CllmError } from "../error.ts";

/** How one pre-tokenizer cuts text, and what goes with it. */
export interface PreTokenizer {
  /** Applied in order; what matches becomes a word of its own, and what lies between matches too. */
  readonly patterns: readonly string[];
  /** A word that is a token as a whole is not merged from its bytes. */
  readonly ignoreMerges: boolean;
  /** Whether a text starts with the beginning-of-sequence token where the file does not say. */
  readonly addBos: boolean;
  /** Unicode normalization before everything else. */
  readonly normalize: "NFC" | null;
}

/** The words of GPT-2: contractions, letters, digits and punctuation, each with the space before it. */
export const GPT2_WORDS: string = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** GPT-4's words, with runs of at most `digits` digits. */
function gpt4Words(digits: string): string {
  return `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
}

/** Mistral's Tekken: as GPT-4's, but a word also ends where small letters turn into capital ones. */
const TEKKEN_WORDS =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" +
  "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" +
  "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const gpt2: PreTokenizer = { patterns: [GPT2_WORDS], ignoreMerges: false, addBos: false, normalize: null };
const digitByDigit: PreTokenizer = { ...gpt2, patterns: ["\\p{N}", GPT2_WORDS] };
const llama3: PreTokenizer = {
  patterns: [gpt4Words("\\p{N}{1,3}")],
  ignoreMerges: true,
  addBos: true,
  normalize: null,
};
const qwen2: PreTokenizer = { ...gpt2, patterns: [gpt4Words("\\p{N}")], normalize: "NFC" };
const tekken: PreTokenizer = { ...llama3, patterns: [TEKKEN_WORDS] };
const deepSeekCoder: PreTokenizer = {
  ...gpt2,
  patterns: ["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", "\\p{N}"],
};
const fallback: PreTokenizer = {
  ...gpt2,
  patterns: ["[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2_WORDS, "\\p{N}+", "[0-9][0-9][0-9]"],
};

const BY_NAME: ReadonlyMap<string, PreTokenizer> = new Map([
  ["default", fallback],
  ["gpt-2", gpt2],
  ["phi-2", gpt2],
  ["mpt", gpt2],
  ["olmo", gpt2],
  ["smollm", digitByDigit],
  ["starcoder", digitByDigit],
  ["refact", digitByDigit],
  ["llama3", llama3],
  ["llama-v3", llama3],
  ["llama-bpe", llama3],
  ["falcon3", llama3],
  ["qwen2", qwen2],
  ["deepseek-r1-qwen", qwen2],
  ["tekken", tekken],
  ["deepseek-coder", deepSeekCoder],
]);

/**
 * The pre-tokenizer of that name; a file that names none gets "default", as in llama.cpp. Throws `unsupported` for a
 * name that is not known, because any other way of cutting would give the model tokens it was not trained on.
 */
export function preTokenizerNamed(name: string | null): PreTokenizer {
  const found = BY_NAME.get(name ?? "default");
  if (found) return found;
  throw new CllmError(
    "unsupported",
    `The GGUF file's pre-tokenizer is ${JSON.stringify(name)}; supported are ${[...BY_NAME.keys()].join(", ")}. ` +
      "Load the model from its Hugging Face directory instead, where tokenizer.json spells the pre-tokenizer out.",
  );
}

/** The name of the pre-tokenizer that cuts text this way, or null where none does. */
export function nameOfPreTokenizer(wanted: Omit<PreTokenizer, "addBos">): string | null {
  for (const [name, { patterns, ignoreMerges, normalize }] of BY_NAME) {
    if (ignoreMerges !== wanted.ignoreMerges || normalize !== wanted.normalize) continue;
    if (patterns.length === wanted.patterns.length && patterns.every((p, i) => p === wanted.patterns[i])) return name;
  }
  return null;
}
