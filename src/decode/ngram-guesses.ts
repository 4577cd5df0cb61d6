/**
 * Guesses of a language model of n-grams, which says what comes next in a text and how likely that is: prediction by partial matching
 * (Cleary and Witten, 1984). It learns from the text itself and from earlier answers. How far counts can be trusted is learnt too, from
 * whether what they said came, and is shared by all requests. Takes no pass. Knows nothing about what its guesses are for.
 */
import type { TokenIds } from "../runtime/session.ts";
import { type Followers, followers, LONGEST_ORDER, NgramCounts, ORDERS } from "./ngram-counts.ts";
import type { SuffixView } from "./suffix-memory.ts";

const TEXT_BYTES = 16e6; // of the counts of one text, which begin small
const DECAY = 0.998; // what a new observation leaves of the old ones
const GRADE_WEIGHT = 2; // observations that a rate begins with
const JOINT_WEIGHT = 10;
const LEAST = 0.03; // a chain of guesses ends where it is less likely than this

/** Shares of votes from which a grade begins, and what is thought of each before anything was seen. */
const SHARES = [0, 0.3, 0.5, 0.75, 0.999] as const;
const SHARE_PRIORS = [0.15, 0.35, 0.55, 0.75, 0.8] as const;
/** The same for the number of votes. */
const TOTALS = [1, 2, 4, 11, 40] as const;
const TOTAL_PRIORS = [0.45, 0.65, 0.85, 1, 1] as const;
/** And for the length of the n-gram. */
const ORDER_PRIORS = [0.5, 0.7, 0.85, 0.9, 1, 1.05] as const;
const GRADES = SHARES.length * TOTALS.length;

/** Levels of a probability, where two are looked at together; 0 is for none. */
const LEVELS = 12;
const PAIRS = (LEVELS + 1) ** 2;
/** What a pair of guesses tells: how likely is the one that both make, that of the text, that of the answers. */
const [BOTH, TEXT, ANSWERS] = [0, PAIRS, 2 * PAIRS];

/** How often something was right, the latest counting most. */
class Rates {
  readonly #hits: Float64Array;
  readonly #tries: Float64Array;

  /** Begins as if `weight` observations had been as the priors say. */
  constructor(priors: readonly number[], weight: number) {
    this.#hits = Float64Array.from(priors, (prior) => weight * prior);
    this.#tries = new Float64Array(priors.length).fill(weight);
  }

  rate(at: number): number {
    return this.#hits[at]! / this.#tries[at]!;
  }

  observe(at: number, right: boolean): void {
    this.#hits[at] = this.#hits[at]! * DECAY + (right ? 1 : 0);
    this.#tries[at] = this.#tries[at]! * DECAY + 1;
  }
}

/** What was learnt about how far counts can be trusted. */
export class NgramRecords {
  /** By source, length of the n-gram, share and number of votes. */
  readonly grades: Rates;
  /** By how sure text and answers are. */
  readonly pairs: Rates = new Rates(pairPriors(), JOINT_WEIGHT);

  constructor() {
    const ofSource = ORDER_PRIORS.flatMap((order) =>
      SHARE_PRIORS.flatMap((share) => TOTAL_PRIORS.map((total) => Math.min(0.95, order * share * total))),
    );
    this.grades = new Rates([...ofSource, ...ofSource], GRADE_WEIGHT);
  }
}

function pairPriors(): number[] {
  const odds = (level: number): number => (level === 0 ? 0 : (level - 0.5) / LEVELS);
  const priors = new Array<number>(3 * PAIRS);
  for (let text = 0; text <= LEVELS; text++) {
    for (let answers = 0; answers <= LEVELS; answers++) {
      const at = pairOf(text, answers);
      const doubt = text === 0 || answers === 0 ? 1 : 0.7; // one of two different guesses is wrong
      priors[BOTH + at] = 1 - (1 - odds(text)) * (1 - odds(answers) / 2);
      priors[TEXT + at] = doubt * odds(text);
      priors[ANSWERS + at] = doubt * odds(answers);
    }
  }
  return priors;
}

const pairOf = (text: number, answers: number): number => text * (LEVELS + 1) + answers;

/** What one source says of a place: the text, or answers. */
class Opinion {
  readonly #first: number; // of its grades
  readonly #rates: Rates;
  readonly found: Followers = followers();
  readonly #grades = new Int32Array(ORDERS.length);
  #known = 0; // lengths of n-grams
  /** The likeliest token, and how likely; -1 where nothing is known. */
  id = -1;
  level = 0;

  constructor(rates: Rates, source: number) {
    this.#rates = rates;
    this.#first = source * ORDERS.length * GRADES;
  }

  /** Makes up its mind: of the commonest followers of all lengths, the one that such counts were most often right about. */
  form(known: number): void {
    this.#known = known;
    this.id = -1;
    let best = 0;
    for (let order = 0; order < known; order++) {
      if (this.found.totals[order] === 0) continue;
      const grade = this.#first + order * GRADES + gradeOf(this.found.votes[order]!, this.found.totals[order]!);
      this.#grades[order] = grade;
      const odds = this.#rates.rate(grade);
      if (odds < best) continue;
      best = odds;
      this.id = this.found.ids[order]!;
    }
    this.level = this.id < 0 ? 0 : 1 + Math.min(LEVELS - 1, Math.floor(best * LEVELS));
  }

  /** The token `id` came. */
  learn(id: number): void {
    for (let order = 0; order < this.#known; order++)
      if (this.found.totals[order]! > 0) this.#rates.observe(this.#grades[order]!, this.found.ids[order] === id);
  }
}

function gradeOf(votes: number, of: number): number {
  let share = SHARES.length - 1;
  while (votes < SHARES[share]! * of) share--;
  let total = TOTALS.length - 1;
  while (of < TOTALS[total]!) total--;
  return share * TOTALS.length + total;
}

/**
 * Guesses for one text.
 *
 * @example
 * const guesses = new NgramGuesses(new NgramRecords(), prompt.length);
 * guesses.update(text); // prompt and what was written so far
 * const [draft, odds] = [new Int32Array(8), new Float64Array(8)];
 * const length = guesses.guess(draft, odds);
 */
export class NgramGuesses {
  readonly #pairs: Rates;
  readonly #own = new NgramCounts(TEXT_BYTES);
  readonly #answers: SuffixView | null;
  readonly #ofText: Opinion;
  readonly #ofAnswers: Opinion;
  readonly #promptLength: number;
  #text: TokenIds = new Int32Array(0);
  #context = new Int32Array(64); // the end of the text, and guesses behind it

  constructor({ grades, pairs }: NgramRecords, promptLength: number, answers: SuffixView | null = null) {
    this.#pairs = pairs;
    this.#promptLength = promptLength;
    this.#answers = answers;
    this.#ofText = new Opinion(grades, 0);
    this.#ofAnswers = new Opinion(grades, 1);
  }

  /** Takes in what was added to the text since the last call, and learns behind the prompt whether it was foreseen. */
  update(text: TokenIds): void {
    for (let at = Math.max(1, this.#text.length); at < text.length; at++) {
      if (at >= this.#promptLength) this.#learn(text, at);
      this.#own.count(text, at);
    }
    this.#text = text;
  }

  /**
   * Writes to `draft` what is likely to follow, and to `odds` how likely each guess is behind those before it. Returns how many there
   * are: no more where one is unknown, or hardly likely to be reached.
   */
  guess(draft: TokenIds, odds: Float64Array): number {
    const before = this.#text.subarray(Math.max(0, this.#text.length - LONGEST_ORDER));
    if (this.#context.length < before.length + draft.length)
      this.#context = new Int32Array(before.length + draft.length);
    const context = this.#context;
    context.set(before);
    let reached = 1;
    for (let i = 0; i < draft.length; i++) {
      const end = before.length + i;
      this.#look(context, end);
      const [text, answers] = [this.#ofText, this.#ofAnswers];
      const pair = pairOf(text.level, answers.level);
      let id = text.id;
      let rate = id < 0 ? 0 : this.#pairs.rate((id === answers.id ? BOTH : TEXT) + pair);
      if (answers.id >= 0 && answers.id !== id && this.#pairs.rate(ANSWERS + pair) > rate) {
        id = answers.id;
        rate = this.#pairs.rate(ANSWERS + pair);
      }
      reached *= rate;
      if (id < 0 || reached < LEAST) return i;
      draft[i] = id;
      odds[i] = rate;
      context[end] = id;
    }
    return draft.length;
  }

  /** What text and answers say comes behind `text[0, end)`. */
  #look(text: TokenIds, end: number): void {
    this.#ofText.form(this.#own.look(text, end, this.#ofText.found));
    this.#ofAnswers.form(this.#answers?.look(text, end, this.#ofAnswers.found) ?? 0);
  }

  /** `text[at]` came. The best of many rates is too good, and both sources may know the same: so what came of such pairs is kept, too. */
  #learn(text: TokenIds, at: number): void {
    this.#look(text, at);
    const id = text[at]!;
    const [own, answers] = [this.#ofText, this.#ofAnswers];
    const pair = pairOf(own.level, answers.level);
    if (own.id === answers.id) this.#pairs.observe(BOTH + pair, own.id === id);
    else {
      if (own.id >= 0) this.#pairs.observe(TEXT + pair, own.id === id);
      if (answers.id >= 0) this.#pairs.observe(ANSWERS + pair, answers.id === id);
    }
    own.learn(id);
    answers.learn(id);
  }
}
