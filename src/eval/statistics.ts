/**
 * What can be said from a few hundred graded answers: the 95 % interval of a score (Wilson, 1927), whether two contenders
 * differ on the same questions (McNemar, 1947, the exact form), and the interval of any figure by drawing questions anew
 * (Efron's percentile bootstrap, questions as pairs). The same seed gives the same interval. Knows numbers only.
 */
import { CllmError } from "../error.ts";
import { hash, mix } from "../hash.ts";

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** The 97.5th percentile of the normal distribution. */
const Z = 1.959963984540054;

/**
 * The 95 % score interval of a share: within 0 and 1 also for none and all. From 0 to 1 if nothing was counted.
 *
 * @example const { low, high } = wilsonInterval(36, 100); // of 36 right answers to 100 questions
 */
export function wilsonInterval(right: number, total: number): Interval {
  const isCount = Number.isInteger(right) && Number.isInteger(total) && right >= 0 && right <= total;
  if (!isCount)
    throw new CllmError("bad-input", `${right} of ${total} is no share: give whole numbers, the part first`);
  if (total === 0) return { low: 0, high: 1 };
  const share = right / total;
  const spread = Z * Math.sqrt((share * (1 - share) + (Z * Z) / (4 * total)) / total);
  const middle = share + (Z * Z) / (2 * total);
  const scale = 1 + (Z * Z) / total;
  return {
    low: right === 0 ? 0 : (middle - spread) / scale,
    high: right === total ? 1 : (middle + spread) / scale,
  };
}

/**
 * The two-sided probability that two contenders who are equally good differ at least so much: `onlyFirst` questions that
 * the first alone has right, and `onlySecond`. Questions that both have right or wrong say nothing.
 *
 * @example const p = mcNemarExact(3, 9); // three questions only the first model got right, nine only the second
 */
export function mcNemarExact(onlyFirst: number, onlySecond: number): number {
  if (![onlyFirst, onlySecond].every((count) => Number.isInteger(count) && count >= 0)) {
    throw new CllmError("bad-input", `${onlyFirst} and ${onlySecond} must be counts: whole numbers from 0`);
  }
  const total = onlyFirst + onlySecond;
  let logTerm = -total * Math.LN2; // of the binomial distribution, for 0 of `total`
  let tail = 0;
  for (let k = 0; k <= Math.min(onlyFirst, onlySecond); k++) {
    tail += Math.exp(logTerm);
    logTerm += Math.log((total - k) / (k + 1));
  }
  return Math.min(1, 2 * tail);
}

export interface BootstrapOptions {
  /** Default: 0. */
  readonly seed?: number | undefined;
  /** How often all questions are drawn anew. Default: 10,000. */
  readonly resamples?: number | undefined;
}

export interface Estimate extends Interval {
  /** Of the questions as they are. */
  readonly estimate: number;
}

/**
 * The 95 % interval of `figure`, a function of which of `count` questions were drawn, each any number of times.
 *
 * @example
 * const right = [1, 0, 1, 1];
 * const { estimate, low, high } = bootstrap(4, (drawn) => drawn.reduce((sum, i) => sum + right[i]!, 0) / 4);
 */
export function bootstrap(
  count: number,
  figure: (drawn: Int32Array) => number,
  { seed = 0, resamples = 10_000 }: BootstrapOptions = {},
): Estimate {
  if (!Number.isInteger(count) || count < 1 || !Number.isInteger(resamples) || resamples < 1) {
    throw new CllmError(
      "bad-input",
      `${count} questions drawn ${resamples} times give no interval: both must be 1 or more`,
    );
  }
  const drawn = Int32Array.from({ length: count }, (_, i) => i);
  const estimate = figure(drawn);
  const figures = Float64Array.from({ length: resamples }, (_, resample) => {
    const start = hash(seed, resample);
    for (let i = 0; i < count; i++) drawn[i] = Math.floor((mix((start + i) | 0) / 2 ** 32) * count);
    return figure(drawn);
  }).sort();
  const tail = Math.floor(resamples * 0.025);
  return { estimate, low: figures[tail]!, high: figures[resamples - 1 - tail]! };
}

/**
 * How much more the first has than the second on average, question by question.
 *
 * @example const { estimate, low, high } = pairedDifference([1, 0, 1, 1], [0, 0, 1, 1]); // by question
 */
export function pairedDifference(
  first: ArrayLike<number>,
  second: ArrayLike<number>,
  options: BootstrapOptions = {},
): Estimate {
  requirePairs(first, second);
  const differences = Float64Array.from({ length: first.length }, (_, i) => first[i]! - second[i]!);
  const mean = (drawn: Int32Array): number => drawn.reduce((sum, i) => sum + differences[i]!, 0) / drawn.length;
  return bootstrap(first.length, mean, options);
}

/**
 * The sum of the first over that of the second, as of tokens over passes, or of seconds over seconds.
 *
 * @example const { estimate, low, high } = pairedRatio([120, 98, 143], [61, 52, 70]); // milliseconds by question
 */
export function pairedRatio(
  first: ArrayLike<number>,
  second: ArrayLike<number>,
  options: BootstrapOptions = {},
): Estimate {
  requirePairs(first, second);
  const sum = (values: ArrayLike<number>, drawn: Int32Array): number => drawn.reduce((all, i) => all + values[i]!, 0);
  return bootstrap(first.length, (drawn) => sum(first, drawn) / sum(second, drawn), options);
}

function requirePairs(first: ArrayLike<number>, second: ArrayLike<number>): void {
  if (first.length === second.length) return;
  const message = `${first.length} and ${second.length} values make no pairs: compare the same questions on both sides`;
  throw new CllmError("bad-input", message);
}

/** The value below which a share of the sorted values lies, between neighbours by interpolation. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  return below + ((sorted[Math.ceil(position)] ?? below) - below) * (position % 1);
}
