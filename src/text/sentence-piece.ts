/**
 * SentencePiece's BPE: of all neighbouring symbols whose concatenation is a piece, join the pair with the best score,
 * the leftmost of equals, until no pair is left (Kudo and Richardson, 2018, arXiv:1808.06226; Llama 2, Mistral). A
 * merge list cannot say that two ways to make one piece are equally good, so this stands in for the library's merging.
 * Knows nothing of spaces, special tokens or byte fallback.
 */

/** Ranks of pieces by their scores, one score per piece: the best is 0, equal scores share a rank. */
export function ranksByScore(scores: ReadonlyMap<string, number>): Map<string, number> {
  const best = [...new Set(scores.values())].sort((a, b) => b - a);
  const rankOf = new Map(best.map((score, rank) => [score, rank]));
  return new Map([...scores].map(([piece, score]) => [piece, rankOf.get(score)!]));
}

/** Joins neighbours of `symbols` while their concatenation has a rank, lowest rank first, leftmost first. */
export function joinByRank(symbols: readonly string[], ranks: ReadonlyMap<string, number>): string[] {
  const n = symbols.length;
  const text: (string | null)[] = [...symbols]; // null once joined to its left neighbour
  const next = Int32Array.from(symbols, (_, i) => i + 1);
  const previous = Int32Array.from(symbols, (_, i) => i - 1);
  const queue: number[] = []; // a heap of rank * n + left: one number orders by rank, then from left to right
  const rankAt = (left: number) => ranks.get(text[left]! + text[next[left]!]!);
  const offer = (left: number) => {
    if (left < 0 || next[left]! >= n) return;
    const rank = rankAt(left);
    if (rank !== undefined) heapPush(queue, rank * n + left);
  };

  for (let i = 0; i + 1 < n; i++) offer(i);
  while (queue.length > 0) {
    const entry = heapPop(queue);
    const left = entry % n;
    if (text[left] === null || next[left]! >= n || rankAt(left) !== (entry - left) / n) continue; // an outdated pair
    const right = next[left]!;
    text[left] = text[left]! + text[right]!;
    text[right] = null;
    next[left] = next[right]!;
    if (next[left]! < n) previous[next[left]!] = left;
    offer(previous[left]!);
    offer(left);
  }
  return text.filter((symbol) => symbol !== null);
}

function heapPush(heap: number[], value: number): void {
  let i = heap.push(value) - 1;
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (heap[parent]! <= value) break;
    heap[i] = heap[parent]!;
    i = parent;
  }
  heap[i] = value;
}

function heapPop(heap: number[]): number {
  const top = heap[0]!;
  const value = heap.pop()!;
  if (heap.length === 0) return top;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= value) break;
    heap[i] = heap[child]!;
    i = child;
  }
  heap[i] = value;
  return top;
}
