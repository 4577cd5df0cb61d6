/**
 * What an evaluation says: for each contender its score with an interval, its speed, and both beside the target's and
 * beside those of its own model one token at a time, on the same questions; for each model what its trajectories show.
 * Figures without data are null. Knows no file and no form of output.
 */
import { tokensPerForward } from "../decode/tokens-per-forward.ts";
import type { VerdictName } from "../tasks/task.ts";
import { TrajectoryMeasure } from "../trajectory/measure.ts";
import { baselineOf, type Contender } from "./contenders.ts";
import type { Answer, Trace } from "./records.ts";
import type { Evaluation } from "./run.ts";
import { bootstrap, type Estimate, mcNemarExact, pairedDifference, quantile, wilsonInterval } from "./statistics.ts";

export interface Score extends Estimate {
  readonly right: number;
  /** Questions, whatever their verdicts. */
  readonly total: number;
}

/** Two contenders on the same questions. */
export interface Comparison {
  readonly other: string;
  readonly questions: number;
  /** Questions that only the first, or only the other, has right. */
  readonly onlyFirst: number;
  readonly onlyOther: number;
  /** McNemar's exact test. */
  readonly p: number;
  /** Of the scores: this one's less the other's. */
  readonly difference: Estimate;
}

export interface Spread {
  readonly q1: number;
  readonly median: number;
  readonly q3: number;
}

export interface ContenderSummary extends Contender {
  readonly questions: number;
  /** How many questions got each; what none got is left out. */
  readonly verdicts: Readonly<Partial<Record<VerdictName, number>>>;
  /** null where nothing was graded as right or wrong. */
  readonly score: Score | null;
  /** Of a judge, averaged over what it rated. */
  readonly rating: (Estimate & { readonly rated: number }) | null;
  /** Further figures of the grader, averaged over the questions that have them. */
  readonly measures: Readonly<Record<string, number>>;
  readonly newTokens: number;
  /** Decode only, question by question. */
  readonly tokensPerSecond: Spread | null;
  /** Over all questions. */
  readonly tokensPerForward: number | null;
  /** How many passes accepted 1, 2, ... tokens. */
  readonly acceptedPerPass: readonly number[];
  /** Tokens per second over those of the target, and over those of its own model, one token at a time. */
  readonly speedup: Estimate | null;
  readonly speedupOverAr: Estimate | null;
  /** Answers that the budget of tokens ended: many of them loop, and loops are written fast. */
  readonly cutOff: number;
  /** Both over the questions that all contenders' answers end on by themselves. */
  readonly ended: Pick<ContenderSummary, "tokensPerForward" | "speedup">;
  /** Questions whose tokens are not those of its own model one token at a time: 0, or something is broken. */
  readonly differing: number;
  /** null for the one that it would be compared with. */
  readonly againstAr: Comparison | null;
  readonly againstTarget: Comparison | null;
}

/** Tokens that became final in one pass, as text, and how often they did. */
export interface CollocationText {
  readonly texts: readonly string[];
  readonly count: number;
}

/** The text of a token of a model, for people. */
export type TokenText = (model: string, id: number) => string;

export interface TraceSummary {
  readonly model: string;
  readonly questions: number;
  readonly blockSize: number;
  readonly blocks: number;
  readonly iterationsPerBlock: number;
  readonly fastForwarded: number;
  readonly stationary: number;
  /** The commonest first. */
  readonly collocations: readonly CollocationText[];
  readonly distinctCollocations: number;
}

export interface EvaluationSummary {
  /** Questions that every contender has answered: all figures are over these. */
  readonly questions: number;
  /** Those that all contenders' answers end on by themselves. */
  readonly endedQuestions: number;
  /** The contender that speed-ups and scores are compared with. */
  readonly target: string;
  readonly contenders: readonly ContenderSummary[];
  readonly traces: readonly TraceSummary[];
}

const RESAMPLES = 2_000;
const COLLOCATIONS = 12; // of each model that are listed
const PLAIN: ReadonlySet<VerdictName> = new Set<VerdictName>(["ungraded", "rated", "judge-silent", "judge-nonsense"]);

export function summarizeEvaluation(
  { contenders, questions, answers, traces }: Evaluation,
  tokenText: TokenText,
): EvaluationSummary {
  const common = questions.filter((id) => contenders.every(({ name }) => answers.get(name)?.has(id)));
  const answersOf = ({ name }: Contender): readonly Answer[] => common.map((id) => answers.get(name)!.get(id)!);
  const ended = common.map((id) =>
    contenders.every(({ name }) => {
      const answer = answers.get(name)!.get(id)!;
      return answer.turns.length > 0 && !isCutOff(answer);
    }),
  );
  const thoseEnded = (all: readonly Answer[]): readonly Answer[] => all.filter((_, i) => ended[i]);
  const target = contenders[0]!;
  return {
    questions: common.length,
    endedQuestions: thoseEnded(answersOf(target)).length,
    target: target.name,
    contenders: contenders.map((contender) => {
      const ar = baselineOf(contenders, contender);
      const [own, ofAr, ofTarget] = [contender, ar, target].map(answersOf) as [Answer[], Answer[], Answer[]];
      return {
        ...summarizeAnswers(contender, own),
        speedup: speedup(own, ofTarget),
        speedupOverAr: speedup(own, ofAr),
        cutOff: own.filter(isCutOff).length,
        ended: {
          tokensPerForward: perForward(thoseEnded(own)),
          speedup: speedup(thoseEnded(own), thoseEnded(ofTarget)),
        },
        differing: own.filter((answer, i) => !sameTokens(answer, ofAr[i]!)).length,
        againstAr: contender === ar ? null : compare(own, ofAr, ar.name),
        againstTarget: contender === target ? null : compare(own, ofTarget, target.name),
      };
    }),
    traces: summarizeTraces(traces, tokenText),
  };
}

type OwnFigures = Omit<
  ContenderSummary,
  "speedup" | "speedupOverAr" | "cutOff" | "ended" | "differing" | "againstAr" | "againstTarget"
>;

function summarizeAnswers(contender: Contender, answers: readonly Answer[]): OwnFigures {
  const verdicts: Partial<Record<VerdictName, number>> = {};
  for (const { verdict } of answers) verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
  const speeds = answers.map(workOf).filter(({ tokens, ms }) => tokens > 0 && ms > 0);
  const accepted = answers.flatMap(({ turns }) => turns.flatMap((turn) => turn.accepted));
  const histogram = Array<number>(accepted.reduce((most, k) => Math.max(most, k), 0)).fill(0);
  for (const k of accepted) histogram[k - 1]!++;
  return {
    ...contender,
    questions: answers.length,
    verdicts,
    score: scoreOf(answers),
    rating: ratingOf(answers),
    measures: averages(answers),
    newTokens: sum(answers.flatMap(({ turns }) => turns.map(({ tokens }) => tokens.length))),
    tokensPerSecond: spread(speeds.map(({ tokens, ms }) => (tokens / ms) * 1000)),
    tokensPerForward: perForward(answers),
    acceptedPerPass: histogram,
  };
}

/** Whether a task grades as right or wrong shows in its verdicts: `ungraded` and a judge's say nothing of that. */
function isScored(answers: readonly Answer[]): boolean {
  const graded = answers.filter(({ verdict }) => !PLAIN.has(verdict));
  const onlyEmpty = graded.every(({ verdict }) => verdict === "no-answer" || verdict === "too-long");
  return graded.length > 0 && !(onlyEmpty && graded.length < answers.length);
}

function scoreOf(answers: readonly Answer[]): Score | null {
  if (!isScored(answers)) return null;
  const right = answers.filter(({ verdict }) => verdict === "right").length;
  return { right, total: answers.length, estimate: right / answers.length, ...wilsonInterval(right, answers.length) };
}

function ratingOf(answers: readonly Answer[]): ContenderSummary["rating"] {
  const ratings = answers.filter(({ verdict }) => verdict === "rated").map(({ measures }) => measures["rating"]!);
  if (ratings.length === 0) return null;
  const mean = (drawn: Int32Array): number => drawn.reduce((all, i) => all + ratings[i]!, 0) / drawn.length;
  return { rated: ratings.length, ...bootstrap(ratings.length, mean, { resamples: RESAMPLES }) };
}

function averages(answers: readonly Answer[]): Readonly<Record<string, number>> {
  const values = new Map<string, number[]>();
  for (const { measures } of answers) {
    for (const [name, value] of Object.entries(measures)) values.set(name, [...(values.get(name) ?? []), value]);
  }
  return Object.fromEntries([...values].map(([name, all]) => [name, sum(all) / all.length]));
}

/** Tokens that decode passes wrote, those of the prompt's pass apart, and what they took. */
function workOf({ turns }: Answer): { readonly tokens: number; readonly ms: number } {
  return { tokens: sum(turns.flatMap(({ accepted }) => accepted)), ms: sum(turns.map(({ decodeMs }) => decodeMs)) };
}

/** Whether the budget ended a turn of it. */
const isCutOff = ({ turns }: Answer): boolean => turns.some(({ finishReason }) => finishReason === "length");

/** null without decode passes. */
function perForward(answers: readonly Answer[]): number | null {
  const accepted = answers.flatMap(({ turns }) => turns.flatMap((turn) => turn.accepted));
  return accepted.length === 0 ? null : tokensPerForward(accepted);
}

/** Tokens per second, all questions together, over those of the other; questions that no decode pass was needed for say nothing. */
function speedup(first: readonly Answer[], other: readonly Answer[]): Estimate | null {
  const pairs = first.map((answer, i) => [workOf(answer), workOf(other[i]!)] as const);
  const timed = pairs.filter((pair) => pair.every(({ tokens, ms }) => tokens > 0 && ms > 0));
  if (timed.length === 0) return null;
  const ratio = (drawn: Int32Array): number => {
    const totals = [0, 0, 0, 0] as [number, number, number, number];
    for (const i of drawn) {
      const [mine, theirs] = timed[i]!;
      totals[0] += mine.tokens;
      totals[1] += mine.ms;
      totals[2] += theirs.tokens;
      totals[3] += theirs.ms;
    }
    return totals[0] / totals[1] / (totals[2] / totals[3]);
  };
  return bootstrap(timed.length, ratio, { resamples: RESAMPLES });
}

const sameTokens = (first: Answer, other: Answer): boolean => tokensOf(first) === tokensOf(other);
const tokensOf = ({ turns }: Answer): string => JSON.stringify(turns.map(({ tokens }) => tokens));

/** null where nothing is right or wrong. */
function compare(first: readonly Answer[], other: readonly Answer[], name: string): Comparison | null {
  if (!isScored(first) || !isScored(other)) return null;
  const [mine, theirs] = [first, other].map((answers) => answers.map(({ verdict }) => Number(verdict === "right")));
  const onlyFirst = mine!.filter((right, i) => right > theirs![i]!).length;
  const onlyOther = mine!.filter((right, i) => right < theirs![i]!).length;
  return {
    other: name,
    questions: first.length,
    onlyFirst,
    onlyOther,
    p: mcNemarExact(onlyFirst, onlyOther),
    difference: pairedDifference(mine!, theirs!, { resamples: RESAMPLES }),
  };
}

function summarizeTraces(traces: readonly Trace[], tokenText: TokenText): readonly TraceSummary[] {
  const groups = new Map<string, Trace[]>();
  for (const trace of traces) {
    const key = JSON.stringify([trace.model, trace.blockSize]);
    groups.set(key, [...(groups.get(key) ?? []), trace]);
  }
  return [...groups.values()].map((group) => {
    const measure = new TrajectoryMeasure();
    for (const { question: dataId, completion, blocks } of group) {
      measure.add({
        dataId,
        promptIds: new Int32Array(0),
        completionIds: Int32Array.from(completion),
        blocks: blocks.map((points) => points.map((point) => Int32Array.from(point))),
        labelIds: null,
      });
    }
    const { model, blockSize } = group[0]!;
    const { blocks, iterationsPerBlock, fastForwarded, stationary, ...rest } = measure.report(COLLOCATIONS);
    const collocations = rest.collocations.map(({ ids, count }) => ({
      texts: ids.map((id) => tokenText(model, id)),
      count,
    }));
    const figures = { blocks, iterationsPerBlock, fastForwarded, stationary };
    const { distinctCollocations } = rest;
    return { model, questions: group.length, blockSize, ...figures, collocations, distinctCollocations };
  });
}

function spread(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  return { q1: quantile(values, 0.25), median: quantile(values, 0.5), q3: quantile(values, 0.75) };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
