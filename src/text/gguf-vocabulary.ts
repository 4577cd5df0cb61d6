/**
 * The tokenizer of a GGUF file, rebuilt from its metadata: byte-level BPE ("gpt2") or SentencePiece-style BPE
 * ("llama"), as the `tokenizer.json` that the file was converted from would have it. Where the metadata is silent,
 * llama.cpp's defaults hold. Reads no files.
 */
import type { GgufTokenizerSource } from "../checkpoint/tokenizer-source.ts";
import { CllmError } from "../error.ts";
import { preTokenizerNamed } from "./pre-tokenizers.ts";
import { joinByRank, ranksByScore } from "./sentence-piece.ts";
import type { StrippingToken } from "./stripping.ts";
import {
  badVocabulary,
  checkCount,
  checkedId,
  idsByToken,
  libraryTokenizer,
  mergePairs,
  type Vocabulary,
} from "./vocabulary.ts";

/** `tokenizer.ggml.token_type`. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;
const BYTE = 6;

/**
 * Builds the vocabulary of a GGUF file for a model of `vocabSize` embeddings. Throws `bad-file` for metadata that
 * contradicts itself or the model, `unsupported` for a tokenizer or pre-tokenizer that is not built.
 */
export function ggufVocabulary(source: GgufTokenizerSource, vocabSize: number): Vocabulary {
  if (source.model !== "gpt2" && source.model !== "llama") {
    throw new CllmError(
      "unsupported",
      `the GGUF file's tokenizer is ${JSON.stringify(source.model)}; supported are "gpt2" (byte-level BPE) and ` +
        '"llama" (SentencePiece BPE).',
    );
  }
  checkCount(source.tokens.length, vocabSize);
  const ids = idsByToken(source.tokens);
  const types = tokenTypes(source);
  const parts = source.model === "gpt2" ? byteLevel(source, ids, types) : sentencePiece(source, ids, types);

  const before = parts.addBos ? [required(parts.bosTokenId, "beginning")] : [];
  const after = source.addEos === true ? [required(parts.eosTokenId, "end")] : [];
  const specialIds = new Set<number>();
  const verbatim = new Set<number>();
  const unused: number[] = [];
  for (const [id, type] of types.entries()) {
    if (type === CONTROL || type === UNKNOWN) specialIds.add(id);
    if (isAdded(type)) verbatim.add(id);
    if (type === UNUSED) unused.push(id);
  }
  return { ...parts, tokens: source.tokens, verbatim, specialIds, unused, before, after };
}

interface Parts
  extends Pick<Vocabulary, "library" | "writing" | "byteFallback" | "dropsLeadingSpace" | "bosTokenId" | "eosTokenId"> {
  readonly addBos: boolean;
}

function byteLevel(source: GgufTokenizerSource, ids: Map<string, number>, types: Int32Array): Parts {
  const words = preTokenizerNamed(source.pre);
  if (source.merges === null) {
    throw badVocabulary("byte-level BPE needs tokenizer.ggml.merges, which the GGUF file lacks; convert it again");
  }
  const bosTokenId = optionalId(source.bosTokenId, source, "the beginning-of-sequence token");
  const splits = words.patterns.map((Regex) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated" }));
  const library = libraryTokenizer({
    added_tokens: addedTokens(source, types),
    normalizer: words.normalize && { type: words.normalize },
    pre_tokenizer: { type: "Sequence", pretokenizers: [...splits, { type: "ByteLevel", use_regex: false }] },
    post_processor: null,
    model: {
      type: "BPE",
      vocab: Object.fromEntries(ids),
      merges: mergePairs(source.merges, ids),
      ignore_merges: words.ignoreMerges,
    },
  });
  return {
    library,
    writing: "byte-level",
    byteFallback: false,
    dropsLeadingSpace: false,
    bosTokenId,
    eosTokenId: optionalId(source.eosTokenId, source, "the end-of-sequence token"),
    addBos: source.addBos ?? (words.addBos && bosTokenId !== null),
  };
}

function sentencePiece(source: GgufTokenizerSource, ids: Map<string, number>, types: Int32Array): Parts {
  const { tokens, scores } = source;
  if (scores === null) {
    throw badVocabulary("a SentencePiece vocabulary needs tokenizer.ggml.scores, which the GGUF file lacks");
  }
  if (scores.length !== tokens.length) {
    throw badVocabulary(`it has ${tokens.length} tokens, but ${scores.length} scores`);
  }
  const pieces = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    if (Number.isNaN(scores[id])) throw badVocabulary(`the score of token ${id} is not a number`);
    if (!isAdded(types[id]!) && types[id] !== BYTE) pieces.set(token, scores[id]!);
  }
  const addSpace = source.addSpacePrefix ?? true;
  const toPiece = { type: "Replace", pattern: { String: " " }, content: "\u2581" };
  const model = {
    type: "BPE" as const,
    vocab: Object.fromEntries(ids),
    merges: [],
    ignore_merges: false,
    byte_fallback: true,
    fuse_unk: true,
    unk_token: tokens[optionalId(source.unknownTokenId, source, "the unknown token") ?? types.indexOf(UNKNOWN)] ?? null,
  };
  const library = libraryTokenizer({
    added_tokens: addedTokens(source, types),
    normalizer: addSpace
      ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "\u2581" }, toPiece] }
      : toPiece,
    pre_tokenizer: null,
    post_processor: null,
    model,
  });
  const ranks = ranksByScore(pieces);
  Object.assign(library.model, { bpe: (text: string) => joinByRank(Array.from(text), ranks) });
  const bosTokenId = optionalId(source.bosTokenId, source, "the beginning-of-sequence token");
  return {
    library,
    writing: "sentence-piece",
    byteFallback: true,
    dropsLeadingSpace: addSpace,
    bosTokenId,
    eosTokenId: optionalId(source.eosTokenId, source, "the end-of-sequence token"),
    addBos: source.addBos ?? bosTokenId !== null,
  };
}

/** The type of every token, normal where the file says nothing; the sequence's ends are control tokens in any case. */
function tokenTypes(source: GgufTokenizerSource): Int32Array {
  const count = source.tokens.length;
  if (source.tokenTypes !== null && source.tokenTypes.length !== count) {
    throw badVocabulary(`it has ${count} tokens, but ${source.tokenTypes.length} token types`);
  }
  const types =
    source.tokenTypes?.slice() ??
    Int32Array.from(source.tokens, (token) => (source.model === "llama" && /^<0x[0-9A-F]{2}>$/.test(token) ? BYTE : 1));
  for (const id of [source.bosTokenId, source.eosTokenId]) {
    if (id !== null && types[id] !== UNKNOWN) types[id] = CONTROL;
  }
  if (source.tokenTypes === null && source.unknownTokenId !== null) types[source.unknownTokenId] = UNKNOWN;
  return types;
}

/** Whether a token of this type is looked for in the text as it stands, before all merging. */
function isAdded(type: number): boolean {
  return type === CONTROL || type === USER_DEFINED || type === UNKNOWN;
}

function addedTokens(source: GgufTokenizerSource, types: Int32Array): StrippingToken[] {
  const stripping = new Set(source.strippingIds);
  const added: StrippingToken[] = [];
  for (const [id, content] of source.tokens.entries()) {
    const type = types[id]!;
    if (!isAdded(type)) continue;
    const token = { id, content, special: type !== USER_DEFINED, normalized: false };
    added.push({ ...token, rstrip: stripping.has(id) });
  }
  return added;
}

function optionalId(id: number | null, source: GgufTokenizerSource, what: string): number | null {
  return id === null ? null : checkedId(id, source.tokens.length, what);
}

function required(id: number | null, which: "beginning" | "end"): number {
  if (id !== null) return id;
  throw badVocabulary(`it wants a token at the ${which} of every text (${which}-of-sequence), but does not name one`);
}
