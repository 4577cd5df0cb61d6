/**
 * How often each candidate of each head was right, and the tree of candidates that promises most by that (Medusa, arXiv:2401.10774,
 * section 2.3.3): a candidate of head k counts what the candidates on its way to the root and it itself were right. Knows no pass.
 */
import type { TokenIds } from "../runtime/session.ts";

/** Candidates on the way from the root: `[0, 2]` is head 1's candidate 2 behind head 0's candidate 0. */
export type TreePath = readonly number[];

/** What is thought of candidate `rank` of head `head` before any was seen, and how many observations that counts as. */
const prior = (head: number, rank: number): number => 0.6 * 0.8 ** head * 0.35 ** rank;
const PRIOR_WEIGHT = 8;

/**
 * Learns from guesses whose tokens came to be written. One may serve many requests to a model.
 *
 * @example
 * const record = new HeadRecord(); // for every request to one model
 * for await (const { accepted } of medusa(session, prompt, { maxNewTokens: 64, record })) console.log(accepted);
 */
export class HeadRecord {
  readonly #hits: number[][] = []; // [head][rank]
  readonly #tries: number[] = []; // [head]

  /** Head `head` had `candidates`, and `token` came. */
  observe(head: number, candidates: TokenIds, token: number): void {
    this.#hits[head] ??= [];
    const hits = this.#hits[head];
    const rank = candidates.indexOf(token);
    if (rank >= 0) hits[rank] = (hits[rank] ?? 0) + 1;
    this.#tries[head] = (this.#tries[head] ?? 0) + 1;
  }

  /** How often candidate `rank` of head `head` is right. */
  rate(head: number, rank: number): number {
    const hits = this.#hits[head]?.[rank] ?? 0;
    return (hits + PRIOR_WEIGHT * prior(head, rank)) / ((this.#tries[head] ?? 0) + PRIOR_WEIGHT);
  }

  /** The `nodes` most promising paths of at most `depth` heads with `width` candidates each, every one behind its parent. */
  tree(nodes: number, depth: number, width: number): TreePath[] {
    const ranks = Array.from({ length: depth }, (_, head) =>
      Array.from({ length: width }, (_, rank) => ({ rank, rate: this.rate(head, rank) })).sort(
        (a, b) => b.rate - a.rate || a.rank - b.rank,
      ),
    );
    const paths: TreePath[] = [];
    if (depth === 0 || width === 0) return paths;
    // Of each node that is in the tree: its best child, and its next best sibling.
    const open = [{ path: [] as TreePath, worth: 1, at: 0 }];
    const worthOf = ({ path, worth, at }: (typeof open)[number]): number =>
      worth * (ranks[path.length]?.[at]?.rate ?? 0);
    while (paths.length < nodes && open.length > 0) {
      const [best] = open.sort((a, b) => worthOf(b) - worthOf(a));
      const { path, worth, at } = open.shift() ?? best!;
      const chosen = [...path, ranks[path.length]![at]!.rank];
      paths.push(chosen);
      if (at + 1 < width) open.push({ path, worth, at: at + 1 });
      if (chosen.length < depth) open.push({ path: chosen, worth: worth * ranks[path.length]![at]!.rate, at: 0 });
    }
    return paths;
  }
}
