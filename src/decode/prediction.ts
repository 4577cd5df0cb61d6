/**
 * A prediction: what the caller thinks the text will be, such as a file of which a few lines change. A cursor follows the text
 * through it. Where the text departs from it, the cursor looks for the place where they meet again, so that what stands behind
 * a changed part goes on being of use. Constant time per token. Knows nothing about who uses the guesses.
 */
import { mix } from "../hash.ts";
import type { TokenIds } from "../runtime/session.ts";
import type { DraftPolicy } from "./drafts.ts";

const LONGEST = 16; // tokens that are compared before a place
const NEAR = 8; // occurrences of a pair that are looked at on each side of where the text left the prediction
const AHEAD = 32; // tokens in which a single token is looked for
const SURE = 2; // tokens in a row that make a place certain
const TRUSTED = 4; // what a prediction that nothing contradicts yet is worth

/** The prediction, with where each pair of its tokens occurs. */
class Prediction {
  readonly tokens: TokenIds;
  readonly #places = new Map<number, number[]>(); // hash of two tokens -> indices behind them, in order

  constructor(tokens: TokenIds) {
    this.tokens = tokens;
    for (let end = 2; end <= tokens.length; end++) {
      const key = pair(tokens[end - 2]!, tokens[end - 1]!);
      const places = this.#places.get(key);
      if (places === undefined) this.#places.set(key, [end]);
      else places.push(end);
    }
  }

  /** The place whose last tokens are most of those of `text`, the nearest to `from` of several; 0 where no two are. */
  meet(text: TokenIds, from: number): { readonly place: number; readonly match: number } {
    let best = { place: 0, match: SURE - 1 };
    if (text.length < 2) return best;
    const places = this.#places.get(pair(text[text.length - 2]!, text[text.length - 1]!)) ?? [];
    const middle = firstFrom(places, from);
    for (let i = 0; i < 2 * NEAR; i++) {
      const at = i % 2 === 0 ? middle + i / 2 : middle - (i + 1) / 2; // ahead first, since texts go on
      const place = places[at];
      if (place === undefined) continue;
      const match = this.#match(text, place);
      if (match > best.match) best = { place, match };
    }
    return best;
  }

  #match(text: TokenIds, place: number): number {
    const most = Math.min(LONGEST, place, text.length);
    let n = 0;
    while (n < most && this.tokens[place - 1 - n] === text[text.length - 1 - n]) n++;
    return n;
  }
}

const pair = (a: number, b: number): number => mix(mix(a) ^ b) >>> 2;

/** Index of the first of ascending values that is `least` or more. */
function firstFrom(values: readonly number[], least: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Where in a prediction a text is.
 *
 * @example
 * const cursor = new PredictionCursor(Int32Array.of(1, 2, 3, 4, 5, 6));
 * cursor.follow(Int32Array.of(1, 9), 0); // 2 became 9
 * console.log(cursor.ahead(4)); // 3, 4, 5, 6
 */
export class PredictionCursor {
  readonly #prediction: Prediction;
  readonly #met: Uint8Array; // of each token of the prediction: whether the text has it
  #at = 0;
  #run = TRUSTED; // tokens in a row that the text and the prediction share before `at`
  #anchor = 0; // where the text left the prediction
  #accepted = 0;

  /** A cursor at the prediction's beginning, or where another one is. */
  constructor(prediction: TokenIds | PredictionCursor) {
    if (prediction instanceof PredictionCursor) {
      this.#prediction = prediction.#prediction;
      this.#met = prediction.#met.slice();
      this.#at = prediction.#at;
      this.#run = prediction.#run;
      this.#anchor = prediction.#anchor;
      this.#accepted = prediction.#accepted;
    } else {
      this.#prediction = new Prediction(prediction);
      this.#met = new Uint8Array(prediction.length);
    }
  }

  /** How sure the place is: the tokens in a row that agree before it. */
  get run(): number {
    return this.#run;
  }

  /** Tokens of the prediction that the text has, and the others. */
  get counts(): { readonly accepted: number; readonly rejected: number } {
    return { accepted: this.#accepted, rejected: this.#prediction.tokens.length - this.#accepted };
  }

  /** What comes next if the prediction holds: a view of up to `count` tokens. */
  ahead(count: number): TokenIds {
    return this.#prediction.tokens.subarray(this.#at, this.#at + count);
  }

  /** The text has grown: `written` are its tokens, those from index `from` on are new. */
  follow(written: TokenIds, from: number): void {
    for (let end = from + 1; end <= written.length; end++) this.#step(written.subarray(0, end));
  }

  #step(text: TokenIds): void {
    const { tokens } = this.#prediction;
    const token = text[text.length - 1]!;
    if (tokens[this.#at] === token) {
      this.#run++;
      this.#move(this.#at + 1, 1);
      return;
    }
    if (this.#run >= SURE) this.#anchor = this.#at;
    const { place, match } = this.#prediction.meet(text, this.#anchor);
    if (place > 0) {
      this.#run = match;
      this.#move(place, match);
      return;
    }
    const near = tokens.subarray(this.#anchor, this.#anchor + AHEAD).indexOf(token);
    this.#run = near < 0 ? 0 : 1;
    this.#move(near < 0 ? Math.min(this.#anchor + 1, tokens.length) : this.#anchor + near + 1, this.#run); // one token was replaced
  }

  /** Goes to a place, before which the text has `shared` tokens. */
  #move(place: number, shared: number): void {
    this.#at = place;
    for (let i = place - shared; i < place; i++) {
      if (this.#met[i] !== 0) continue;
      this.#met[i] = 1;
      this.#accepted++;
    }
  }
}

/**
 * Guesses that the text is what was predicted. Where it departs from that, guesses go on behind the changed part.
 *
 * @example
 * const draft = fromPrediction(model.tokenizer.encode("const first = 1;\n"));
 * for await (const { accepted } of speculative(session, prompt, { maxNewTokens: 512, draft })) console.log(accepted);
 */
export function fromPrediction(prediction: TokenIds): DraftPolicy {
  return (prompt) => {
    const cursor = new PredictionCursor(prediction.slice());
    let followed = 0;
    return {
      guess(text, guesses, { count }) {
        const written = text.subarray(prompt.length);
        cursor.follow(written, followed);
        followed = written.length;
        if (guesses.length === 0) return cursor.ahead(count).slice();
        const later = new PredictionCursor(cursor);
        later.follow(guesses, 0);
        return later.ahead(count).slice();
      },
      [Symbol.asyncDispose]: async () => {},
    };
  };
}
