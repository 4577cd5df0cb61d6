/**
 * How far drafts of one kind turn out right: an estimate of the probability that a draft's first j tokens are all right,
 * learnt from drafts that were tried, the latest counting most. Knows nothing about where the drafts come from.
 */
import type { TokenIds } from "../runtime/session.ts";

const PRIOR_WEIGHT = 1.5; // observations that the estimate of the depth before counts as

export class Acceptance {
  readonly #hits: Float64Array; // [depth]: decayed count of guesses that were right, those before them being right
  readonly #tries: Float64Array;
  readonly #decay: number;

  /** `decay` is what a new observation leaves of the old ones. */
  constructor(decay: number, depths = 32) {
    this.#hits = new Float64Array(depths);
    this.#tries = new Float64Array(depths);
    this.#decay = decay;
  }

  /** The guess at `depth`, counted from 0, turned out `right` or wrong, and those before it were right. */
  observe(depth: number, right: boolean): void {
    if (depth >= this.#tries.length) return;
    this.#tries[depth] = this.#tries[depth]! * this.#decay + 1;
    this.#hits[depth] = this.#hits[depth]! * this.#decay + (right ? 1 : 0);
  }

  /** Observes guesses that what came to be written tells about, whether or not they were run. */
  score(guesses: TokenIds, written: TokenIds): void {
    for (let i = 0; i < Math.min(guesses.length, written.length); i++) {
      const right = guesses[i] === written[i];
      this.observe(i, right);
      if (!right) return;
    }
  }

  /** The probability that the guess at `depth` is right if those before it are; `prior` where little is known. */
  rate(depth: number, prior: number): number {
    if (depth >= this.#tries.length) return prior;
    return (this.#hits[depth]! + PRIOR_WEIGHT * prior) / (this.#tries[depth]! + PRIOR_WEIGHT);
  }

  /**
   * Writes to `expected[m]`, for m from 1 to `most`, how many tokens a pass of m is expected to accept: one, and the
   * guesses up to the first wrong one. A depth that was hardly ever reached is taken to be as good as the one before it.
   */
  expect(expected: Float64Array, most: number, prior: number): void {
    let rate = prior;
    let survival = 1;
    expected[1] = 1;
    for (let m = 2; m <= most; m++) {
      rate = this.rate(m - 2, rate);
      survival *= rate;
      expected[m] = expected[m - 1]! + survival;
    }
  }
  /**
   * The same for one pass after another over a Jacobi window of m tokens, where new guesses at its end count as wrong
   * and only refined ones can be right. So the next pass lacks the guesses that this one settles. With f(g) tokens
   * accepted from g refined guesses, the mean k solves k = f(m - k). Read off at the windows m = g + f(g), linear
   * between them.
   */
  expectWindow(expected: Float64Array, most: number, prior: number): void {
    let rate = this.rate(0, prior);
    let survival = rate;
    let guesses = 0;
    let accepted = 1; // f(guesses)
    for (let m = 1; m <= most; m++) {
      while (guesses + 1 + accepted + survival <= m) {
        guesses++;
        accepted += survival;
        rate = this.rate(guesses, rate);
        survival *= rate;
      }
      expected[m] = accepted + (survival * (m - guesses - accepted)) / (1 + survival);
    }
  }
}
