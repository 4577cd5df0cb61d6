/**
 * The tokenizer of a GGUF file as a `tokenizer.json` with its `tokenizer_config.json`, in the form that Hugging Face's
 * tokenizers read. Reads and writes no files.
 */
import type {
  GgufTokenizerSource,
  HuggingFaceTokenizerSource,
  TokenizerSource,
} from "../checkpoint/tokenizer-source.ts";
import { ggufVocabulary } from "./gguf-vocabulary.ts";
import { preTokenizerNamed } from "./pre-tokenizers.ts";
import type { Vocabulary } from "./vocabulary.ts";

const SPACE = "\u2581";

/**
 * A tokenizer source in Hugging Face's form; one that is already is given back as it is. Throws as `createTokenizer`
 * does for a vocabulary that is damaged or not the model's.
 *
 * @example
 * const { config, weights, tokenizer } = await openCheckpoint("model.gguf");
 * await writeHuggingFace("./model", { config, weights, tokenizer: toHuggingFaceTokenizer(tokenizer, config) });
 */
export function toHuggingFaceTokenizer(
  source: TokenizerSource,
  { vocabSize, contextLength }: { readonly vocabSize: number; readonly contextLength: number },
): HuggingFaceTokenizerSource {
  if (source.kind === "huggingface") return source;
  const vocabulary = ggufVocabulary(source, vocabSize);
  const parts = vocabulary.writing === "byte-level" ? byteLevel(source) : sentencePiece(source, vocabulary);
  const tokenizerJson = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens(vocabulary),
    normalizer: parts.normalizer,
    pre_tokenizer: parts.preTokenizer,
    post_processor: postProcessor(vocabulary) ?? parts.postProcessor,
    decoder: parts.decoder,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      ...parts.model,
      vocab: Object.fromEntries(source.tokens.map((token, id) => [token, id])),
    },
  };
  const special = Object.fromEntries(
    [
      ["bos_token", source.bosTokenId] as const,
      ["eos_token", source.eosTokenId] as const,
      ["unk_token", source.unknownTokenId] as const,
      ["pad_token", source.padTokenId] as const,
    ].flatMap(([key, id]) => (id === null ? [] : [[key, source.tokens[id]]])),
  );
  const tokenizerConfig = {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...special,
    model_max_length: contextLength,
    clean_up_tokenization_spaces: false,
  };
  return {
    kind: "huggingface",
    tokenizerJson,
    tokenizerConfig,
    chatTemplate: source.chatTemplate,
    namedTemplates: source.namedTemplates,
  };
}

interface Parts {
  readonly normalizer: object | null;
  readonly preTokenizer: object | null;
  readonly postProcessor: object | null;
  readonly decoder: object;
  readonly model: object;
}

function byteLevel(source: GgufTokenizerSource): Parts {
  const words = preTokenizerNamed(source.pre);
  const splits = words.patterns.map((Regex) => ({
    type: "Split",
    pattern: { Regex },
    behavior: "Isolated",
    invert: false,
  }));
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  return {
    normalizer: words.normalize && { type: words.normalize },
    preTokenizer: { type: "Sequence", pretokenizers: [...splits, bytes] },
    postProcessor: bytes,
    decoder: bytes,
    model: { ignore_merges: words.ignoreMerges, merges: source.merges },
  };
}

function sentencePiece(source: GgufTokenizerSource, { dropsLeadingSpace, verbatim, tokens }: Vocabulary): Parts {
  const toPiece = { type: "Replace", pattern: { String: " " }, content: SPACE };
  const strip = dropsLeadingSpace ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : [];
  const unknown = source.unknownTokenId ?? source.tokenTypes?.indexOf(UNKNOWN) ?? -1;
  return {
    normalizer: dropsLeadingSpace
      ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: SPACE }, toPiece] }
      : toPiece,
    preTokenizer: null,
    postProcessor: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: SPACE }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...strip,
      ],
    },
    model: {
      byte_fallback: true,
      fuse_unk: true,
      unk_token: tokens[unknown] ?? null,
      merges: mergesByScore(source, verbatim),
    },
  };
}

const UNKNOWN = 2;
const BYTE = 6;

/**
 * SentencePiece's scores as a list of merges: for every piece, best first, all ways to make it of two others. Ways to
 * make the same piece get an order that the scores do not have, which is why `sentence-piece.ts` does without such a list.
 */
function mergesByScore(source: GgufTokenizerSource, verbatim: ReadonlySet<number>): (readonly [string, string])[] {
  const { tokens, scores, tokenTypes } = source;
  const isPiece = (id: number): boolean =>
    !verbatim.has(id) && (tokenTypes === null ? !/^<0x[0-9A-F]{2}>$/.test(tokens[id]!) : tokenTypes[id] !== BYTE);
  const pieces = new Map<string, number>();
  for (const [id, token] of tokens.entries()) if (isPiece(id)) pieces.set(token, scores?.[id] ?? 0);
  const merges: { readonly pair: readonly [string, string]; readonly score: number }[] = [];
  for (const [piece, score] of pieces) {
    const characters = Array.from(piece);
    for (let i = characters.length - 1; i > 0; i--) {
      const left = characters.slice(0, i).join("");
      const right = characters.slice(i).join("");
      if (pieces.has(left) && pieces.has(right)) merges.push({ pair: [left, right], score });
    }
  }
  return merges.sort((a, b) => b.score - a.score).map(({ pair }) => pair);
}

function addedTokens({ verbatim, tokens, specialIds }: Vocabulary): object[] {
  return [...verbatim]
    .sort((a, b) => a - b)
    .map((id) => ({
      id,
      content: tokens[id],
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: specialIds.has(id),
    }));
}

/** Puts special tokens around a text; null where there are none to put. */
function postProcessor({ before, after, tokens }: Vocabulary): object | null {
  const around = [...before, ...after];
  if (around.length === 0) return null;
  const special = (id: number, typeId: number): object => ({ SpecialToken: { id: tokens[id], type_id: typeId } });
  const text = (name: "A" | "B", typeId: number): object[] => [
    ...before.map((id) => special(id, typeId)),
    { Sequence: { id: name, type_id: typeId } },
    ...after.map((id) => special(id, typeId)),
  ];
  return {
    type: "TemplateProcessing",
    single: text("A", 0),
    pair: [...text("A", 0), ...text("B", 1)],
    special_tokens: Object.fromEntries(
      around.map((id) => [tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }]),
    ),
  };
}
