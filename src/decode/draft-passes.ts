/**
 * Passes with draft rows: a trunk of guesses that is verified, second choices of the drafter as branches beside it, and draft rows that refine
 * all guesses. A branch that turns out right says what follows it, which the next pass verifies. Knows neither windows nor other drafts.
 */
import type { Session, TokenIds } from "../runtime/session.ts";
import { Grove } from "./forest.ts";
import { joinTokens } from "./join-tokens.ts";
import type { Transcript, Verified } from "./transcript.ts";

const NONE = new Int32Array(0);

/**
 * One pass after the other over a text; it remembers what the drafter wrote in second place.
 *
 * @example const { iteration, refined } = await new DraftPasses(session, text).run(guesses, guesses, 4);
 */
export class DraftPasses {
  readonly #session: Session;
  readonly #text: Transcript;
  #seconds: TokenIds = NONE; // beside the guesses that the last pass refined

  constructor(session: Session, text: Transcript) {
    this.#session = session;
    this.#text = text;
  }

  /**
   * Verifies `guesses`, beside the first `alternatives` of them their second choices, and refines `drafts`, guesses for the same places.
   * Branches and draft rows that the context has no room for are left out.
   */
  async run(guesses: TokenIds, drafts: TokenIds, alternatives: number): Promise<Verified> {
    const text = this.#text;
    const grove = new Grove(1 + 2 * guesses.length + drafts.length);
    grove.plant(joinTokens(Int32Array.of(text.last), guesses));
    for (let i = 0; i < Math.min(alternatives, guesses.length, this.#seconds.length); i++) {
      const second = this.#seconds[i] as number;
      if (second !== guesses[i] && text.sideRoom(grove.rows) > 0) grove.add(second, i);
    }
    const from = grove.rows;
    grove.drafts(drafts.subarray(0, Math.max(0, text.sideRoom(from))));
    const { next, settled } = await grove.run((tokens, forest) => text.run(tokens, forest));
    const seconds = this.#session.secondChoices?.() ?? NONE;
    const known = grove.suggestion(next, settled);
    const refined = grove.refined(next, settled);
    this.#seconds = grove.refined(seconds, settled);
    const iteration = text.accept(next.subarray(0, settled), grove.trunk, grove.rows);
    if (known.length === 0 || iteration.accepted.length < settled) return { iteration, refined: refined.slice() };
    this.#seconds = joinTokens(known, this.#seconds.subarray(known.length)); // what is known has no second choice
    return { iteration, refined: joinTokens(known, refined.subarray(known.length)) };
  }
}
