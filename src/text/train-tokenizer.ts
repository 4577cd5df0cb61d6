/**
 * Trains a byte-level BPE tokenizer and gives it as a `tokenizer.json` that any implementation reads: digits one by
 * one, GPT-2's words, all 256 bytes in the vocabulary (the pre-tokenizer that GGUF calls "smollm").
 *
 * Two things are unusual. The space before a word joins it last, and only where the word is one token by then; so does
 * an `s` at its end, just before. So the pieces of a word are the same with and without a space before it, and mostly
 * in its plural (`.singer_id`, ` singer`, ` singers`), and a model can copy a word that it never saw from one place to
 * another. Knows no model and no task.
 */
import { CllmError } from "../error.ts";
import { byteLevelToken } from "./byte-alphabet.ts";
import { GPT2_WORDS } from "./pre-tokenizers.ts";

export interface TrainTokenizerOptions {
  /** Tokens in all: special ones, 256 bytes, and merges. Less come out where the corpus has no more pairs. */
  readonly vocabSize: number;
  /** Their ids are the first. Default: `<|pad|>` and `<|end|>`. */
  readonly specialTokens?: readonly string[];
}

export const PAD_TOKEN = "<|pad|>";
export const END_TOKEN = "<|end|>";

/** The content of a `tokenizer.json`. */
export interface TokenizerJson {
  readonly version: string;
  readonly truncation: null;
  readonly padding: null;
  readonly added_tokens: readonly object[];
  readonly normalizer: null;
  readonly pre_tokenizer: object;
  readonly post_processor: null;
  readonly decoder: object;
  readonly model: BpeModel;
}

export interface BpeModel {
  readonly type: "BPE";
  readonly dropout: null;
  readonly unk_token: null;
  readonly continuing_subword_prefix: null;
  readonly end_of_word_suffix: null;
  readonly fuse_unk: false;
  readonly byte_fallback: false;
  readonly ignore_merges: false;
  readonly vocab: Readonly<Record<string, number>>;
  /** Best first, each two tokens with a space between. */
  readonly merges: readonly string[];
}

const SPACE = byteLevelToken(Uint8Array.of(0x20));

/** Trains on texts. The same corpus gives the same tokenizer. */
export function trainTokenizer(
  corpus: Iterable<string>,
  { vocabSize, specialTokens = [PAD_TOKEN, END_TOKEN] }: TrainTokenizerOptions,
): TokenizerJson {
  const fewest = specialTokens.length + 256;
  if (!Number.isInteger(vocabSize) || vocabSize < fewest) {
    const message = `the vocabulary size is ${vocabSize}; it takes at least ${fewest}`;
    throw new CllmError("usage", `${message}, for ${specialTokens.length} special tokens and all 256 bytes`);
  }
  const trained = trainMerges(countWords(corpus), vocabSize - fewest);
  const merges = [0, 1, 2].flatMap((turn) => trained.filter((merge) => turnOf(merge) === turn));
  const bytes = Array.from({ length: 256 }, (_, byte) => byteLevelToken(Uint8Array.of(byte)));
  const tokens = [...specialTokens, ...bytes, ...merges.map(([left, right]) => left + right)];
  return tokenizerJson(specialTokens, tokens, merges);
}

/** Merges of whole words with an `s` come after all others, and those with a space before them last. */
function turnOf([left, right]: Merge): 0 | 1 | 2 {
  if (left === SPACE) return 2;
  return right === "s" && left !== "s" ? 1 : 0;
}

/** The content of the `tokenizer_config.json` that goes with a trained tokenizer. */
export function trainedTokenizerConfig(contextLength: number): Record<string, unknown> {
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    eos_token: END_TOKEN,
    pad_token: PAD_TOKEN,
    model_max_length: contextLength,
    clean_up_tokenization_spaces: false,
  };
}

function tokenizerJson(
  specialTokens: readonly string[],
  tokens: readonly string[],
  merges: readonly Merge[],
): TokenizerJson {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({ id, content, ...flags })),
    normalizer: null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, byteLevel] },
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map((merge) => merge.join(" ")),
    },
  };
}

/** How often each word occurs, written in the byte alphabet. */
export function countWords(corpus: Iterable<string>): Map<string, number> {
  const words = new RegExp(GPT2_WORDS, "gu");
  const utf8 = new TextEncoder();
  const texts = new Map<string, number>();
  for (const text of corpus) {
    for (const part of text.split(/(\p{N})/u)) {
      for (const [word] of part.matchAll(words)) texts.set(word, (texts.get(word) ?? 0) + 1);
    }
  }
  return new Map([...texts].map(([word, count]) => [byteLevelToken(utf8.encode(word)), count]));
}

export type Merge = readonly [left: string, right: string];

/**
 * The merges of words with their counts, at most `limit`, the most frequent pair first and, among equals, the smallest
 * in code-unit order. Pairs that occur once only are not merged. Counts are kept up to date, not taken anew.
 */
export function trainMerges(counts: ReadonlyMap<string, number>, limit: number): Merge[] {
  const words = Array.from(counts, ([word, count]) => ({ symbols: [...word], count }));
  const pairs = new Map<string, { count: number; readonly words: Set<number> }>();

  const tally = (w: number, sign: 1 | -1) => {
    const { symbols, count } = words[w]!;
    for (const key of pairKeys(symbols)) {
      let pair = pairs.get(key);
      if (!pair) {
        pair = { count: 0, words: new Set() };
        pairs.set(key, pair);
      }
      pair.count += sign * count;
      if (sign === 1) pair.words.add(w);
      if (pair.count === 0) pairs.delete(key);
    }
  };
  words.forEach((_, w) => {
    tally(w, 1);
  });

  const merges: Merge[] = [];
  while (merges.length < limit) {
    let best = "";
    let most = 1;
    for (const [key, { count }] of pairs) {
      if (count > most || (count === most && best !== "" && key < best)) {
        best = key;
        most = count;
      }
    }
    if (best === "") break;
    const merge = best.split(" ") as [string, string];
    merges.push(merge);
    for (const w of [...pairs.get(best)!.words]) {
      tally(w, -1);
      words[w]!.symbols = merged(words[w]!.symbols, merge);
      tally(w, 1);
    }
  }
  return merges;
}

/**
 * Neighbours in a word that may merge, with a space between, which the byte alphabet lacks. A space waits until all
 * else is one token; a lone `s` joins what stands before it only where that gives the whole word, or another `s`.
 */
function pairKeys(symbols: readonly string[]): string[] {
  const keys: string[] = [];
  const body = symbols[0] === SPACE ? symbols.length - 1 : symbols.length;
  for (let i = 0; i + 1 < symbols.length; i++) {
    const spaceWaits = symbols[i] === SPACE && symbols.length > 2;
    const pluralWaits = symbols[i + 1] === "s" && symbols[i] !== "s" && symbols[i] !== SPACE && body > 2;
    if (!spaceWaits && !pluralWaits) keys.push(`${symbols[i]} ${symbols[i + 1]}`);
  }
  return keys;
}

function merged(symbols: readonly string[], [left, right]: Merge): string[] {
  const result: string[] = [];
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) result.push(left + symbols[++i]);
    else result.push(symbols[i]!);
  }
  return result;
}
