/**
 * How often each candidate of each head was right, and the tree of candidates that promises most by that (Medusa, arXiv:2401.10774,
 * section 2.3.3): a candidate of head k counts what the candidates on its way to the root and it itself were right. Knows no pass.
 */
import type { TokenIds } from "../runtime/session.ts";
import { promisingPaths, type TreePath } from "./candidate-tree.ts";

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
    const rates = Array.from({ length: depth }, (_, head) =>
      Array.from({ length: width }, (_, rank) => this.rate(head, rank)),
    );
    return promisingPaths(rates, nodes);
  }
}
