/**
 * Whether a model with a draft adapter decodes with draft rows: by what whole requests brought with them and without. Each pass is chosen by
 * what it promises, but draft rows pay only over several passes, and drafts from the text interrupt them. Knows no pass.
 */

const DECAY = 0.9; // what a request leaves of the rates before it
const RETRY = 12; // requests after which the slower way is tried again; twice as many each time that it is slower still
const MOST_RETRY = 96;

/** What requests of one kind brought. */
interface Yield {
  tokens: number;
  /** In passes of one token. */
  cost: number;
}

/** @example const regimes = new Regimes(); const drafts = regimes.next(); // then, behind the request: regimes.learn(drafts, 35, 20); */
export class Regimes {
  readonly #with: Yield = { tokens: 0, cost: 0 };
  readonly #without: Yield = { tokens: 0, cost: 0 };
  #since = 0; // requests since both were tried
  #wait = RETRY;
  #tried: boolean | null = null; // which way was slower when it was tried last

  /** Whether the next request may use draft rows. The first one may, the second one not; then the faster way goes on. */
  next(): boolean {
    const [drafting, plain] = [rate(this.#with), rate(this.#without)];
    if (drafting === null || plain === null) return drafting === null;
    const faster = drafting >= plain;
    if (faster === this.#tried) [this.#wait, this.#tried] = [RETRY, null]; // it has become the faster one
    if (++this.#since < this.#wait) return faster;
    this.#since = 0;
    this.#wait = Math.min(MOST_RETRY, 2 * this.#wait);
    this.#tried = !faster;
    return !faster;
  }

  /** What a request wrote behind its prompt, and what that cost. */
  learn(drafts: boolean, tokens: number, cost: number): void {
    if (cost <= 0) return;
    const known = drafts ? this.#with : this.#without;
    known.tokens = known.tokens * DECAY + tokens;
    known.cost = known.cost * DECAY + cost;
  }
}

const rate = ({ tokens, cost }: Yield): number | null => (cost === 0 ? null : tokens / cost);
