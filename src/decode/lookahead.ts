/**
 * Lookahead decoding (arXiv:2402.02057): a window of W columns, in which every column remembers its last N-1 Jacobi
 * iterations, writes W new n-grams per pass into a pool; the pool drafts what follows the last accepted token. Window
 * and candidates run in one pass, as branches that cannot see each other. The newest candidate rides in the trunk, the
 * others beside it. Trades many rows per pass for n-grams that an untrained model finds by itself.
 */
import { hash } from "../hash.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import { Grove } from "./forest.ts";
import { NgramPool } from "./ngrams.ts";
import { requireInteger } from "./require.ts";
import { Transcript } from "./transcript.ts";
import type { DecodeOptions, Iteration } from "./types.ts";

export interface LookaheadOptions extends DecodeOptions {
  /** Columns of the window, W: new n-grams per pass. Default: 5. */
  readonly window?: number;
  /** Length of the n-grams, N, at least 2: the window has N-1 rows per column. Default: 3. */
  readonly ngram?: number;
  /** Candidates kept for each token and tried per pass, G. Default: 3. */
  readonly candidates?: number;
}

/**
 * Guesses from n-grams that side branches of each pass collect.
 *
 * @example for await (const { accepted } of lookahead(session, prompt, { maxNewTokens: 64, window: 8 })) console.log(accepted);
 */
export async function* lookahead(
  session: Session,
  prompt: TokenIds,
  { window: columns = 5, ngram = 3, candidates = 3, ...options }: LookaheadOptions,
): AsyncGenerator<Iteration, void, void> {
  requireInteger("window", columns, 1);
  requireInteger("ngram", ngram, 2);
  requireInteger("candidates", candidates, 1);
  const text = new Transcript(session, prompt, options);
  const pool = new NgramPool(candidates);
  for (let i = 0; i + ngram <= prompt.length; i++) pool.add(prompt[i]!, prompt.subarray(i + 1, i + ngram));
  const window = new Window(columns, ngram - 1, (at) => prompt[hash(at) % prompt.length]!);
  const grove = new Grove((columns + candidates + 2) * ngram);
  let suggested: TokenIds = new Int32Array(0); // by a branch of the pass before that turned out right
  yield await text.prefill();
  while (text.unfinished()) {
    const known = pool.after(text.last);
    const draft = suggested.length > 0 ? extended(suggested, pool, ngram - 1) : (known.shift() ?? suggested);
    const mended = text.mend(draft.subarray(0, text.left - 1), Math.min(text.left - 1, 2 * ngram));
    grove.plant(Int32Array.of(text.last, ...mended));
    for (const candidate of known) {
      const useful = candidate.subarray(0, text.left - 1);
      if (useful.length <= text.sideRoom(grove.rows)) grove.branch(useful);
    }
    const windowed = columns + ngram - 2 < text.left && window.rows <= text.sideRoom(grove.rows); // near the end it would not pay
    const rows = windowed ? window.plant(grove) : [];
    const { next, settled } = await grove.run((tokens, forest) => text.run(tokens, forest));
    window.turn(rows, next, settled, pool);
    suggested = grove.suggestion(next, settled);
    yield text.accept(next.subarray(0, settled), grove.trunk, grove.rows);
  }
}

/** A draft of at least `length` tokens, as far as the pool knows how it goes on. */
function extended(draft: TokenIds, pool: NgramPool, length: number): TokenIds {
  const more = draft.length < length ? pool.latest(draft.at(-1)!) : undefined;
  return more ? Int32Array.of(...draft, ...more) : draft;
}

/**
 * The two-dimensional window. Level 0 is a chain behind the last accepted token; level j continues each column of level
 * j-1 with what the model wrote there one pass ago, so a column read downwards is an n-gram of the model.
 */
class Window {
  readonly #columns: number;
  readonly #height: number;
  readonly #noise: (at: number) => number;
  #levels: Int32Array[]; // up to `height` of (W,), the oldest first
  #drawn = 0;

  constructor(columns: number, height: number, noise: (at: number) => number) {
    this.#columns = columns;
    this.#height = height;
    this.#noise = noise;
    this.#levels = [this.#shifted(new Int32Array(0), 0)];
  }

  get rows(): number {
    return this.#columns * this.#levels.length;
  }

  /** Adds the window to the pass and returns the rows of its last level. */
  plant(grove: Grove): number[] {
    let rows: number[] = [];
    for (const [j, level] of this.#levels.entries()) {
      const above = rows;
      rows = [];
      for (const [i, token] of level.entries())
        rows.push(grove.add(token, j > 0 ? above[i]! : i > 0 ? rows[i - 1]! : 0));
    }
    return rows;
  }

  /** Takes the outputs of the last level, pools the n-grams that are complete and moves on by `settled` tokens. */
  turn(rows: readonly number[], next: TokenIds, settled: number, pool: NgramPool): void {
    let shift = settled;
    if (rows.length > 0) {
      const newest = Int32Array.from(rows, (row) => next[row]!);
      const levels = [...this.#levels, newest];
      if (levels.length > this.#height) {
        for (let i = 0; i < this.#columns; i++)
          pool.add(
            levels[0]![i]!,
            Int32Array.from(levels.slice(1), (level) => level[i]!),
          );
        levels.shift(); // which leaves every column one position further on
        shift--;
      }
      this.#levels = levels;
    }
    if (shift > 0) this.#levels = this.#levels.map((level) => this.#shifted(level, shift));
  }

  #shifted(level: Int32Array, by: number): Int32Array {
    return Int32Array.from({ length: this.#columns }, (_, i) => level[i + by] ?? this.#noise(this.#drawn++));
  }
}
