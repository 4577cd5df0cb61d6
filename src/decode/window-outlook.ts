/**
 * What Jacobi windows promise until the text ends, thought through pass by pass: from the refined guesses at hand on, in texts as long
 * as earlier ones were. Knows neither guesses nor sessions.
 */
import type { Acceptance } from "./acceptance.ts";

/** Passes that are thought ahead. */
const HORIZON = 6;

export class WindowOutlook {
  readonly #loss: Float64Array;
  readonly #accepts: Float64Array; // [m]: tokens that a pass of m accepts whose guesses are all refined
  #known = 0;
  #rests: readonly number[] = [];

  /** `loss[m]`: what a pass of m tokens costs more than one of one, as a share of that. */
  constructor(loss: Float64Array) {
    this.#loss = loss;
    this.#accepts = new Float64Array(loss.length);
  }

  /**
   * From here on there are `known` refined guesses, of which `record` says how good they are, for passes of at most `most` tokens. `rests`: how
   * many tokens are left, as texts before had them; none where nothing is known.
   */
  look(record: Acceptance, most: number, prior: number, known: number, rests: readonly number[]): void {
    record.expect(this.#accepts, most, prior);
    this.#known = known;
    this.#rests = rests;
  }

  /** Whether anything is known of how long the text will be. */
  get sees(): boolean {
    return this.#rests.length > 0;
  }

  /**
   * Tokens in the time of a pass of one, by passes of m and by shorter ones where the refined guesses foresee the end. `paid`: what of the
   * first pass costs nothing, in passes of one.
   */
  promise(m: number, paid = 0): number {
    let [tokens, time] = [0, 0];
    for (const rest of this.#rests) {
      let [left, guesses] = [rest, this.#known];
      for (let pass = 0; pass < HORIZON && left >= 1; pass++) {
        const rows = guesses + 1 >= left ? Math.min(m, Math.ceil(left)) : m;
        const settled = Math.min(left, this.#accepts[1 + Math.min(Math.round(guesses), rows - 1)]!);
        left -= settled;
        guesses = rows - settled;
        time += 1 + this.#loss[rows]!;
      }
      tokens += rest - left;
      time -= paid;
    }
    return tokens / time;
  }
}
