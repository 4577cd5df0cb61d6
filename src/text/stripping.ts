/**
 * Added tokens that take the white space beside them: what is white space is Unicode's to say, as in Hugging Face's own
 * implementation, where the library trims by JavaScript's list. Knows no vocabulary.
 */

export interface StrippingToken {
  readonly content: string;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
}

/** Cuts a text at added tokens. */
export interface Splitter {
  split(text: string): string[];
}

const SPACE = /^\p{White_Space}$/u; // all of them are one UTF-16 unit long

/** Makes the pieces of `splitter` shorter where the tokens beside them say so. */
export function stripBeside(splitter: Splitter, tokens: readonly StrippingToken[]): void {
  const byContent = new Map(tokens.map((token) => [token.content, token]));
  const split = splitter.split.bind(splitter);
  splitter.split = (text) => {
    const pieces = split(text);
    for (const [i, piece] of pieces.entries()) {
      const token = byContent.get(piece);
      const stays = (at: number): boolean => pieces[at] === undefined || byContent.has(pieces[at]);
      if (token?.lstrip && !stays(i - 1)) pieces[i - 1] = withoutEnd(pieces[i - 1]!);
      if (token?.rstrip && !stays(i + 1)) pieces[i + 1] = withoutStart(pieces[i + 1]!);
    }
    return pieces;
  };
}

function withoutEnd(text: string): string {
  let end = text.length;
  while (end > 0 && SPACE.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

function withoutStart(text: string): string {
  let start = 0;
  while (start < text.length && SPACE.test(text[start]!)) start++;
  return text.slice(start);
}
