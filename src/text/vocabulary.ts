/**
 * What a tokenizer is made of, and the checks of a checkpoint's claims that every source shares: sizes, duplicate
 * tokens, ids beyond the model's embedding, merges of tokens that do not exist. Encodes and decodes nothing itself.
 */
import { Tokenizer } from "@huggingface/tokenizers";
import { CllmError } from "../error.ts";
import { type Coverage, coverageOf } from "./coverage.ts";
import { type StrippingToken, stripBeside } from "./stripping.ts";

/** What is used of the library's tokenizer; the types it publishes do not resolve under Node's module rules. */
export interface LibraryTokenizer {
  readonly model: { bpe(text: string): string[] };
  encode(text: string, options: { add_special_tokens: boolean }): { readonly ids: readonly (number | undefined)[] };
  token_to_id(token: string): number | undefined;
  readonly coverage: Coverage;
}

/** The library's encoder for an object in the form of `tokenizer.json`, decoder apart. */
export function libraryTokenizer(
  json: { readonly added_tokens: readonly StrippingToken[] } & Readonly<Record<string, unknown>>,
): LibraryTokenizer {
  const tokens = json.added_tokens.map((token) => ({ ...token, lstrip: false, rstrip: false }));
  const library = new Tokenizer({ ...json, added_tokens: tokens, decoder: null }, {});
  if (json.added_tokens.some(({ lstrip, rstrip }) => lstrip || rstrip)) {
    stripBeside(library.splitter_unnormalized, json.added_tokens);
    stripBeside(library.splitter_normalized, json.added_tokens);
  }
  return Object.assign(library, { coverage: coverageOf(json) });
}

/** A checked vocabulary with the library's tokenizer over it. */
export interface Vocabulary {
  readonly library: LibraryTokenizer;
  /** Every token as the vocabulary writes it, by id; undefined where an id has no token. */
  readonly tokens: readonly (string | undefined)[];
  /** Added tokens: they stand for their own text, whatever the writing. */
  readonly verbatim: ReadonlySet<number>;
  /** How all other tokens are written: as bytes in GPT-2's alphabet, or as text with U+2581 for a space. */
  readonly writing: "byte-level" | "sentence-piece";
  /** Whether `<0x0A>` and its like stand for single bytes. */
  readonly byteFallback: boolean;
  /** Whether encoding puts a space before a text, which decoding takes away again. */
  readonly dropsLeadingSpace: boolean;
  readonly specialIds: ReadonlySet<number>;
  /** Tokens that stand for no text, beside ids without a token. Default: there are none. */
  readonly unused?: readonly number[];
  readonly bosTokenId: number | null;
  readonly eosTokenId: number | null;
  /** Special tokens that go around a text, beside those that the library adds. */
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** Longer tokens than this are taken for damage; the longest in use are runs of a few hundred characters. */
const MAX_TOKEN_LENGTH = 8192;

export function badVocabulary(message: string, cause?: unknown): CllmError {
  return new CllmError("bad-file", `the tokenizer is damaged: ${message}`, { cause });
}

/** A token's text for an error message: quoted, and cut where it is long. */
export function quote(text: unknown): string {
  const written = JSON.stringify(text) ?? String(text);
  return written.length > 60 ? `${written.slice(0, 57)}...` : written;
}

/** Throws `bad-file` for a token that is no string or absurdly long. */
export function checkToken(token: unknown, id: number): asserts token is string {
  if (typeof token !== "string") throw badVocabulary(`token ${id} is ${quote(token)}, not a string`);
  if (token.length > MAX_TOKEN_LENGTH) {
    throw badVocabulary(`token ${id} is ${token.length} characters long; at most ${MAX_TOKEN_LENGTH} are read`);
  }
}

/** Throws `bad-file` where there are more tokens than the model has embeddings for, or none. */
export function checkCount(count: number, vocabSize: number): void {
  if (count === 0) throw badVocabulary("it has no tokens");
  if (count > vocabSize) {
    throw new CllmError(
      "bad-file",
      `the tokenizer has ${count} tokens, but the model's vocab_size is ${vocabSize}: they do not belong together; ` +
        "use the tokenizer that was published with the model",
    );
  }
}

/** The id, where it is one of `count` tokens; throws `bad-file` otherwise. */
export function checkedId(id: unknown, count: number, what: string): number {
  if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id < count) return id;
  throw badVocabulary(`the id of ${what} is ${quote(id)}, not a whole number from 0 to ${count - 1}`);
}

/** Ids by token text. Throws `bad-file` for a text that occurs twice, of which encoding could never reach one. */
export function idsByToken(tokens: readonly string[]): Map<string, number> {
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    checkToken(token, id);
    const other = ids.get(token);
    if (other !== undefined) throw badVocabulary(`${quote(token)} is listed twice, as token ${other} and ${id}`);
    ids.set(token, id);
  }
  return ids;
}

/**
 * Merges as pairs, from pairs or from strings with a space between. Throws `bad-file` for merges that are anything
 * else, or that name a token which the vocabulary lacks: text would silently get lost there.
 */
export function mergePairs(merges: unknown, ids: ReadonlyMap<string, number>): [string, string][] {
  if (!Array.isArray(merges)) throw badVocabulary(`its merges are ${quote(merges)}, not a list`);
  return merges.map((merge: unknown, i) => {
    const pair = typeof merge === "string" ? twoParts(merge) : merge;
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== "string" || typeof pair[1] !== "string")
      throw badVocabulary(`merge ${i}, ${quote(merge)}, is not two tokens`);
    const [left, right] = pair as [string, string];
    if (!ids.has(left) || !ids.has(right) || !ids.has(left + right)) {
      const missing = [left, right, left + right].find((token) => !ids.has(token));
      throw badVocabulary(`merge ${i} needs ${quote(missing)}, which is not in the vocabulary`);
    }
    return [left, right];
  });
}

/** What stands before and behind the only space; null where there is none, or more than one. */
function twoParts(text: string): [string, string] | null {
  const at = text.indexOf(" ");
  return at < 0 || text.indexOf(" ", at + 1) >= 0 ? null : [text.slice(0, at), text.slice(at + 1)];
}
