/**
 * Text to token ids and back, for any checkpoint: the library's encoder over a checked vocabulary, and a decoder that
 * knows the bytes of every token, so that one token costs the same wherever it stands. Knows nothing of chat templates,
 * of files, or of what the tokens are for.
 */
import type { TokenizerSource } from "../checkpoint/tokenizer-source.ts";
import { CllmError } from "../error.ts";
import { joinBytes } from "../files/bytes.ts";
import { bytesOfByteLevelToken } from "./byte-alphabet.ts";
import { fewestTokens } from "./fewest-tokens.ts";
import { ggufVocabulary } from "./gguf-vocabulary.ts";
import { huggingFaceVocabulary } from "./huggingface-vocabulary.ts";
import { quote, type Vocabulary } from "./vocabulary.ts";

export interface EncodeOptions {
  /**
   * Put the special tokens around the text that the model expects there, such as the beginning-of-sequence token.
   * Default: true. A chat template writes them itself: encode what it gives with false.
   */
  readonly addSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leave special tokens out of the text. Default: false. */
  readonly skipSpecialTokens?: boolean;
  /**
   * The tokens go on from others, so that a space before the first word is text. Default: false, which drops the one
   * space that SentencePiece tokenizers put before every text; others never do.
   */
  readonly continuation?: boolean;
}

export interface Tokenizer {
  /** The model's: ids are in `[0, vocabSize)`, and those at the end may have no token. */
  readonly vocabSize: number;
  readonly specialIds: ReadonlySet<number>;
  /** Ids that stand for no token: the embedding may have more rows than there are tokens. */
  readonly silentIds: ReadonlySet<number>;
  readonly bosTokenId: number | null;
  readonly eosTokenId: number | null;
  /** Whether decoding drops the one space at the very start of a text. */
  readonly dropsLeadingSpace: boolean;
  /** The ids of a text. Special tokens written out in the text become their ids. */
  encode(text: string, options?: EncodeOptions): Int32Array;
  /** A lower bound of a text's ids, from its length alone; 0 if none is known. */
  fewestTokens(text: string): number;
  /** The text of ids. Bytes that are no UTF-8 become U+FFFD. Throws `bad-input` for ids out of range. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  /** The bytes that a token stands for, which may be part of a character; none where the id has no token. */
  tokenBytes(id: number): Uint8Array;
  /** A token by itself, for people: its leading space kept, parts of characters as U+FFFD. */
  tokenText(id: number): string;
}

/**
 * The tokenizer of a checkpoint whose model has `vocabSize` embeddings. Throws `bad-file` for a vocabulary that is
 * damaged or another model's, `unsupported` for kinds of tokenizers that are not built.
 *
 * Added tokens beyond the embedding are let pass here, because many published models have such a left-over: the model
 * cannot write them, and `encode` throws `bad-input` for a text in which one occurs.
 */
export function createTokenizer(source: TokenizerSource, vocabSize: number): Tokenizer {
  if (!Number.isInteger(vocabSize) || vocabSize < 1) {
    throw new CllmError("bad-file", `the model's vocabulary size is ${vocabSize}, which is no positive whole number`);
  }
  const vocabulary =
    source.kind === "gguf" ? ggufVocabulary(source, vocabSize) : huggingFaceVocabulary(source, vocabSize);
  return tokenizerOver(vocabulary, vocabSize);
}

function tokenizerOver(vocabulary: Vocabulary, vocabSize: number): Tokenizer {
  const silentIds = new Set(vocabulary.unused);
  for (let id = 0; id < vocabSize; id++) if (vocabulary.tokens[id] === undefined) silentIds.add(id);
  const { library, specialIds, bosTokenId, eosTokenId, dropsLeadingSpace } = vocabulary;
  const bytesById: Uint8Array[] = []; // filled as asked for

  function tokenBytes(id: number): Uint8Array {
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
      throw new CllmError("bad-input", `token id ${id} is out of range; the model has ids 0 to ${vocabSize - 1}`);
    }
    bytesById[id] ??= bytesOfToken(vocabulary, id);
    return bytesById[id];
  }

  function encode(text: string, { addSpecialTokens = true }: EncodeOptions = {}): Int32Array {
    const { ids } = library.encode(text, { add_special_tokens: addSpecialTokens });
    const all = addSpecialTokens ? [...vocabulary.before, ...ids, ...vocabulary.after] : ids;
    return Int32Array.from(all, (id) => {
      if (id === undefined) throw new CllmError("bad-input", "the tokenizer has no token for part of the text");
      if (id < vocabSize) return id;
      throw new CllmError(
        "bad-input",
        `the text holds ${quote(vocabulary.tokens[id])}, token ${id}, but the model's embedding ends at ` +
          `${vocabSize - 1}; take it out of the text, or use a model that was trained with it`,
      );
    });
  }

  function decode(
    ids: ArrayLike<number>,
    { skipSpecialTokens = false, continuation = false }: DecodeOptions = {},
  ): string {
    const pieces: Uint8Array[] = [];
    for (let i = 0; i < ids.length; i++) {
      const bytes = tokenBytes(ids[i]!);
      if (!(skipSpecialTokens && specialIds.has(ids[i]!))) pieces.push(bytes);
    }
    const text = textOfBytes(joinBytes(pieces));
    return dropsLeadingSpace && !continuation && text.startsWith(" ") ? text.slice(1) : text;
  }

  const tokenText = (id: number) => textOfBytes(tokenBytes(id));
  return {
    ...{ vocabSize, specialIds, silentIds, bosTokenId, eosTokenId, dropsLeadingSpace },
    ...{ encode, fewestTokens: fewestTokens(vocabulary), decode, tokenBytes, tokenText },
  };
}

const utf8 = new TextEncoder();

function bytesOfToken(vocabulary: Vocabulary, id: number): Uint8Array {
  const token = vocabulary.tokens[id] ?? "";
  if (vocabulary.verbatim.has(id)) return utf8.encode(token);
  if (vocabulary.writing === "byte-level") return bytesOfByteLevelToken(token) ?? utf8.encode(token);
  const byte = vocabulary.byteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token) : null;
  return byte ? Uint8Array.of(Number.parseInt(byte[1]!, 16)) : utf8.encode(token.replaceAll("\u2581", " "));
}

function textOfBytes(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
