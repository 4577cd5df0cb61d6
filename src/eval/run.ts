/**
 * An evaluation from beginning to end: every question to every contender, question by question and in an order that turns,
 * so that all are measured under the same conditions; then, where asked for, trajectories. Each answer is stored when it is
 * there: interrupted at any moment and run again with the same settings, it goes on. Knows no statistics and no terminal.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { CllmError } from "../error.ts";
import { acquireLock, type Lock } from "../files/lock.ts";
import { shorten } from "../files/near-miss.ts";
import { type Shard, shardPath, shardRange } from "../files/shards.ts";
import type { Task, TaskExample, Verdict } from "../tasks/task.ts";
import { collectOne } from "../trajectory/collect.ts";
import { answerTurns, type EvaluatedModel, gradeTurns } from "./answer.ts";
import { type AnswersFile, keyOf, openAnswersFile, type StoredSettings } from "./answers-file.ts";
import { baselineOf, type Contender } from "./contenders.ts";
import type { Answer, AnsweredTurn, EvaluationRecord, Trace } from "./records.ts";

/** A model that takes part, under the name that contenders call it. */
export interface Subject {
  readonly name: string;
  readonly model: EvaluatedModel;
  /** What tells it from other weights: fingerprints, the adapter. Stored, and compared on resuming. */
  readonly identity: StoredSettings;
}

export interface EvaluationOptions {
  /** Made if need be. */
  readonly folder: string;
  readonly task: Task;
  /** The first one is the target that the others are compared with. */
  readonly subjects: readonly Subject[];
  /** As `contendersOf` makes them. */
  readonly contenders: readonly Contender[];
  /** What speeds depend on: machine, threads. Stored, and compared on resuming. */
  readonly conditions: StoredSettings;
  /** Default: `window`. */
  readonly jacobiForm?: "window" | "block" | undefined;
  /** Trace the first so many questions with every model. Default: 0. */
  readonly traced?: number | undefined;
  /** Tokens of a traced block. Default: 16. */
  readonly tracedBlockSize?: number | undefined;
  /** Answer only this part of the questions, into files of its own. Default: all. */
  readonly shard?: Shard | undefined;
  readonly signal?: AbortSignal | undefined;
  /** See `LockOptions`. */
  readonly onWait?: ((line: string) => void) | undefined;
}

export interface EvaluationProgress {
  readonly stage: "warm up" | "answer" | "trace";
  /** The contender, or the model that is traced. */
  readonly what: string;
  /** Of what this run has to do. */
  readonly done: number;
  readonly total: number;
  /** Answers that were there before. */
  readonly resumed: number;
}

export interface Evaluation {
  readonly task: string;
  readonly settings: StoredSettings;
  readonly contenders: readonly Contender[];
  /** Ids in order. */
  readonly questions: readonly string[];
  /** By contender, then by question. */
  readonly answers: ReadonlyMap<string, ReadonlyMap<string, Answer>>;
  readonly traces: readonly Trace[];
}

/** Where answers stand, within an evaluation's folder. */
export const ANSWERS = "answers.jsonl";
/** And how they came to be: passes and times. */
export const PASSES = "passes.jsonl";

/** Answers what is not answered yet. Yields after each piece of work, and returns all answers. */
export async function* runEvaluation(options: EvaluationOptions): AsyncGenerator<EvaluationProgress, Evaluation, void> {
  const { folder, shard, signal, onWait } = options;
  const [path, passesPath, locked] = [ANSWERS, PASSES, "evaluation"].map((name) => {
    const whole = join(folder, name);
    return shard === undefined ? whole : shardPath(whole, shard);
  }) as [string, string, string];
  await using lock = await acquireLock(locked, { signal, onWait });
  const working = shard === undefined || existsSync(path) ? path : `${path}.journal`; // a shard has its name once it is whole
  const evaluation = yield* evaluate(options, [working, passesPath], lock);
  lock.check();
  if (working !== path) await rename(working, path);
  return evaluation;
}

async function* evaluate(
  options: EvaluationOptions,
  [path, passesPath]: readonly [string, string],
  lock: Lock,
): AsyncGenerator<EvaluationProgress, Evaluation, void> {
  const { task, contenders, shard } = options;
  const settings = settingsOf(options);
  await using opened = await openAnswersFile(path, passesPath, settings);
  const append = (record: EvaluationRecord): Promise<void> => {
    lock.check();
    return opened.append(record);
  };
  const file = { records: opened.records, append };
  const answers = new Map(contenders.map(({ name }) => [name, new Map<string, Answer>()]));
  const traces: Trace[] = [];
  const [begin, end] = shard === undefined ? [0, task.examples.length] : shardRange(task.examples.length, shard);
  const ids = new Set(task.examples.slice(begin, end).map(({ id }) => id));
  const models = new Set(contenders.map(({ model }) => model));
  for (const record of file.records) {
    const isOurs = record.kind === "answer" ? answers.has(record.contender) : models.has(record.model);
    if (!isOurs || !ids.has(record.question)) {
      const message = `${path} has an answer to ${shorten(record.question)} that is not of this run`;
      throw new CllmError("bad-file", `${message}: restore the file, or begin anew in another folder`);
    }
    if (record.kind === "answer") answers.get(record.contender)!.set(record.question, record);
    else traces.push(record);
  }
  const part = { ...options, range: [begin, end] as const };
  yield* answerAll(part, file, answers);
  yield* traceAll(part, file, answers, traces);
  return { task: task.name, settings, contenders, questions: [...ids], answers, traces };
}

/** All that decides what an answer is, its speed included. */
function settingsOf({
  task,
  subjects,
  contenders,
  conditions,
  jacobiForm = "window",
  shard,
  traced = 0,
}: EvaluationOptions): StoredSettings {
  return {
    task: { name: task.name, ...task.settings },
    questions: task.examples.length,
    data: fingerprint(task.examples),
    models: subjects.map(({ name, model, identity }) => ({
      ...{ name, precision: model.precision },
      ...(model.device !== "cpu" && { device: model.device }), // runs from before there was another say nothing
      ...identity,
    })),
    contenders: contenders.map(({ name }) => name),
    jacobiForm,
    prompts: "run by every contender", // and not taken from the cache
    ...conditions,
    ...(shard !== undefined && { shard: { index: shard.index, count: shard.count, traced } }),
  };
}

/** The questions of a run: from the first number up to the second. */
interface Ranged extends EvaluationOptions {
  readonly range: readonly [begin: number, end: number];
}

/** Of everything in a question that an answer or its verdict depends on. */
function fingerprint(examples: readonly TaskExample[]): string {
  const hash = createHash("sha256");
  for (const { id, turns, input, reference, stop, maxNewTokens, prediction = [] } of examples) {
    const asked = Array.from({ length: turns }, (_, turn) => input(Array<string>(turn).fill("")));
    hash.update(JSON.stringify([id, asked, reference, stop, maxNewTokens].concat(prediction)));
  }
  return hash.digest("hex").slice(0, 16);
}

type Answers = ReadonlyMap<string, Map<string, Answer>>;

async function* answerAll(
  { task, subjects, contenders, jacobiForm, signal, range: [begin, end] }: Ranged,
  file: Pick<AnswersFile, "append">,
  answers: Answers,
): AsyncGenerator<EvaluationProgress, void, void> {
  const resumed = sum([...answers.values()].map(({ size }) => size));
  const total = contenders.length * (end - begin) - resumed;
  if (total === 0) return;
  const modelOf = new Map(subjects.map(({ name, model }) => [name, model]));
  const ask = (contender: Contender, example: TaskExample): Promise<readonly AnsweredTurn[]> =>
    answerTurns(modelOf.get(contender.model)!, example, contender, { jacobiForm, signal });

  // What is done once (compiling, calibrating) is not measured.
  const short = { ...task.examples[0]!, maxNewTokens: Math.min(16, task.examples[0]!.maxNewTokens) };
  for (const [index, contender] of contenders.entries()) {
    await ask({ ...contender, name: "warm up" }, short);
    yield { stage: "warm up", what: contender.name, done: index + 1, total: contenders.length, resumed };
  }
  let done = 0;
  for (const [index, example] of task.examples.entries()) {
    if (index < begin || index >= end) continue;
    const { id: question } = example;
    const verdicts = new Map<string, Verdict>(); // the same answer has the same verdict, whichever contender gave it
    for (const own of answers.values()) {
      const before = own.get(question);
      if (before !== undefined) verdicts.set(textsOf(before.turns), before);
    }
    for (const contender of turned(contenders, index)) {
      const own = answers.get(contender.name)!;
      if (own.has(question)) continue;
      const turns = await ask(contender, example);
      const given = verdicts.get(textsOf(turns)) ?? (await gradeTurns(task, example, turns, signal));
      verdicts.set(textsOf(turns), given);
      const { verdict, detail, measures = {} } = given;
      const answer: Answer = { kind: "answer", contender: contender.name, question, turns, verdict, detail, measures };
      await file.append(answer);
      own.set(question, answer);
      yield { stage: "answer", what: contender.name, done: ++done, total, resumed };
    }
  }
}

/** Each model's trajectories on the first questions, over as many tokens as its answer has. */
async function* traceAll(
  { task, subjects, contenders, traced = 0, tracedBlockSize: blockSize = 16, signal, range: [begin, end] }: Ranged,
  file: Pick<AnswersFile, "append">,
  answers: Answers,
  traces: Trace[],
): AsyncGenerator<EvaluationProgress, void, void> {
  const there = new Set(traces.map(keyOf));
  const missing = subjects.flatMap((subject) => {
    const { name } = baselineOf(contenders, contenders.find(({ model }) => model === subject.name)!);
    return task.examples.slice(begin, Math.min(end, traced)).flatMap((example) => {
      const first = answers.get(name)!.get(example.id)!.turns[0];
      const begun = { kind: "trajectory", model: subject.name, question: example.id, blockSize } as const;
      if (first === undefined || there.has(keyOf({ ...begun, completion: [], blocks: [] }))) return [];
      return [{ subject, example, begun, tokens: first.tokens.length }];
    });
  });
  for (const [index, { subject, example, begun, tokens }] of missing.entries()) {
    const { model } = subject;
    await using session = model.session();
    const prompt = { dataId: example.id, promptIds: model.promptIds(example.input([])), labelIds: null };
    const { completionIds, blocks } = await collectOne(session, prompt, {
      blockSize,
      maxNewTokens: tokens,
      stopIds: new Set(model.config.eosTokenIds),
      ...(signal && { signal }),
    });
    const points = blocks.map((block) => block.map((point) => [...point]));
    const trace: Trace = { ...begun, completion: [...completionIds], blocks: points };
    await file.append(trace);
    traces.push(trace);
    yield { stage: "trace", what: subject.name, done: index + 1, total: missing.length, resumed: there.size };
  }
}

const textsOf = (turns: readonly AnsweredTurn[]): string => JSON.stringify(turns.map(({ text }) => text));

const turned = <T>(items: readonly T[], by: number): readonly T[] => [
  ...items.slice(by % items.length),
  ...items.slice(0, by % items.length),
];

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
