/**
 * What `auto` may lose against autoregressive decoding, and what it has saved for experiments. In passes of one token,
 * so that the accounts mean the same on any machine. As long as no pass is run whose worst case `affords` refuses, n new
 * tokens never take longer than n (1 + SHARE) + START passes. Knows nothing about what the passes are.
 */

export const START = 1.5; // may be lost before anything is gained
export const SHARE = 0.015; // may be lost on top per token written
export const CARRY = 6; // of the gains of one request, so much may be lost in the next
const SELDOM = 1 / 8; // savings grow by SHARE at first, and by this part of it in the long run while experiments fail

export class Accounts {
  #purse: number = START;
  #savings: number | null = null; // until the first request
  #eagerness = 1;

  /** A request begins. Where experiments are `likely` to succeed, a dear first one needs no more savings. */
  open(likely = true): void {
    this.#savings ??= likely ? START : START / 3;
    this.#purse = Math.min(this.#purse, CARRY);
  }

  /** Whether `loss` passes may be lost now. */
  affords(loss: number): boolean {
    return loss <= this.#purse;
  }

  /** A pass that cost as much as `price` passes of one token brought `accepted` tokens. */
  book(price: number, accepted: number): void {
    this.#purse += accepted * (1 + SHARE) - price;
    this.#savings = (this.#savings ?? START) + accepted * SHARE * this.#eagerness;
  }

  /** Pays for an experiment that may lose `loss` passes, if there is enough for it; each makes the next one rarer. */
  payExperiment(loss: number): boolean {
    const saved = Math.min(this.#savings ?? START, Math.max(START, loss)); // for one experiment at a time
    this.#savings = saved;
    if (loss > saved || !this.affords(loss)) return false;
    this.#savings = saved - loss;
    this.#eagerness = Math.max(SELDOM, this.#eagerness / 2);
    return true;
  }

  /** What the experiments look for was found. */
  succeed(): void {
    this.#eagerness = 1;
  }
}
