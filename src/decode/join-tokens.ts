/** Sequences of token ids one behind the other, however long: a text spread into a call's arguments overflows the stack. */
import type { TokenIds } from "../runtime/session.ts";

export function joinTokens(...parts: readonly TokenIds[]): TokenIds {
  const joined = new Int32Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
