/** What two sequences have in common. Knows token ids only. */
import type { TokenIds } from "../runtime/session.ts";

/** Leading tokens that two sequences share. */
export function commonPrefix(a: TokenIds, b: TokenIds): number {
  const most = Math.min(a.length, b.length);
  let i = 0;
  while (i < most && a[i] === b[i]) i++;
  return i;
}
