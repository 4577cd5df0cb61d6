/**
 * What a pass of m tokens costs here, for `auto`: measured in a second or two on a small model. Knows a `Session` and nothing of
 * what is inside, nor where costs are kept.
 */
import { CllmError } from "../error.ts";
import { hash } from "../hash.ts";
import { draftForest, type Session } from "../runtime/session.ts";
import type { PassCosts } from "./types.ts";

/**
 * Tokens in a pass that are measured, all up to 8: costs rise in steps there, which straight lines would miss. One is
 * run as two, but needs only one choice where tokens are sampled.
 */
export const CALIBRATED_SIZES: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32];

const CONTEXT = 64; // tokens that every measured pass looks back at
const ROUNDS = 25; // of a small model
const ENOUGH_ROUNDS = 5;
const BUDGET_MS = 2000;
const LONGEST_MS = 4000; // big models: one round must do
const LONG_PASS_MS = 200; // and caches hold nothing of them anyway
/** Passes before the first round, at most: runtimes compile what runs often to something faster, WebAssembly too. */
const WARMING_PASSES = 32;
const WARMING_MS = 150;
/** How it is measured: results of another method are not used. */
export const METHOD = "warm";

/** Passes of all sequences of an engine. */
export interface Activity {
  /** Those that were begun so far. */
  readonly begun: number;
  /** Those under way. */
  readonly running: number;
}

export interface CalibrateOptions {
  readonly signal?: AbortSignal | undefined;
  /** What the engine does beside this: a round that others' passes fell into does not count. Default: nothing. */
  readonly activity?: () => Activity;
  /** Measure passes with draft rows, which a third of their rows verify. Default: false. */
  readonly drafting?: boolean;
  /** Called after each pass. */
  readonly onPass?: (done: number, total: number) => void;
}

/** What was measured, and what it is worth. */
export interface Calibration {
  readonly costs: PassCosts;
  /**
   * `good` is kept for a week. `noisy` was measured while the machine did other things, and is good enough for some minutes.
   * `disturbed` was not measured at all, because the engine had other requests: the costs are those of a usual machine.
   */
  readonly verdict: "good" | "noisy" | "disturbed";
}

const DISTURBANCES = 5; // then it gives up, because a request is waiting
const FEW_ROUNDS = 3; // that tell nothing of noise
const NOISE = 0.25; // of a size's cost, in half of the rounds
const NOISY_MS = 5 * 60_000;
/** Costs beside a pass of one token, as small models have them in int8. */
const USUAL: PassCosts = new Map(CALIBRATED_SIZES.map((size) => [size, 10 * (1 + 0.2 * (size - 1))]));

/**
 * Milliseconds of a pass by its number of tokens, on a session that nothing else runs beside. See `calibrate`.
 *
 * @example const costs = await measurePassCosts(model.session()); // milliseconds by tokens of a pass
 */
export async function measurePassCosts(session: Session, options: CalibrateOptions = {}): Promise<PassCosts> {
  return (await calibrate(session, options)).costs;
}

/**
 * Milliseconds of a pass by its number of tokens. Decisions need to know how sizes compare on this machine as it is. So
 * each size's cost is the median, over rounds through all sizes, of its time over the geometric mean of the same round.
 * The shortest pass of each size would compare different moments, and would hide how a busy machine slows wide passes.
 * Sizes that the context has no room for are left out. The session must be empty; it is left empty.
 */
export async function calibrate(
  session: Session,
  { signal, onPass, activity = nothingElse, drafting = false }: CalibrateOptions = {},
): Promise<Calibration> {
  const ids = Int32Array.from({ length: CONTEXT }, (_, i) => hash(i) % session.vocabSize);
  const context = ids.subarray(0, Math.min(CONTEXT, Math.floor(session.contextLength / 2)));
  const sizes = CALIBRATED_SIZES.filter((size) => context.length + size <= session.contextLength);
  const rounds: number[][] = []; // [round][size]: milliseconds
  const disturbed: Calibration = { costs: USUAL, verdict: "disturbed" };
  if (activity().running > 0) return disturbed;
  /** Milliseconds of a pass; null where it was not alone. */
  const pass = async (size: number): Promise<number | null> => {
    if (signal?.aborted) throw new CllmError("aborted", "the calibration was aborted", { cause: signal.reason });
    const before = activity();
    const start = performance.now();
    await session.forward(ids.subarray(0, size), drafting ? draftForest(Math.ceil(size / 3), size) : undefined);
    const elapsed = performance.now() - start;
    session.truncate(context.length);
    const after = activity();
    return before.running + after.running > 0 || after.begun - before.begun > 1 ? null : elapsed;
  };
  /** A pass of each size; null where one of them was not alone. */
  const measureRound = async (warmed: boolean, round: number): Promise<number[] | null> => {
    if (!warmed && (await pass(sizes[0]!)) === null) return null; // what a wide pass left in the processor's caches
    const times: number[] = [];
    for (const [index, size] of sizes.entries()) {
      const ms = await pass(size);
      if (ms === null) return null;
      times.push(ms);
      onPass?.(round * sizes.length + index + 1, ROUNDS * sizes.length);
    }
    return times;
  };
  await session.forward(context);
  const warming = performance.now();
  for (let i = 0; i < WARMING_PASSES && performance.now() - warming < WARMING_MS; i++)
    if ((await pass(sizes[0]!)) === null) break;
  const begin = performance.now();
  let disturbances = 0;
  while (rounds.length < ROUNDS && disturbances < DISTURBANCES) {
    const times = await measureRound((rounds.at(-1)?.at(-1) ?? 0) >= LONG_PASS_MS, rounds.length);
    if (times === null) disturbances++;
    else rounds.push(times);
    const elapsed = performance.now() - begin;
    if (elapsed > LONGEST_MS || (rounds.length >= ENOUGH_ROUNDS && elapsed > BUDGET_MS)) break;
  }
  session.truncate(0);
  const few = rounds.length < ENOUGH_ROUNDS;
  if (rounds.length === 0 || (disturbances === DISTURBANCES && few)) return disturbed;
  const paces = rounds.map(geometricMean);
  const pace = median(paces);
  const shares = sizes.map((_, i) => rounds.map((times, r) => times[i]! / paces[r]!)); // [size][round]
  const costs = new Map(sizes.map((size, i) => [size, pace * median(shares[i]!)]));
  return { costs, verdict: rounds.length > FEW_ROUNDS && noiseOf(shares) > NOISE ? "noisy" : "good" };
}

/** How far a size's share in a round is from its usual one: the median over rounds, of the size where that is most. */
function noiseOf(shares: readonly (readonly number[])[]): number {
  const noises = shares.map((rounds) => {
    const usual = median(rounds);
    return median(rounds.map((share) => Math.abs(share - usual) / usual));
  });
  return Math.max(...noises);
}

/** The activity of an engine with one sequence: its own passes are not seen. */
const nothingElse = (): Activity => ({ begun: 0, running: 0 });

const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** The middle one, or the lower of the two. */
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[(values.length - 1) >> 1]!;

/**
 * Measures at most once: callers that ask meanwhile wait, and measure themselves if the first one failed. A noisy
 * result is measured again after some minutes, a disturbed one when it is next asked for.
 */
export function measuredOnce(
  measure: (signal: AbortSignal | undefined) => Promise<Calibration>,
  now: () => number = () => performance.now(),
): (signal?: AbortSignal) => Promise<PassCosts> {
  let known: { readonly costs: PassCosts; readonly until: number } | null = null;
  let measuring: Promise<Calibration> | null = null;
  return async (signal) => {
    while ((known === null || now() > known.until) && measuring !== null) await measuring.catch(() => {});
    if (known !== null && now() <= known.until) return known.costs;
    measuring = measure(signal);
    try {
      const { costs, verdict } = await measuring;
      if (verdict === "good") known = { costs, until: Number.POSITIVE_INFINITY };
      else if (verdict === "noisy") known = { costs, until: now() + NOISY_MS };
      return costs;
    } finally {
      measuring = null;
    }
  };
}
