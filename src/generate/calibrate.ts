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
export const METHOD = "fastest";

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
  /** Milliseconds of work so far, as the engine counts them. Default: those of the clock, all that the process does included. */
  readonly clock?: () => number;
  /**
   * Share of its threads' time that this process has had a processor, since the last call: where it is small, another program runs all
   * along, which no noise shows. Default: 1.
   */
  readonly share?: () => number;
  /** Called after each pass. */
  readonly onPass?: (done: number, total: number) => void;
}

/** What was measured, and what it is worth. */
export interface Calibration {
  readonly costs: PassCosts;
  /**
   * `good` is kept for a week. `noisy` was measured while the machine did other things: it is measured again before long, and the faster passes count.
   * `disturbed` was not measured at all, because the engine had other requests: the costs are those of a usual machine.
   */
  readonly verdict: "good" | "noisy" | "disturbed";
}

const DISTURBANCES = 5; // then it gives up, because a request is waiting
const FEW_ROUNDS = 3; // that tell nothing of noise
const NOISE = 0.25; // of a size's cost, in half of the rounds
const LOW = 0.1; // share of the passes of a size that are faster than what it costs
const SHARED = 0.8; // of the processors: with less, another program has them too
const NOISY_MS = 20_000;
const LONE_PASSES = 3; // a token alone follows tokens alone where it matters
/** Costs beside a pass of one token, as small models have them in int8 on two cores. */
const USUAL: PassCosts = new Map(CALIBRATED_SIZES.map((size) => [size, 10 * (1 + 0.08 * (size - 1))]));

/**
 * Milliseconds of a pass by its number of tokens, on a session that nothing else runs beside. See `calibrate`.
 *
 * @example const costs = await measurePassCosts(model.session()); // milliseconds by tokens of a pass
 */
export async function measurePassCosts(session: Session, options: CalibrateOptions = {}): Promise<PassCosts> {
  return (await calibrate(session, options)).costs;
}

/**
 * Milliseconds of a pass by its number of tokens. Other programs only ever make a pass slower, and they slow wide passes more, since
 * these meet them more often. So rounds go through all sizes, and each size's cost is that of one of its fastest passes: what
 * a program that comes and goes has slowed does not count, nor does a single lucky moment. Sizes that the context has no room for are left out. The session must be empty; it is left empty.
 */
export async function calibrate(
  session: Session,
  {
    signal,
    onPass,
    activity = nothingElse,
    drafting = false,
    share = () => 1,
    clock = () => performance.now(),
  }: CalibrateOptions = {},
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
    const start = clock();
    await session.forward(ids.subarray(0, size), drafting ? draftForest(Math.ceil(size / 3), size) : undefined);
    const elapsed = clock() - start;
    session.truncate(context.length);
    const after = activity();
    return before.running + after.running > 0 || after.begun - before.begun > 1 ? null : elapsed;
  };
  /** The shortest of some passes of a size, one right after the other. */
  const shortest = async (size: number, passes: number): Promise<number | null> => {
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < passes; i++) {
      const ms = await pass(size);
      if (ms === null) return null;
      least = Math.min(least, ms);
    }
    return least;
  };
  /** A pass of each size; null where one of them was not alone. */
  const measureRound = async (long: boolean, round: number): Promise<number[] | null> => {
    const times: number[] = [];
    for (const [index, size] of sizes.entries()) {
      const ms = await shortest(size, index === 0 && !long ? LONE_PASSES : 1);
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
  share();
  const begin = performance.now();
  let disturbances = 0;
  while (rounds.length < ROUNDS && disturbances < DISTURBANCES) {
    const times = await measureRound((rounds.at(-1)?.at(-1) ?? 0) >= LONG_PASS_MS, rounds.length);
    if (times === null) disturbances++;
    else rounds.push(times);
    const elapsed = performance.now() - begin;
    if (elapsed > LONGEST_MS || (rounds.length >= ENOUGH_ROUNDS && elapsed > BUDGET_MS)) break;
  }
  const had = share();
  session.truncate(0);
  const few = rounds.length < ENOUGH_ROUNDS;
  if (rounds.length === 0 || (disturbances === DISTURBANCES && few)) return disturbed;
  const times = sizes.map((_, i) => rounds.map((round) => round[i]!)); // [size][round]
  const costs = new Map(sizes.map((size, i) => [size, quantile(times[i]!, LOW)]));
  const isNoisy = had < SHARED || (rounds.length > FEW_ROUNDS && noiseOf(times) > NOISE);
  return { costs, verdict: isNoisy ? "noisy" : "good" };
}

/** How far the usual pass of a size is above its cost, of the size where that is most. */
function noiseOf(times: readonly (readonly number[])[]): number {
  return Math.max(...times.map((rounds) => quantile(rounds, 0.5) / quantile(rounds, LOW) - 1));
}

/** The activity of an engine with one sequence: its own passes are not seen. */
const nothingElse = (): Activity => ({ begun: 0, running: 0 });

/** The value that a share of the others lies below, or the next lower one. */
const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)]!;

/** The same machine measured twice while it was busy: what was faster is nearer to the truth. */
const faster = (a: PassCosts, b: PassCosts): PassCosts =>
  new Map([...b].map(([size, ms]) => [size, Math.min(ms, a.get(size) ?? ms)]));

/**
 * Measures at most once: callers that ask meanwhile wait, and measure themselves if the first one failed. A noisy
 * result is measured again soon, and later each time; of all results since, the faster passes count. A disturbed one is measured when it is
 * next asked for.
 */
export function measuredOnce(
  measure: (signal: AbortSignal | undefined) => Promise<Calibration>,
  now: () => number = () => performance.now(),
): (signal?: AbortSignal) => Promise<PassCosts> {
  let known: { readonly costs: PassCosts; readonly until: number } | null = null;
  let measuring: Promise<Calibration> | null = null;
  let noisy: { readonly costs: PassCosts; readonly times: number } | null = null;
  return async (signal) => {
    while ((known === null || now() > known.until) && measuring !== null) await measuring.catch(() => {});
    if (known !== null && now() <= known.until) return known.costs;
    measuring = measure(signal);
    try {
      const { costs: measured, verdict } = await measuring;
      if (verdict === "disturbed") return noisy?.costs ?? measured;
      if (verdict === "good") {
        known = { costs: measured, until: Number.POSITIVE_INFINITY };
        return measured;
      }
      noisy = { costs: noisy === null ? measured : faster(noisy.costs, measured), times: (noisy?.times ?? 0) + 1 };
      known = { costs: noisy.costs, until: now() + NOISY_MS * 2 ** (noisy.times - 1) };
      return noisy.costs;
    } finally {
      measuring = null;
    }
  };
}
