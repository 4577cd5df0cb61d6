/**
 * The tokenizer of a `tokenizer.json`: checked, and put in words that the library renders exactly. Where the library
 * would do something else than Hugging Face's own implementation, the part is rewritten, or refused by name. Reads no
 * files.
 */
import { specialToken } from "../checkpoint/huggingface/special-tokens.ts";
import type { HuggingFaceTokenizerSource } from "../checkpoint/tokenizer-source.ts";
import { CllmError } from "../error.ts";
import { GPT2_WORDS } from "./pre-tokenizers.ts";
import { type SplitPattern, splitStep } from "./splits.ts";
import {
  badVocabulary,
  checkCount,
  checkedId,
  checkToken,
  type LibraryTokenizer,
  libraryTokenizer,
  mergePairs,
  quote,
  type Vocabulary,
} from "./vocabulary.ts";
import { TimeLimitError, withinTime } from "./within-time.ts";

type Json = Record<string, unknown>;

/** Added tokens may lie beyond the model's embedding, but not by more than this. */
const MAX_BEYOND = 65_536;

/**
 * Builds the vocabulary of a `tokenizer.json` for a model of `vocabSize` embeddings. Throws `bad-file` for one that
 * contradicts itself or the model, `unsupported` for parts that are not built.
 */
export function huggingFaceVocabulary(source: HuggingFaceTokenizerSource, vocabSize: number): Vocabulary {
  try {
    return checkedVocabulary(source, vocabSize);
  } catch (error) {
    if (error instanceof CllmError) throw error;
    throw badVocabulary(`tokenizer.json cannot be used (${(error as Error).message})`, error);
  }
}

function checkedVocabulary(source: HuggingFaceTokenizerSource, vocabSize: number): Vocabulary {
  const json = object(source.tokenizerJson, "tokenizer.json");
  const model = object(json["model"], "its model");
  checkModel(model);
  const ids = modelIds(model["vocab"], vocabSize);
  const added = addedTokens(json["added_tokens"] ?? [], ids, vocabSize);
  const library = withTimeLimit(
    libraryTokenizer({
      added_tokens: added,
      normalizer: normalizer(json["normalizer"] ?? null),
      pre_tokenizer: preTokenizer(json["pre_tokenizer"] ?? null),
      post_processor: json["post_processor"] ?? null,
      model: {
        type: "BPE",
        vocab: Object.fromEntries(ids),
        merges: mergePairs(model["merges"], ids),
        ignore_merges: model["ignore_merges"] === true,
        byte_fallback: model["byte_fallback"] === true,
        fuse_unk: model["fuse_unk"] === true,
        unk_token: unknownToken(model["unk_token"] ?? null, ids),
      },
    }),
  );
  library.encode("a", { add_special_tokens: true }); // what is wrong with the post-processor shows only when it runs

  const tokens: (string | undefined)[] = [];
  for (const [token, id] of ids) tokens[id] = token;
  for (const { id, content } of added) tokens[id] = content;
  const config = object(source.tokenizerConfig, "tokenizer_config.json");
  const idOf = (key: string) => library.token_to_id(specialToken(config, key) ?? "") ?? null;
  const bosTokenId = within(idOf("bos_token"), vocabSize);
  const eosTokenId = within(idOf("eos_token"), vocabSize);
  const specialIds = new Set(added.filter((token) => token.special).map((token) => token.id));
  for (const id of [bosTokenId, eosTokenId]) if (id !== null) specialIds.add(id);
  const decoding = decodingOf(json["decoder"] ?? null);
  const isVerbatim = ({ content }: AddedToken) => decoding.writing === "byte-level" || !content.includes("\u2581");
  const verbatim = new Set(added.filter(isVerbatim).map((token) => token.id));
  return { ...decoding, library, tokens, verbatim, specialIds, bosTokenId, eosTokenId, before: [], after: [] };
}

/** The regular expressions are the file's, and some never end on some texts: a text gets two seconds and 1 ms a letter. */
function withTimeLimit(library: LibraryTokenizer): LibraryTokenizer {
  return {
    model: library.model,
    coverage: library.coverage,
    token_to_id: (token) => library.token_to_id(token),
    encode(text, options) {
      try {
        return withinTime(2_000 + text.length, () => library.encode(text, options));
      } catch (error) {
        if (!(error instanceof TimeLimitError)) throw error;
        const message = `the tokenizer ${error.message} on a text of ${text.length} characters: a regular expression in`;
        throw new CllmError("bad-file", `${message} tokenizer.json does not end; use the model's GGUF file`);
      }
    },
  };
}

function checkModel(model: Json): void {
  const type = model["type"] ?? (model["merges"] === undefined ? undefined : "BPE"); // old files name no type
  if (type !== "BPE") throw unsupported(`its model is ${quote(type)}; supported is "BPE"`);
  for (const key of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    if (model[key]) throw unsupported(`its model has a ${key} (${quote(model[key])})`);
  }
}

function modelIds(vocab: unknown, vocabSize: number): Map<string, number> {
  const ids = new Map(Object.entries(object(vocab, "its vocabulary"))) as Map<string, number>;
  checkCount(ids.size, vocabSize);
  const seen = new Array<string | undefined>(vocabSize);
  for (const [token, id] of ids) {
    if (typeof id === "number" && id >= vocabSize) checkCount(id + 1, vocabSize);
    checkedId(id, vocabSize, quote(token));
    checkToken(token, id);
    if (seen[id] !== undefined) throw badVocabulary(`token ${id} is both ${quote(seen[id])} and ${quote(token)}`);
    seen[id] = token;
  }
  return ids;
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly normalized: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

function addedTokens(list: unknown, ids: ReadonlyMap<string, number>, vocabSize: number): AddedToken[] {
  if (!Array.isArray(list)) throw badVocabulary(`its added tokens are ${quote(list)}, not a list`);
  const ownerOf = new Map<number, string>();
  for (const [token, id] of ids) ownerOf.set(id, token);
  const idOf = new Map(ids);
  return list.map((item: unknown, i) => {
    const token = object(item, `added token ${i}`);
    const { content } = token;
    const id = checkedId(token["id"], vocabSize + MAX_BEYOND, `added token ${i}`);
    checkToken(content, id);
    if (content === "") throw badVocabulary(`added token ${id} is empty`);
    if (token["single_word"] === true) throw unsupported(`added token ${quote(content)} matches single words only`);
    const owner = ownerOf.get(id) ?? content;
    const other = idOf.get(content) ?? id;
    if (owner !== content) throw badVocabulary(`token ${id} is both ${quote(owner)} and ${quote(content)}`);
    if (other !== id) throw badVocabulary(`${quote(content)} is listed twice, as token ${other} and ${id}`);
    ownerOf.set(id, content);
    idOf.set(content, id);
    const special = token["special"] === true;
    const normalized = typeof token["normalized"] === "boolean" ? token["normalized"] : !special;
    return { id, content, special, normalized, lstrip: token["lstrip"] === true, rstrip: token["rstrip"] === true };
  });
}

function unknownToken(token: unknown, ids: ReadonlyMap<string, number>): string | null {
  if (token === null) return null;
  if (typeof token === "string" && ids.has(token)) return token;
  throw badVocabulary(`its unknown token ${quote(token)} is not in the vocabulary`);
}

/** Checks a normalizer, and gives it back as the library takes it. */
function normalizer(node: unknown): object | null {
  if (node === null) return null;
  const step = object(node, "its normalizer");
  switch (step["type"]) {
    case "Sequence":
      return { type: "Sequence", normalizers: steps(step, "normalizers").map(normalizer) };
    case "Replace":
      checkPattern(step);
      return step;
    case "Prepend":
      if (typeof step["prepend"] !== "string") throw badVocabulary("its Prepend normalizer says not what to prepend");
      return step;
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
    case "Lowercase":
    case "Strip":
      return step;
    default:
      throw unsupported(`its normalizer is ${quote(step["type"])}`);
  }
}

/** Checks a pre-tokenizer, and gives it back in steps that the library takes exactly. */
function preTokenizer(node: unknown): object | null {
  if (node === null) return null;
  const step = object(node, "its pre-tokenizer");
  switch (step["type"]) {
    case "Sequence":
      return sequence(steps(step, "pretokenizers").map(preTokenizer));
    case "Split": {
      checkPattern(step);
      const split = splitStep(step["pattern"] as SplitPattern, step["behavior"], step["invert"] === true);
      if (split !== null) return split;
      throw unsupported(`its Split pre-tokenizer is ${quote(step["behavior"])}, invert ${quote(step["invert"])}`);
    }
    case "ByteLevel": {
      const bytes = { type: "ByteLevel", use_regex: false };
      if (step["add_prefix_space"] === true)
        throw unsupported("its ByteLevel pre-tokenizer adds a space to every text");
      return step["use_regex"] === false ? bytes : sequence([isolated(GPT2_WORDS), bytes]);
    }
    case "Digits":
      return isolated(step["individual_digits"] === true ? "\\p{N}" : "\\p{N}+");
    case "Punctuation": {
      const behavior = step["behavior"] ?? "Isolated";
      if (behavior !== "Isolated" && behavior !== "Contiguous") {
        throw unsupported(`its Punctuation pre-tokenizer is ${quote(behavior)}`);
      }
      return isolated(`[\\p{P}!-/:-@\\[-\`{-~]${behavior === "Contiguous" ? "+" : ""}`);
    }
    case "Metaspace": {
      const scheme = step["prepend_scheme"] ?? (step["add_prefix_space"] === false ? "never" : "always");
      const spaces = { ...step, prepend_scheme: scheme };
      return step["split"] === false ? spaces : sequence([spaces, isolated("\u2581[^\u2581]*|[^\u2581]+")]);
    }
    default:
      throw unsupported(`its pre-tokenizer is ${quote(step["type"])}`);
  }
}

function sequence(pretokenizers: (object | null)[]): object {
  return { type: "Sequence", pretokenizers };
}

function isolated(Regex: string): object {
  return { type: "Split", pattern: { Regex }, behavior: "Isolated" };
}

/** How tokens are turned into text. Throws `unsupported` for decoders that are not about the bytes of each token. */
function decodingOf(node: unknown): Pick<Vocabulary, "writing" | "byteFallback" | "dropsLeadingSpace"> {
  const flat = flattenDecoder(node);
  const types = flat.map((step) => step["type"]);
  if (types.length > 0 && types.every((type) => type === "ByteLevel" || type === "Fuse")) {
    return { writing: "byte-level", byteFallback: false, dropsLeadingSpace: false };
  }
  const strip = flat.find((step) => step["type"] === "Strip");
  const metaspace = flat.find((step) => step["type"] === "Metaspace");
  const replace = flat.find((step) => step["type"] === "Replace");
  const known = types.every((type) =>
    ["Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"].includes(type as string),
  );
  const spaces =
    (metaspace !== undefined && (metaspace["replacement"] ?? "\u2581") === "\u2581") ||
    (replace?.["content"] === " " && (replace["pattern"] as Json | undefined)?.["String"] === "\u2581");
  const stripsOne =
    strip === undefined || (strip["content"] === " " && strip["start"] === 1 && (strip["stop"] ?? 0) === 0);
  if (!known || !spaces || !stripsOne) throw unsupported(`its decoder is ${quote(node)}`);
  const prepends = metaspace !== undefined && (metaspace["prepend_scheme"] ?? "always") !== "never";
  return {
    writing: "sentence-piece",
    byteFallback: types.includes("ByteFallback"),
    dropsLeadingSpace: strip !== undefined || (prepends && metaspace["add_prefix_space"] !== false),
  };
}

function flattenDecoder(node: unknown): Json[] {
  if (node === null) throw unsupported("it has no decoder");
  const step = object(node, "its decoder");
  return step["type"] === "Sequence" ? steps(step, "decoders").flatMap(flattenDecoder) : [step];
}

function checkPattern(step: Json): void {
  const pattern = object(step["pattern"], `the pattern of its ${step["type"]}`);
  if (typeof pattern["Regex"] !== "string" && typeof pattern["String"] !== "string") {
    throw badVocabulary(`the pattern of its ${step["type"]} is ${quote(pattern)}, neither a regex nor a string`);
  }
}

function steps(node: Json, key: string): unknown[] {
  const list = node[key];
  if (!Array.isArray(list)) throw badVocabulary(`its ${key} are ${quote(list)}, not a list`);
  return list;
}

function object(value: unknown, what: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw badVocabulary(`${what} is ${quote(value)}, not an object`);
}

function within(id: number | null, vocabSize: number): number | null {
  return id !== null && id < vocabSize ? id : null;
}

function unsupported(what: string): CllmError {
  return new CllmError(
    "unsupported",
    `the tokenizer cannot be used: ${what}; built are byte-level and SentencePiece-style BPE tokenizers; ` +
      "use the model's GGUF file",
  );
}
