/**
 * The tokenizer of a `tokenizer.json` in GGUF's words: tokens, types and merges or scores, and the name of a
 * pre-tokenizer. What GGUF cannot express exactly is refused by name, because any other way of cutting would give the
 * model tokens that it was not trained on. Reads and writes no files.
 */
import { specialToken } from "../checkpoint/huggingface/special-tokens.ts";
import type {
  GgufTokenizerSource,
  HuggingFaceTokenizerSource,
  TokenizerSource,
} from "../checkpoint/tokenizer-source.ts";
import { CllmError } from "../error.ts";
import { huggingFaceVocabulary } from "./huggingface-vocabulary.ts";
import { GPT2_WORDS, nameOfPreTokenizer } from "./pre-tokenizers.ts";
import { createTokenizer } from "./tokenizer.ts";
import { quote, type Vocabulary } from "./vocabulary.ts";

type Json = Record<string, unknown>;

/** `tokenizer.ggml.token_type`. */
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;
const BYTE = 6;
const BYTE_TOKEN = /^<0x[0-9A-F]{2}>$/;
/** The score of what no merge makes: below all that one makes. */
const NO_SCORE = -1e6;

/**
 * A tokenizer source in GGUF's form, with a token for each of the model's `vocabSize` embeddings: ids without one get a
 * name that no text has. Throws `unsupported` for what GGUF has no words for, and as `createTokenizer` does.
 *
 * @example
 * const { name, config, weights, tokenizer } = await openCheckpoint("./model");
 * await writeGguf("model.gguf", { name, config, weights, tokenizer: toGgufTokenizer(tokenizer, config.vocabSize) });
 */
export function toGgufTokenizer(source: TokenizerSource, vocabSize: number): GgufTokenizerSource {
  const converted = source.kind === "gguf" ? source : fromHuggingFace(source, vocabSize);
  return padded(converted, vocabSize);
}

function padded(source: GgufTokenizerSource, vocabSize: number): GgufTokenizerSource {
  const { length } = source.tokens;
  if (length >= vocabSize) return source;
  const more = vocabSize - length;
  const isByte = (token: string): boolean => source.model === "llama" && BYTE_TOKEN.test(token);
  const types = source.tokenTypes ?? source.tokens.map((token) => (isByte(token) ? BYTE : NORMAL));
  return {
    ...source,
    tokens: [...source.tokens, ...Array.from({ length: more }, (_, i) => paddingToken(length + i))],
    tokenTypes: Int32Array.from([...types, ...new Array<number>(more).fill(UNUSED)]),
    scores: source.scores && Float32Array.from([...source.scores, ...new Array<number>(more).fill(NO_SCORE)]),
  };
}

function paddingToken(id: number): string {
  return `[PAD${id}]`;
}

function fromHuggingFace(source: HuggingFaceTokenizerSource, vocabSize: number): GgufTokenizerSource {
  const vocabulary = huggingFaceVocabulary(source, vocabSize);
  const json = source.tokenizerJson as Json;
  const model = json["model"] as Json;
  checkAddedTokens(json["added_tokens"], vocabSize);
  const tokens = Array.from({ length: vocabSize }, (_, id) => vocabulary.tokens[id] ?? paddingToken(id));
  if (new Set(tokens).size < tokens.length) throw unsupported("an id without token, of which there is one already");
  const idOf = (key: string): number | null => {
    const token = specialToken(source.tokenizerConfig, key);
    const id = token === null ? -1 : tokens.indexOf(token);
    return id < 0 ? null : id;
  };
  const bosTokenId = vocabulary.bosTokenId;
  const eosTokenId = vocabulary.eosTokenId;
  const around = specialsAround(source, vocabSize);
  for (const [id, own, what] of [
    [around.before, bosTokenId, "before"] as const,
    [around.after, eosTokenId, "after"] as const,
  ]) {
    if (id !== null && id !== own) throw unsupported(`the token ${quote(tokens[id])} ${what} every text`);
  }
  const unknownTokenId = idOf("unk_token") ?? modelUnknown(model, tokens);
  const shared = {
    kind: "gguf" as const,
    tokens,
    tokenTypes: tokenTypes(vocabulary, tokens, unknownTokenId),
    bosTokenId,
    eosTokenId,
    unknownTokenId,
    padTokenId: idOf("pad_token"),
    addBos: around.before !== null,
    addEos: around.after !== null,
    chatTemplate: source.chatTemplate,
    namedTemplates: source.namedTemplates,
  };
  if (vocabulary.writing === "byte-level") {
    const merges = (model["merges"] as unknown[]).map((merge) =>
      Array.isArray(merge) ? merge.join(" ") : String(merge),
    );
    return { ...shared, model: "gpt2", pre: preTokenizerName(json), merges, scores: null, addSpacePrefix: null };
  }
  if (!vocabulary.byteFallback) throw unsupported("a SentencePiece vocabulary without byte fallback");
  const addSpacePrefix = spacePrefix(json);
  const scores = scoresOfMerges(model["merges"] as unknown[], tokens, shared.tokenTypes);
  return { ...shared, model: "llama", pre: "default", merges: null, scores, addSpacePrefix };
}

function unsupported(what: string): CllmError {
  const next = "write a Hugging Face directory instead, whose tokenizer.json can";
  return new CllmError("unsupported", `a GGUF file has no words for part of this tokenizer: ${what}; ${next}`);
}

function checkAddedTokens(added: unknown, vocabSize: number): void {
  for (const token of (added ?? []) as readonly Json[]) {
    if ((token["id"] as number) >= vocabSize) continue; // the model cannot see it
    const trait = ["lstrip", "rstrip"].find((key) => token[key] === true);
    if (trait !== undefined) throw unsupported(`the token ${quote(token["content"])} with ${trait}`);
  }
}

function modelUnknown(model: Json, tokens: readonly string[]): number | null {
  const token = model["unk_token"];
  return typeof token === "string" ? tokens.indexOf(token) : null;
}

/** The special tokens that go before and after every text, at most one each: found by encoding one. */
function specialsAround(
  source: HuggingFaceTokenizerSource,
  vocabSize: number,
): { readonly before: number | null; readonly after: number | null } {
  const tokenizer = createTokenizer(source, vocabSize);
  const bare = tokenizer.encode("a", { addSpecialTokens: false }).join();
  const full = [...tokenizer.encode("a")];
  for (const before of [0, 1]) {
    for (const after of [0, 1]) {
      if (full.slice(before, full.length - after).join() !== bare) continue;
      return { before: before ? full[0]! : null, after: after ? full.at(-1)! : null };
    }
  }
  throw unsupported("more than one special token before or after every text");
}

function tokenTypes(vocabulary: Vocabulary, tokens: readonly string[], unknown: number | null): Int32Array {
  const { specialIds, verbatim, byteFallback, writing } = vocabulary;
  return Int32Array.from(tokens, (token, id) => {
    if (vocabulary.tokens[id] === undefined) return UNUSED;
    if (id === unknown && writing === "sentence-piece") return UNKNOWN;
    if (specialIds.has(id)) return CONTROL;
    if (verbatim.has(id)) return USER_DEFINED;
    return byteFallback && BYTE_TOKEN.test(token) ? BYTE : NORMAL;
  });
}

/** The name by which llama.cpp knows the way in which text is cut into words. */
function preTokenizerName(json: Json): string {
  const normalizers = flatten(json["normalizer"], "normalizers");
  const other = normalizers.find(({ type }) => type !== "NFC");
  if (other) throw unsupported(`the normalizer ${quote(other)}`);
  const name = nameOfPreTokenizer({
    patterns: flatten(json["pre_tokenizer"], "pretokenizers").flatMap(patternsOf),
    ignoreMerges: (json["model"] as Json)["ignore_merges"] === true,
    normalize: normalizers.length > 0 ? "NFC" : null,
  });
  if (name === null) throw unsupported(`the pre-tokenizer ${quote(json["pre_tokenizer"])}, which has no name there`);
  return name;
}

/** The steps of a normalizer or pre-tokenizer that may be a sequence of others. */
function flatten(node: unknown, key: string): Json[] {
  if (node === null || node === undefined) return [];
  const step = node as Json;
  return step["type"] === "Sequence" ? (step[key] as unknown[]).flatMap((child) => flatten(child, key)) : [step];
}

/** What a step cuts out as words of their own. */
function patternsOf(step: Json): string[] {
  const pattern = (step["pattern"] as Json | undefined)?.["Regex"];
  if (step["type"] === "ByteLevel") return step["use_regex"] === false ? [] : [GPT2_WORDS];
  if (step["type"] === "Digits") return [step["individual_digits"] === true ? "\\p{N}" : "\\p{N}+"];
  const isolated = step["behavior"] === "Isolated";
  // GPT's expressions leave nothing between their matches that could be removed.
  const matches = step["behavior"] === "Removed" && step["invert"] === true && /\|\\s\+$/.test(String(pattern));
  if (step["type"] === "Split" && (isolated || matches) && typeof pattern === "string") return [pattern];
  throw unsupported(`the pre-tokenizer ${quote(step)}`);
}

/** Whether a normalizer makes U+2581 of spaces. */
function isSpaces({ type, pattern, content }: Json): boolean {
  return type === "Replace" && (pattern as Json)["String"] === " " && content === "\u2581";
}

/** Whether a space goes before every text, and after every special token in it. */
function spacePrefix(json: Json): boolean {
  const normalizers = flatten(json["normalizer"], "normalizers");
  const words = flatten(json["pre_tokenizer"], "pretokenizers");
  let prefix = false;
  for (const step of normalizers) {
    if (step["type"] === "Prepend" && step["prepend"] === "\u2581") prefix = true;
    else if (!isSpaces(step)) throw unsupported(`the normalizer ${quote(step)}`);
  }
  for (const step of words) {
    const nothing =
      step["type"] === "Split" && (step["pattern"] as Json)["String"] === " " && normalizers.some(isSpaces);
    if (nothing) continue; // Gemma's: no space is left to split at
    const scheme = step["prepend_scheme"] ?? (step["add_prefix_space"] === false ? "never" : "always");
    if (step["type"] !== "Metaspace" || step["split"] !== false) throw unsupported(`the pre-tokenizer ${quote(step)}`);
    if (scheme === "first") throw unsupported("a space before the first word of a text and not after special tokens");
    if (scheme === "always") prefix = true;
  }
  return prefix;
}

/**
 * Scores that give what the merges give: a piece's is better the earlier it is made. That needs all ways to make a
 * piece in the list, and one after the other, as in a list that was made from scores.
 */
function scoresOfMerges(merges: readonly unknown[], tokens: readonly string[], types: Int32Array): Float32Array {
  const scores = new Map<string, number>();
  const ways = new Map<string, number>();
  let last = "";
  for (const [rank, merge] of merges.entries()) {
    const piece = (Array.isArray(merge) ? merge : String(merge).split(" ")).join("");
    if (piece !== last && scores.has(piece)) throw unsupported(`merges that make ${quote(piece)} at several ranks`);
    if (piece !== last) scores.set(piece, -rank);
    ways.set(piece, (ways.get(piece) ?? 0) + 1);
    last = piece;
  }
  const pieces = new Set(tokens.filter((_, id) => types[id] === NORMAL));
  for (const piece of pieces) {
    const characters = Array.from(piece);
    let splits = 0;
    for (let i = 1; i < characters.length; i++) {
      if (pieces.has(characters.slice(0, i).join("")) && pieces.has(characters.slice(i).join(""))) splits++;
    }
    if (splits > (ways.get(piece) ?? 0)) throw unsupported(`that ${quote(piece)} is not made of all that it could be`);
  }
  return Float32Array.from(tokens, (token, id) => (types[id] === NORMAL ? (scores.get(token) ?? NO_SCORE) : 0));
}
