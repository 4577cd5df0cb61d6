/**
 * How few tokens a text can become, from its length alone: a token stands for no more bytes than it has. Encodes nothing.
 * Where a tokenizer may drop or join more of a text than that, nothing follows.
 */
import { utf8Length } from "../files/bytes.ts";
import { bytesOfByteLevelToken } from "./byte-alphabet.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Bytes of the longest token, and of a character that has none. */
function longestToken({ tokens, verbatim, writing }: Vocabulary): number {
  let longest = 4;
  for (const [id, token = ""] of tokens.entries()) {
    if (token.length * 3 <= longest) continue; // no UTF-16 unit has more bytes
    const bytes = writing === "byte-level" && !verbatim.has(id) ? bytesOfByteLevelToken(token) : null;
    longest = Math.max(longest, bytes?.length ?? utf8Length(token));
  }
  return longest;
}

/** A bound for texts of a vocabulary: at least so many tokens, special ones apart. */
export function fewestTokens(vocabulary: Vocabulary): (text: string) => number {
  const { factor, dropsSpace } = vocabulary.library.coverage;
  let longest: number | null = null; // when it is asked for
  return (text) => {
    if (factor === null) return 0;
    longest ??= longestToken(vocabulary);
    const kept = dropsSpace ? text.replaceAll(/\p{White_Space}+/gu, "") : text;
    return Math.ceil(utf8Length(kept) / (longest * factor));
  };
}
