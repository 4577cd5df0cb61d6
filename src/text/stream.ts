/**
 * Tokens to text as they come. What is given out is never half a character and is never taken back, and all of it
 * together is what `decode` gives for all the tokens at once, however they were cut into chunks. Each token costs the
 * same, however long the text has become.
 */
import type { DecodeOptions, Tokenizer } from "./tokenizer.ts";

export interface Detokenizer {
  /** The text that these tokens complete; what may still be part of a character is kept for later. */
  push(ids: ArrayLike<number>): string;
  /** What is left at the end: U+FFFD for a character that was never completed, else nothing. Then starts afresh. */
  end(): string;
}

const NONE: ReadonlySet<number> = new Set();

/** `keep`: special tokens that are text all the same, by their ids. Default: none. */
export interface DetokenizerOptions extends DecodeOptions {
  readonly keep?: ReadonlySet<number>;
}

/** A detokenizer for one text. The other options are those of `decode`. */
export function createDetokenizer(
  tokenizer: Tokenizer,
  { skipSpecialTokens = false, continuation = false, keep = NONE }: DetokenizerOptions = {},
): Detokenizer {
  const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  const dropsSpace = tokenizer.dropsLeadingSpace && !continuation;
  let atStart = true;

  function withoutFirstSpace(text: string): string {
    if (!atStart || text === "") return text;
    atStart = false;
    return dropsSpace && text.startsWith(" ") ? text.slice(1) : text;
  }

  return {
    push(ids) {
      let text = "";
      for (let i = 0; i < ids.length; i++) {
        const bytes = tokenizer.tokenBytes(ids[i]!);
        const skipped = skipSpecialTokens && tokenizer.specialIds.has(ids[i]!) && !keep.has(ids[i]!);
        if (!skipped) text += utf8.decode(bytes, { stream: true });
      }
      return withoutFirstSpace(text);
    },
    end() {
      const text = withoutFirstSpace(utf8.decode());
      atStart = true;
      return text;
    },
  };
}
