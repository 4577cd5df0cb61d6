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
 * @example const { iteration, refined } = await new DraftPasses(session, text).run(guesses, guesses, 4);
 */
export class DraftPasses {
  readonly #session: Session;
  readonly #text: Transcript;
  #known = 0; // guesses that a branch said
  #candidates: readonly Candidates[] = []; // behind them, for each guess that the last pass refined

  constructor(session: Session, text: Transcript) {
    this.#session = session;
    this.#text = text;
  }

  /**
   * Verifies `guesses`, beside them the `alternatives` most promising other candidates, and refines `drafts`, guesses for the same places.
   * Branches and draft rows that the context has no room for are left out.
   */
  async run(guesses: TokenIds, drafts: TokenIds, alternatives: number): Promise<Verified> {
    const text = this.#text;
    const grove = new Grove(1 + guesses.length + alternatives + drafts.length);
    grove.plant(joinTokens(Int32Array.of(text.last), guesses));
    if (alternatives > 0) this.#plantBranches(grove, guesses, alternatives);
    grove.drafts(drafts.subarray(0, Math.max(0, text.sideRoom(grove.rows))));
    const { next, settled } = await grove.run((tokens, forest) => text.run(tokens, forest));
    const found = this.#session.candidates?.() ?? [];
    const refined = grove.refined(next, settled);
    const foreseen = grove.suggestion(next, settled);
    const iteration = text.accept(next.subarray(0, settled), grove.trunk, grove.rows);
    const known = iteration.accepted.length < settled ? NONE : foreseen;
    this.#known = known.length;
    this.#candidates = found.slice(grove.rows - refined.length + known.length, grove.rows);
    return { iteration, refined: joinTokens(known, refined.subarray(known.length)) };
  }

  /** Other candidates than those that the trunk has: behind what a branch has said, as far as the trunk has first candidates. */
  #plantBranches(grove: Grove, guesses: TokenIds, alternatives: number): void {
    const at = this.#known;
    let trunk = 0;
    while (at + trunk < guesses.length && guesses[at + trunk] === this.#candidates[trunk]?.ids[0]) trunk++;
    if (at > guesses.length) return;
    const most = this.#text.left - 1 - at;
    const places = this.#candidates.slice(0, Math.max(0, Math.min(trunk + 1, most)));
    const paths = promisingPaths(places.map(likelihoods), alternatives, trunk);
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
