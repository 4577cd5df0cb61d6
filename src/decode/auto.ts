/**
 * The default decoder: before each pass it picks the draft and the length that promise the most tokens per millisecond,
 * from what passes cost here and from what was accepted so far; a pass without a draft is autoregressive. It can fall
 * behind autoregressive decoding by a small share of its time only, because it keeps accounts of what it may lose.
 */
import type { Session, TokenIds } from "../runtime/session.ts";
import { Acceptance } from "./acceptance.ts";
import { costModel } from "./cost.ts";
import { fromPrompt } from "./drafts.ts";
import { LONGEST_MATCH, NgramIndex, NgramPool } from "./ngrams.ts";
import { requireInteger, settledBy, Transcript } from "./transcript.ts";
import type { DecodeOptions, Iteration } from "./types.ts";

export interface AutoOptions extends DecodeOptions {
  /** Milliseconds of a pass by its number of tokens, measured on this model and machine, such as of 2, 4, 8, 16, 32. */
  readonly costs: ReadonlyMap<number, number>;
  /** Most tokens of a pass. Default: 32. */
  readonly blockSize?: number;
  /** What earlier requests to the same model taught; this one adds to it. Default: nothing. */
  readonly memory?: AutoMemory;
}

// The accounts are kept in passes of one token, so that they mean the same on any machine.
const START = 1.5; // what may be lost before anything is gained
const SHARE = 0.015; // what may be lost on top, of the passes that autoregressive decoding would have taken
const WIDE = 4; // shortest pass that runs Jacobi's guesses for their own sake
const PROBE_ROWS = 8; // Jacobi shows what it is worth only where many guesses are run,
const PROBE_PASSES = 3; // several times in a row:
const PROBE_COST = 1.2; // a probe, which is shorter where it would cost more than this
const SELDOM = 1 / 8; // of what probes may cost at first, what they may in the long run while they fail
const POOLED = 3; // tokens of a recycled draft

/** What `auto` learns about a model, over any number of requests: how good each kind of draft is, and what it may lose. */
export class AutoMemory {
  readonly lookup: readonly Acceptance[] = Array.from(
    { length: levelOf(LONGEST_MATCH) + 1 },
    () => new Acceptance(0.98),
  );
  readonly pool: Acceptance = new Acceptance(0.98);
  readonly narrow: Acceptance = new Acceptance(0.95);
  readonly wide: Acceptance = new Acceptance(0.9);
  /** What may be lost now. */
  purse: number = START;
  /** What is saved up for the next probe of Jacobi's guesses, and how fast it grows: 1, and less after failed ones. */
  savings: number = START;
  eagerness = 1;
}

export async function* auto(
  session: Session,
  prompt: TokenIds,
  { costs, blockSize = 32, memory = new AutoMemory(), ...options }: AutoOptions,
): AsyncGenerator<Iteration, void, void> {
  requireInteger("blockSize", blockSize, 1);
  const text = new Transcript(session, prompt, options);
  const price = prices(costs, blockSize); // [m]: of a pass of m tokens
  const index = new NgramIndex();
  const pool = new NgramPool(1);
  const noise = fromPrompt()(prompt);
  const looked = new Int32Array(blockSize);
  const guessed = new Int32Array(blockSize); // what the last pass wrote behind the settled tokens...
  let guesses = 0; // ...so many
  const lookups = memory.lookup.map((record) => new Source(record, blockSize));
  const pooled = new Source(memory.pool, POOLED);
  const sources = [...lookups, pooled];
  const expected = new Float64Array(blockSize + 1);
  const block = new Int32Array(blockSize);
  let probeRows = Math.min(PROBE_ROWS, blockSize);
  while (probeRows > WIDE && PROBE_PASSES * (price[probeRows]! - 1) > PROBE_COST) probeRows--;
  const probeCost = PROBE_PASSES * (price[probeRows]! - 1);
  let probing = 0; // passes left of a probe
  memory.purse = Math.min(memory.purse, START); // what another request gained is not this one's to lose
  yield await text.prefill();

  while (text.unfinished()) {
    const most = Math.min(blockSize, text.left);
    index.update(text.tokens);
    const match = index.draft(text.tokens, looked.subarray(0, most - 1));
    for (const source of sources) source.offer(none);
    if (match > 0) lookups[levelOf(match)]!.offer(looked.subarray(0, most - 1));
    pooled.offer(pool.latest(text.last)?.subarray(0, most - 1) ?? none);

    // The best promise of tokens per time. Autoregressive decoding promises 1.
    let best = 1;
    let rows = 1;
    let draft = none as TokenIds | "jacobi";
    const weigh = (record: Acceptance, prior: number, from: number, to: number, what: TokenIds | "jacobi") => {
      record.expect(expected, to, prior);
      for (let m = from; m <= to; m++)
        if (expected[m]! > best * price[m]! && price[m]! - 1 <= memory.purse) {
          best = expected[m]! / price[m]!;
          rows = m;
          draft = what;
        }
    };
    let prior = 0.2;
    for (const source of lookups) {
      weigh(source.record, prior, 2, source.draft.length + 1, source.draft);
      prior = source.record.rate(0, prior); // a longer match is thought to be as good as a shorter one
    }
    weigh(pooled.record, 0.1, 2, pooled.draft.length + 1, pooled.draft);
    weigh(memory.narrow, 0.05, 2, Math.min(WIDE - 1, most), "jacobi");
    weigh(memory.wide, memory.narrow.rate(0, 0.05), WIDE, most, "jacobi");

    const isWide = () => draft === "jacobi" && rows >= WIDE;
    if (isWide()) memory.eagerness = 1;
    else if (probing === 0 && probeRows <= most && Math.min(memory.savings, memory.purse) >= probeCost) {
      probing = PROBE_PASSES;
      memory.savings -= probeCost;
      memory.eagerness = Math.max(SELDOM, memory.eagerness / 2);
    }
    if (probing > 0 && probeRows <= most && price[probeRows]! - 1 <= memory.purse && !isWide()) {
      draft = "jacobi";
      rows = probeRows;
    }
    probing = Math.max(0, probing - 1);

    const trunk = block.subarray(0, rows); // (m,)
    trunk[0] = text.last;
    if (draft === "jacobi") {
      const kept = Math.min(guesses, rows - 1);
      trunk.set(guessed.subarray(0, kept), 1);
      if (kept + 1 < rows) noise(trunk, kept + 1, text.tokens);
    } else trunk.set(draft.subarray(0, rows - 1), 1);
    const next = await session.forward(trunk); // (m,)
    const k = settledBy(trunk, next);

    if (draft === "jacobi")
      for (let i = 1; i <= k && i < rows; i++) (isWide() ? memory.wide : memory.narrow).observe(i - 1, i < k);
    for (const source of sources) source.score(next.subarray(0, k));
    pool.recycle(trunk.subarray(k), next.subarray(k), POOLED);
    guesses = rows - k;
    guessed.set(next.subarray(k));
    memory.purse += k * (1 + SHARE) - price[rows]!;
    memory.savings = Math.min(Math.max(START, probeCost), memory.savings + k * SHARE * memory.eagerness);
    yield text.accept(next.subarray(0, k), rows, rows, next.subarray(k));
  }
}

const none = new Int32Array(0);

/** Class of a match by its length, in steps of half an octave: 0 for 1, 2 for 2, 3 for 3, 4 for 4 and 5, and so on. */
function levelOf(match: number): number {
  return Math.floor(2 * Math.log2(match));
}

/** Costs of a pass of each length up to `most`, in passes of one token. */
function prices(costs: ReadonlyMap<number, number>, most: number): Float64Array {
  const cost = costModel(costs);
  return Float64Array.from({ length: most + 1 }, (_, m) => cost(Math.max(1, m)) / cost(1));
}

/** A kind of draft that no pass is needed for. A draft is watched until it turns out wrong, whether it is run or not. */
class Source {
  readonly record: Acceptance;
  /** What it offers for the next pass: a view, valid until then. */
  draft: TokenIds = none;
  readonly #watched: Int32Array;
  #length = 0;
  #right = 0; // tokens of the watched draft that turned out right

  constructor(record: Acceptance, longest: number) {
    this.record = record;
    this.#watched = new Int32Array(longest);
  }

  offer(draft: TokenIds): void {
    this.draft = draft;
    if (this.#right < this.#length || draft.length === 0) return;
    this.#watched.set(draft);
    this.#length = draft.length;
    this.#right = 0;
  }

  /** Tells it how the text went on. */
  score(accepted: TokenIds): void {
    for (const id of accepted) {
      if (this.#right === this.#length) return;
      const right = this.#watched[this.#right] === id;
      this.record.observe(this.#right, right);
      if (right) this.#right++;
      else this.#length = this.#right = 0;
    }
  }
}
