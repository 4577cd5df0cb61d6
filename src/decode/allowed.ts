/** Choosing among some tokens only: sets of ids as one bit each, over rows of logits. Knows no grammar. */

/**
 * The likeliest of the allowed ids, the smallest of equals. `allowed`: a bit per id, or null for all; `more`: ids beside
 * them. -1 where none is allowed.
 */
export function bestAllowed(row: Float32Array, allowed: Uint32Array | null, more: ReadonlySet<number> | null): number {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  if (allowed === null) {
    for (let id = 0; id < row.length; id++)
      if (row[id]! > highest) {
        highest = row[id]!;
        best = id;
      }
    return Math.max(best, 0);
  }
  for (let word = 0; word < allowed.length; word++) {
    const from = word << 5;
    if (allowed[word] === 0xffffffff) {
      for (let id = from; id < from + 32; id++)
        if (row[id]! > highest || best < 0) {
          highest = row[id]!;
          best = id;
        }
    } else
      for (let bits = allowed[word]!; bits !== 0; bits &= bits - 1) {
        const id = from + 31 - Math.clz32(bits & -bits);
        if (row[id]! > highest || best < 0) {
          highest = row[id]!;
          best = id;
        }
      }
  }
  for (const id of more ?? []) {
    if (best >= 0 && (row[id]! < highest || (row[id] === highest && id > best))) continue;
    highest = row[id]!;
    best = id;
  }
  return best;
}

/** Makes all other ids impossible, in place. */
export function forbid(row: Float32Array, allowed: Uint32Array, more: ReadonlySet<number> | null): void {
  const kept = [...(more ?? [])].map((id) => [id, row[id]!] as const);
  for (let word = 0; word < allowed.length; word++) {
    const from = word << 5;
    let bits = ~allowed[word]!;
    if (bits === -1) row.fill(Number.NEGATIVE_INFINITY, from, from + 32);
    else
      for (; bits !== 0; bits &= bits - 1) {
        const id = from + 31 - Math.clz32(bits & -bits);
        if (id < row.length) row[id] = Number.NEGATIVE_INFINITY;
      }
  }
  for (const [id, logit] of kept) row[id] = logit;
}
