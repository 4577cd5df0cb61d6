/**
 * A CLLM in minutes, from nothing: for questions about one database, the demonstration's. A tokenizer; a target trained to
 * answer; the target's own answers with their Jacobi trajectories, collected; and a CLLM made of it by consistency training on
 * those. Resumable as its parts are; shows nothing.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { openCheckpoint } from "../checkpoint/open.ts";
import { createEngine } from "../runtime/engine.ts";
import { defaultThreads } from "../runtime/host.ts";
import { gradeSql } from "../tasks/sql-grader.ts";
import { openSqlite, type Sqlite } from "../tasks/sqlite.ts";
import { DEMONSTRATION, demonstrationExample } from "../tasks/text-to-sql/demonstration.ts";
import { databaseScript, sqlOfCompletion, textToSqlCompletion } from "../tasks/text-to-sql/schema.ts";
import { createTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import type { HeldOut } from "../train/held-out.ts";
import { type TrainFields, trainSettings } from "../train/settings.ts";
import { type ExampleSource, shuffled } from "../train/source.ts";
import type { TrainRecord } from "../train/train.ts";
import { identify } from "../trajectory/identity.ts";
import type { CollectionInfo } from "../trajectory/info.ts";
import { openTrajectories } from "../trajectory/open.ts";
import { type Candidate, fingerprintPrompts, type RunProgress, runCollection } from "../trajectory/run.ts";
import {
  BLOCK_SIZE,
  configOf,
  endOf,
  LONGEST_ANSWER,
  type ModelScale,
  PAD,
  tokenized,
  tokenizerOf,
  trainStage,
} from "./stages.ts";

export interface OneDatabaseScale extends ModelScale {
  readonly ar: Partial<TrainFields>;
  readonly consistency: Partial<TrainFields>;
  /** Questions whose answers are collected. */
  readonly collected: number;
  /** Leave out answers that repeat themselves or do not end. */
  readonly clean: boolean;
}

/** One million numbers; some five minutes on two cores. */
export const ONE_DATABASE: OneDatabaseScale = {
  ...{ vocabSize: 512, hiddenSize: 160, layers: 4, heads: 5, kvHeads: 5, intermediateSize: 448 },
  ar: {
    ...{ objective: "ar", promptWeight: 0.1, steps: 700, learningRate: 3e-3, warmupSteps: 50, finalShare: 0.02 },
    ...{ sequenceLength: 256, batch: 4, weightDecay: 0.05, evaluateEvery: 0, checkpointEvery: 200 },
  },
  consistency: {
    ...{ objective: "consistency", steps: 1000, learningRate: 2e-3, warmupSteps: 20, finalShare: 0.02 },
    ...{
      blockSize: BLOCK_SIZE,
      pointsPerExample: 3,
      refinements: 1,
      rowDecay: 0.8,
      arWeight: 4,
      draftToken: PAD,
      weightDecay: 0.05,
      sequenceLength: 256,
    },
    ...{ batch: 4, evaluateEvery: 0, checkpointEvery: 200 },
  },
  collected: 1500,
  clean: true,
};

export type OneDatabaseStage = "tokenizer" | "pre-train" | "collect" | "train";
export type OneDatabaseRecord =
  | { readonly type: "stage"; readonly stage: OneDatabaseStage; readonly done: boolean }
  | { readonly type: "collected"; readonly progress: RunProgress }
  | (TrainRecord & { readonly stage: OneDatabaseStage; readonly steps: number });

/** Makes `ar/`, `trajectories.parquet` and `cllm/` below `folder`. */
export async function* makeOneDatabase(
  folder: string,
  scale: OneDatabaseScale,
  { seed = 0, signal }: { readonly seed?: number; readonly signal?: AbortSignal } = {},
): AsyncGenerator<OneDatabaseRecord, void, void> {
  await mkdir(folder, { recursive: true });
  yield { type: "stage", stage: "tokenizer", done: false };
  const source = await tokenizerOf(folder, scale.vocabSize, () => corpus(seed));
  const tokenizer = createTokenizer(source, scale.vocabSize);
  const shared = { config: configOf(scale, endOf(tokenizer)), tokenizer: source, heldOut: [], signal };
  const [ar, trajectories, cllm] = ["ar", "trajectories.parquet", "cllm"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];

  yield { type: "stage", stage: "pre-train", done: existsSync(ar) };
  const settings = trainSettings({ seed, ...scale.ar });
  const pretraining = { ...shared, settings, examples: drawn(tokenizer, seed), from: null, to: ar };
  for await (const record of trainStage({ ...pretraining, run: join(folder, "ar-run") })) {
    yield { ...record, stage: "pre-train", steps: settings.steps };
  }

  yield { type: "stage", stage: "collect", done: existsSync(trajectories) };
  for await (const progress of collected(ar, trajectories, tokenizer, scale, seed, signal)) {
    yield { type: "collected", progress };
  }

  yield { type: "stage", stage: "train", done: existsSync(cllm) };
  const { completions } = await openTrajectories(trajectories);
  const training = trainSettings({ seed, ...scale.consistency });
  const examples = shuffled(completions, seed);
  const stage = { ...shared, settings: training, examples, from: ar, to: cllm, run: join(folder, "consistency-run") };
  for await (const record of trainStage(stage)) yield { ...record, stage: "train", steps: training.steps };
  yield { type: "stage", stage: "train", done: true };
}

/** Held-out questions, right where the rows are those of the right query. The database is the caller's to close. */
export function heldOutQuestions(tokenizer: Tokenizer, database: Sqlite, count: number, seed = 0): HeldOut[] {
  return Array.from({ length: count }, (_, i) => {
    const { prompt, sql } = demonstrationExample(seed + i, "held-out");
    return {
      ...tokenized(tokenizer, prompt, textToSqlCompletion(sql)),
      isRight: async (answer) => {
        const predicted = sqlOfCompletion(tokenizer.decode(answer, { skipSpecialTokens: true }));
        return (await gradeSql(database, predicted, sql)).correct;
      },
    };
  });
}

export const openDemonstration = (): Promise<Sqlite> => openSqlite(databaseScript(DEMONSTRATION));

function corpus(seed: number): string[] {
  return Array.from({ length: 3000 }, (_, i) => {
    const { prompt, sql } = demonstrationExample(seed + i, "train");
    return prompt + textToSqlCompletion(sql);
  });
}

/** Endless. */
function drawn(tokenizer: Tokenizer, seed: number): ExampleSource {
  return {
    size: null,
    example: (index) => {
      const { prompt, sql } = demonstrationExample(seed * 2 ** 32 + index, "train");
      return tokenized(tokenizer, prompt, textToSqlCompletion(sql));
    },
  };
}

/** What the target answers to questions of training, and how its answers come to be under Jacobi decoding. */
async function* collected(
  model: string,
  output: string,
  tokenizer: Tokenizer,
  { collected: count, clean }: OneDatabaseScale,
  seed: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<RunProgress, void, void> {
  const checkpoint = await openCheckpoint(model);
  try {
    const { config } = checkpoint;
    const candidates: Candidate[] = Array.from({ length: count }, (_, i) => {
      const { prompt } = demonstrationExample(seed * 2 ** 32 + i, "train");
      return { dataId: `question_${i}`, promptIds: tokenizer.encode(prompt), labelIds: null };
    });
    const info: CollectionInfo = {
      model: await identify(checkpoint, tokenizer),
      settings: {
        ...{ data: "questions about one database", prompts: fingerprintPrompts(candidates), precision: "fp32" },
        ...{ threads: defaultThreads(), blockSize: BLOCK_SIZE, maxNewTokens: LONGEST_ANSWER, seed },
        ...{ stopIds: [...config.eosTokenIds], augment: true, clean, requireEnd: clean },
        ...{ maxPromptTokens: null, maxSequenceTokens: null },
      },
    };
    await using engine = await createEngine(config, checkpoint.weights, { precision: "fp32" });
    const options = { output, format: "parquet", info, ...(signal === undefined ? {} : { signal }) } as const;
    yield* runCollection(() => engine.session(), candidates, options);
  } finally {
    await checkpoint.close();
  }
}
