/**
 * What passes take, beside what they are said to cost: a time that every pass has on top, and a factor, learnt from the passes of a model.
 * Costs are those of the fastest passes in the engine's time, and what is around them weighs most on short passes. Knows no decoder.
 */
import type { CostModel } from "./cost.ts";

const KEPT = 0.97; // what a new observation leaves of the old ones
/** Observations that what is said counts as, at a pass of one token and at one that costs four times as much. */
const PRIOR = 3;
const PRIOR_COSTS = [1, 4] as const;
/** Passes that take more than so many times what is said were disturbed, and count as if they took that. */
const MOST = 4;

export class Pace {
  // Sums over observations, the latest counting most: x what a pass is said to cost, y what it took, in passes of one token.
  #weight = 0;
  #x = 0;
  #y = 0;
  #xx = 0;
  #xy = 0;

  /** A pass that is said to cost `expected` took `ms`; `unit` is what one of one token is said to cost. All in milliseconds. */
  observe(expected: number, ms: number, unit: number): void {
    if (!(ms > 0 && expected > 0 && unit > 0)) return; // no clock
    const x = expected / unit;
    const y = Math.min(ms / unit, MOST * x);
    this.#weight = KEPT * this.#weight + 1;
    this.#x = KEPT * this.#x + x;
    this.#y = KEPT * this.#y + y;
    this.#xx = KEPT * this.#xx + x * x;
    this.#xy = KEPT * this.#xy + x * y;
  }

  /** What passes take by what they are said to cost: the line through the observations. */
  corrected(cost: CostModel): CostModel {
    if (this.#weight === 0) return cost;
    let [weight, x, y, xx, xy] = [this.#weight, this.#x, this.#y, this.#xx, this.#xy];
    for (const said of PRIOR_COSTS) {
      weight += PRIOR;
      x += PRIOR * said;
      y += PRIOR * said;
      xx += PRIOR * said * said;
      xy += PRIOR * said * said;
    }
    const slope = (xy - (x * y) / weight) / (xx - (x * x) / weight);
    const factor = Math.min(2, Math.max(0.5, slope));
    const onTop = Math.min(2, Math.max(0, (y - factor * x) / weight)) * cost(1);
    return (tokens) => onTop + factor * cost(tokens);
  }
}
