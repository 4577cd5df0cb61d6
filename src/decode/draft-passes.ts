/**
 * Passes with draft rows: a trunk of guesses that is verified, other candidates of the drafter as branches beside it, and draft rows that
 * refine all guesses. A branch that turns out right says what follows it, which the next pass verifies. Knows neither windows nor other drafts.
 */
import type { Candidates, Session, TokenIds } from "../runtime/session.ts";
import { plantCandidates, promisingPaths } from "./candidate-tree.ts";
import { Grove } from "./forest.ts";
import { joinTokens } from "./join-tokens.ts";
import type { Transcript, Verified } from "./transcript.ts";

/**
 * One pass after the other over a text; it remembers what else the drafter thought of for each place.
 *
 * @example const { iteration, refined } = await new DraftPasses(session, text, 4).run(guesses, guesses);
 */
export class DraftPasses {
  readonly #session: Session;
  readonly #text: Transcript;
  readonly #alternatives: number;
  #known = 0; // guesses that a branch said
  #candidates: readonly Candidates[] = []; // behind them, for each guess that the last pass refined

  /** `alternatives`: how many candidates beside the guesses a pass may have. */
  constructor(session: Session, text: Transcript, alternatives: number) {
    this.#session = session;
    this.#text = text;
    this.#alternatives = alternatives;
  }

  /**
   * Verifies `guesses`, beside them the most promising other candidates, and refines `drafts`, guesses for the same places.
   * Branches and draft rows that the context has no room for are left out.
   */
  async run(guesses: TokenIds, drafts: TokenIds): Promise<Verified> {
    const text = this.#text;
    const grove = new Grove(1 + guesses.length + this.#alternatives + drafts.length);
    grove.plant(joinTokens(Int32Array.of(text.last), guesses));
    this.#plantBranches(grove, guesses);
    grove.drafts(drafts.subarray(0, Math.max(0, text.sideRoom(grove.rows))));
    const { next, settled } = await grove.run((tokens, forest) => text.run(tokens, forest));
    const refined = grove.refined(next, settled);
    const foreseen = grove.suggestion(next, settled);
    const iteration = text.accept(next.subarray(0, settled), grove.trunk, grove.rows);
    const known = iteration.accepted.length < settled ? NONE : foreseen;
    this.#known = known.length;
    const from = grove.rows - refined.length + known.length;
    if (this.#alternatives > 0) this.#candidates = this.#session.candidates?.(from) ?? [];
    return { iteration, refined: joinTokens(known, refined.subarray(known.length)) };
  }

  /** Other candidates than those that the trunk has: behind what a branch has said, as far as the trunk has first candidates. */
  #plantBranches(grove: Grove, guesses: TokenIds): void {
    const at = this.#known;
    if (at > guesses.length) return;
    let trunk = 0;
    while (at + trunk < guesses.length && guesses[at + trunk] === this.#candidates[trunk]?.ids[0]) trunk++;
    const most = this.#text.left - 1 - at;
    const places = this.#candidates.slice(0, Math.max(0, Math.min(trunk + 1, most)));
    const paths = promisingPaths(places.map(likelihoods), this.#alternatives, trunk);
    const chain = places.slice(0, trunk).map(() => 0);
    const tree = { candidates: places.map(({ ids }) => ids), paths, chain, at };
    plantCandidates(grove, tree, (rows) => this.#text.sideRoom(rows) > 0);
  }
}

const NONE = new Int32Array(0);

/** How likely each candidate is, as if there were no others. */
function likelihoods({ logits }: Candidates): number[] {
  const weights = Array.from(logits, (logit) => Math.exp(logit - logits[0]!)); // the first is the largest
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}
