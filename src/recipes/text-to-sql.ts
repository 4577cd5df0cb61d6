/**
 * The model that ships, from nothing: a tokenizer from the task's text, a target trained to answer, and a CLLM made of it by
 * consistency training. Resumable at any moment; the same seed gives the same files. Knows the task only through its examples,
 * and shows nothing.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DEMONSTRATION } from "../tasks/text-to-sql/demonstration.ts";
import {
  type TextToSqlExample,
  textToSqlCorpus,
  textToSqlExample,
  textToSqlExamples,
} from "../tasks/text-to-sql/example.ts";
import { writeHeldOut } from "../tasks/text-to-sql/held-out.ts";
import { textToSqlChat, textToSqlCompletion } from "../tasks/text-to-sql/schema.ts";
import { createTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import type { Example } from "../train/objectives.ts";
import { type TrainFields, trainSettings } from "../train/settings.ts";
import type { ExampleSource } from "../train/source.ts";
import type { TrainRecord } from "../train/train.ts";
import { BLOCK_SIZE, configOf, endOf, type ModelScale, PAD, tokenized, tokenizerOf, trainStage } from "./stages.ts";

export interface TextToSqlScale extends ModelScale {
  /** Texts that the tokenizer is trained on. */
  readonly corpus: number;
  readonly ar: Partial<TrainFields>;
  readonly consistency: Partial<TrainFields>;
  /** Held-out questions at each evaluation. */
  readonly heldOut: number;
}

/** The model of the repository: five million numbers, some two hours on two cores. */
export const SHIPPED: TextToSqlScale = {
  ...{ vocabSize: 2560, hiddenSize: 256, layers: 5, heads: 8, kvHeads: 4, intermediateSize: 896, corpus: 20_000 },
  ar: {
    ...{ objective: "ar", promptWeight: 0.2, steps: 5000, learningRate: 2e-3, warmupSteps: 200, finalShare: 0.02 },
    ...{ sequenceLength: 384, batch: 3, weightDecay: 0.05, evaluateEvery: 2500, checkpointEvery: 500 },
  },
  consistency: {
    ...{ objective: "consistency", steps: 7000, learningRate: 6e-4, warmupSteps: 100, finalShare: 0.02 },
    ...{ blockSize: BLOCK_SIZE, pointsPerExample: 6, leadingPoints: 2, refinements: 1, rowDecay: 0.8 },
    ...{ draftToken: PAD, arWeight: 4 },
    ...{ sequenceLength: 384, batch: 3, weightDecay: 0.05, evaluateEvery: 2000, checkpointEvery: 250 },
  },
  heldOut: 100,
};

/** Minutes instead of hours, to see how it goes. */
export const SMALL: TextToSqlScale = {
  ...{ vocabSize: 1024, hiddenSize: 128, layers: 4, heads: 2, kvHeads: 2, intermediateSize: 384, corpus: 4000 },
  ar: {
    ...SHIPPED.ar,
    steps: 500,
    learningRate: 3e-3,
    warmupSteps: 30,
    evaluateEvery: 0,
    checkpointEvery: 100,
  },
  consistency: { ...SHIPPED.consistency, steps: 400, learningRate: 2e-3, warmupSteps: 20, evaluateEvery: 0 },
  heldOut: 40,
};

export type Stage = "tokenizer" | "ar" | "consistency";
export type RecipeRecord =
  | { readonly type: "stage"; readonly stage: Stage; readonly done: boolean }
  | (TrainRecord & { readonly stage: Stage; readonly steps: number });

/** Seeds from here on are those of the test that judges the model; evaluations during training use those below. */
const UNWATCHED = 1000;

/** Questions about one database that follow one another, so that packs share its description. */
const QUESTIONS = 4;

/** Makes `tokenizer.json`, `held-out.jsonl`, `new-words.jsonl`, `ar/` and `cllm/` below `folder`, with what is needed to resume beside them. */
export async function* makeTextToSql(
  folder: string,
  scale: TextToSqlScale,
  { seed = 0, signal }: { readonly seed?: number; readonly signal?: AbortSignal } = {},
): AsyncGenerator<RecipeRecord, void, void> {
  await mkdir(folder, { recursive: true });
  yield { type: "stage", stage: "tokenizer", done: false };
  const source = await tokenizerOf(
    folder,
    scale.vocabSize,
    () => textToSqlCorpus(scale.corpus, seed),
    textToSqlChat(DEMONSTRATION.tables),
  );
  const tokenizer = createTokenizer(source, scale.vocabSize);
  const shared = {
    config: configOf(scale, endOf(tokenizer)),
    ...{ tokenizer: source, examples: exampleSource(tokenizer, seed), signal },
    own: { demonstration: "text-to-sql" } as const,
    heldOut: Array.from({ length: scale.heldOut }, (_, i) => asExample(tokenizer, textToSqlExample(i, "held-out"))),
  };
  for (const split of ["held-out", "new-words"] as const) {
    const path = join(folder, `${split}.jsonl`);
    if (!existsSync(path)) await writeHeldOut(path, { split, seed: UNWATCHED });
  }
  yield { type: "stage", stage: "tokenizer", done: true };
  const [ar, cllm] = [join(folder, "ar"), join(folder, "cllm")];
  for (const [stage, from, to] of [["ar", null, ar] as const, ["consistency", ar, cllm] as const]) {
    yield { type: "stage", stage, done: existsSync(to) };
    if (existsSync(to)) continue;
    const settings = trainSettings({ seed, ...scale[stage] });
    const run = join(folder, `${stage}-run`);
    for await (const record of trainStage({ ...shared, settings, from, to, run })) {
      yield { ...record, stage, steps: settings.steps };
    }
    yield { type: "stage", stage, done: true };
  }
}

const asExample = (tokenizer: Tokenizer, { prompt, sql }: TextToSqlExample): Example =>
  tokenized(tokenizer, prompt, textToSqlCompletion(sql));

/** Endless: each database comes once, with some questions in a row. */
function exampleSource(tokenizer: Tokenizer, seed: number): ExampleSource {
  let [known, questions]: [number, TextToSqlExample[]] = [-1, []];
  return {
    size: null,
    example(index) {
      const database = Math.floor(index / QUESTIONS);
      if (database !== known) {
        questions = textToSqlExamples(seed * 2 ** 32 + database, "train", QUESTIONS);
        known = database;
      }
      return asExample(tokenizer, questions[index % QUESTIONS] as TextToSqlExample);
    },
  };
}
