/**
 * GGUF metadata `tokenizer.*` into a tokenizer source and the ids that end a completion. Where a value is wrong and nothing
 * depends on it, it says so and goes on, as llama.cpp does. Builds no tokenizer; knows no tensors.
 */
import type { GgufTokenizerSource } from "../tokenizer-source.ts";
import { endIdsByName } from "./end-names.ts";
import { type Fields, fieldsOf, type Metadata } from "./fields.ts";

export interface GgufTokenizerFacts {
  readonly path: string;
  /** Rows of the embedding. */
  readonly vocabSize: number;
  /** Which tokens take the white space behind them, as the family knows: files do not say it. Default: none does. */
  readonly strips?: ((token: string) => boolean) | undefined;
}

export interface GgufTokenizer {
  readonly source: GgufTokenizerSource;
  /** Every id that ends a completion. */
  readonly endTokenIds: readonly number[];
}

/** Keys `tokenizer.ggml.NAME_token_id` whose tokens end a text, a turn, a message, or a file in a repository. */
const END_KEYS = ["eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep"] as const;
/** What SentencePiece vocabularies have at these ids where the file does not say. */
const PIECES = { unknown: "<unk>", bos: "<s>", eos: "</s>" } as const;
const PIECE_IDS = { unknown: 0, bos: 1, eos: 2 } as const;
const CONTROL = 3;
const UNUSED = 5;

/**
 * The tokenizer's vocabulary and settings. Throws `bad-file` where lists disagree. Ids that are no tokens are passed over
 * with a warning.
 */
export function readGgufTokenizer(
  metadata: Metadata,
  { path, vocabSize, strips }: GgufTokenizerFacts,
  warn: (message: string) => void = () => {},
): GgufTokenizer {
  const field = fieldsOf(metadata, path, warn);
  const key = (name: string): string => `tokenizer.ggml.${name}`;
  const model = field.text(key("model"));
  const stored = field.strings(key("tokens"));
  if (model === null) throw field.bad(key("model"), "is missing: the file has no tokenizer");
  if (stored === null) throw field.bad(key("tokens"), "is missing: the file has no vocabulary");
  const tokens = stored.map((token, id) => (token === "" ? `[EMPTY_${id}]` : token)); // the name that llama.cpp gives them
  if (tokens.length === 0 || tokens.length > vocabSize) {
    throw field.bad(key("tokens"), `has ${tokens.length} tokens; the embedding has ${vocabSize} rows`);
  }
  const empty = stored.flatMap((token, id) => (token === "" ? [id] : []));
  if (empty.length > 0) field.warn(key("tokens"), `has ${empty.length} empty tokens, which no text gives`);
  const tokenId = (name: string): number | null => field.tokenId(key(`${name}_token_id`), tokens.length);
  const orPiece = (name: keyof typeof PIECES): number | null => {
    const id = PIECE_IDS[name];
    return tokenId(name) ?? (model === "llama" && tokens[id] === PIECES[name] ? id : null);
  };
  const bosTokenId = orPiece("bos");
  const eosTokenId = orPiece("eos");
  const named = endIdsByName(tokens);
  const ends = END_KEYS.map((name) => (name === "eos" ? eosTokenId : tokenId(name))).filter((id) => id !== null);
  const types = perToken(metadata, field, key("token_type"), tokens.length);
  const tokenTypes = types === null ? null : Int32Array.from(types);
  if (tokenTypes !== null) {
    for (const id of named) tokenTypes[id] = CONTROL; // whatever the file calls it
    for (const id of empty) tokenTypes[id] = UNUSED;
  }
  const added = (flag: string, id: number | null): boolean | null => {
    const wanted = field.flag(key(flag));
    if (!wanted || id !== null) return wanted;
    field.warn(key(flag), "is true, but no such token is named: none is added");
    return false;
  };
  return {
    source: {
      kind: "gguf",
      model,
      pre: field.text(key("pre")) || null,
      tokens,
      scores: perToken(metadata, field, key("scores"), tokens.length),
      tokenTypes,
      merges: field.strings(key("merges")),
      bosTokenId,
      eosTokenId,
      unknownTokenId: orPiece("unknown"),
      padTokenId: tokenId("padding"),
      addBos: added("add_bos_token", bosTokenId),
      addEos: added("add_eos_token", eosTokenId),
      addSpacePrefix: field.flag(key("add_space_prefix")),
      ...(strips && model === "llama" && { strippingIds: tokens.flatMap((token, id) => (strips(token) ? [id] : [])) }),
      ...readTemplates(metadata, field),
    },
    endTokenIds: [...new Set([...ends, ...named])],
  };
}

/** One number per token, or null; entries behind the last token are cut off. */
function perToken(metadata: Metadata, field: Fields, key: string, count: number): Float32Array | null {
  const values = metadata.get(key);
  if (values === undefined) return null;
  if (!(values instanceof Float32Array) && !(values instanceof Int32Array)) {
    throw field.bad(key, "is not an array of 32-bit numbers");
  }
  if (values.length < count) throw field.bad(key, `has ${values.length} entries for ${count} tokens`);
  return Float32Array.from(values.subarray(0, count));
}

const TEMPLATE_KEY = "tokenizer.chat_template";

/** The template, and those that the file names: `tokenizer.chat_template.NAME`. */
function readTemplates(
  metadata: Metadata,
  field: Fields,
): Pick<GgufTokenizerSource, "chatTemplate" | "namedTemplates"> {
  const chatTemplate = field.text(TEMPLATE_KEY);
  const keys = [...metadata.keys()].filter((key) => key.startsWith(`${TEMPLATE_KEY}.`));
  if (keys.length === 0) return { chatTemplate };
  const named = keys.map((key): [string, string] => [key.slice(TEMPLATE_KEY.length + 1), field.text(key) ?? ""]);
  if (chatTemplate !== null) named.unshift(["default", chatTemplate]);
  return { chatTemplate, namedTemplates: Object.fromEntries(named) };
}
