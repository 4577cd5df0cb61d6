/**
 * The behaviours that a Split pre-tokenizer of `tokenizer.json` may have, in the two that the library knows: pieces that match and
 * pieces between them are kept apart, or what matches is left out. Knows no vocabulary.
 */

/** What a Split is about: a regular expression or a text. */
export interface SplitPattern {
  readonly Regex?: unknown;
  readonly String?: unknown;
}

/**
 * A Split with this behaviour as the library takes it; null where it has none. A match that goes to the piece before it does so
 * only where that piece is no match itself, and likewise behind it.
 */
export function splitStep(pattern: SplitPattern, behavior: unknown, invert: boolean): object | null {
  const match = typeof pattern.Regex === "string" ? `(?:${pattern.Regex})` : escaped(pattern.String as string);
  const rest = `(?:(?!${match})[\\s\\S])+`;
  if (behavior === "Removed") return { type: "Split", pattern, behavior, invert }; // inverted: what does not match is removed
  if (behavior === "Isolated") return isolated(pattern); // all pieces are kept, whichever of them matches
  if (invert) return null;
  if (behavior === "Contiguous") return isolated({ Regex: `(?:${match})+` });
  if (behavior === "MergedWithPrevious") return isolated({ Regex: `${rest}${match}|${match}|${rest}` });
  if (behavior === "MergedWithNext") return isolated({ Regex: `${match}${rest}|${match}|${rest}` });
  return null;
}

const isolated = (pattern: SplitPattern): object => ({ type: "Split", pattern, behavior: "Isolated", invert: false });

function escaped(text: string): string {
  return `(?:${text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, (c) => (c === "-" ? "\\x2d" : `\\${c}`))})`;
}
