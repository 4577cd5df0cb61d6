/**
 * The model that ships, from nothing: a tokenizer from the task's text, a target trained to answer, and a CLLM made of it by
 * consistency training. Resumable at any moment; the same seed gives the same files. Knows the task only through its examples,
 * and shows nothing.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { openCheckpoint } from "../checkpoint/open.ts";
import type { HuggingFaceTokenizerSource } from "../checkpoint/tokenizer-source.ts";
import { writeHuggingFace } from "../checkpoint/write-huggingface.ts";
import { writeWhole } from "../checkpoint/write-whole.ts";
import type { ModelConfig } from "../model/config.ts";
import { memoryWeights } from "../model/memory-weights.ts";
import {
  type TextToSqlExample,
  textToSqlCorpus,
  textToSqlExample,
  textToSqlExamples,
} from "../tasks/text-to-sql/example.ts";
import { textToSqlCompletion } from "../tasks/text-to-sql/schema.ts";
import { createTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { trainedTokenizerConfig, trainTokenizer } from "../text/train-tokenizer.ts";
import { evaluate, type HeldOut } from "../train/evaluate.ts";
import type { Example } from "../train/objectives.ts";
import { fullParameters, type Parameters, randomParameters } from "../train/parameters.ts";
import { type TrainFields, trainSettings } from "../train/settings.ts";
import type { ExampleSource } from "../train/source.ts";
import { type TrainRecord, train } from "../train/train.ts";
import { Trainer } from "../train/trainer.ts";

export interface TextToSqlScale {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly intermediateSize: number;
  /** Texts that the tokenizer is trained on. */
  readonly corpus: number;
  readonly ar: Partial<TrainFields>;
  readonly consistency: Partial<TrainFields>;
  /** Held-out questions at each evaluation. */
  readonly heldOut: number;
}

/** The model of the repository: five million numbers, about two hours on two cores. */
export const SHIPPED: TextToSqlScale = {
  ...{ vocabSize: 1280, hiddenSize: 256, layers: 6, heads: 4, kvHeads: 2, intermediateSize: 768, corpus: 8000 },
  ar: {
    ...{ objective: "ar", promptWeight: 0.1, steps: 2000, learningRate: 1.5e-3, warmupSteps: 100, finalShare: 0.02 },
    ...{ sequenceLength: 320, batch: 7, weightDecay: 0.05, evaluateEvery: 500, checkpointEvery: 250 },
  },
  consistency: {
    ...{ objective: "consistency", steps: 1500, learningRate: 8e-4, warmupSteps: 50, finalShare: 0.02, blockSize: 16 },
    ...{ pointsPerExample: 4, refinements: 3, arWeight: 1, weightDecay: 0.05, sequenceLength: 320, batch: 7 },
    ...{ evaluateEvery: 250, checkpointEvery: 250 },
  },
  heldOut: 100,
};

/** Minutes instead of hours, to see how it goes. */
export const SMALL: TextToSqlScale = {
  ...{ vocabSize: 1024, hiddenSize: 128, layers: 4, heads: 2, kvHeads: 2, intermediateSize: 384, corpus: 4000 },
  ar: {
    ...SHIPPED.ar,
    steps: 500,
    batch: 3,
    learningRate: 3e-3,
    warmupSteps: 30,
    evaluateEvery: 0,
    checkpointEvery: 100,
  },
  consistency: { ...SHIPPED.consistency, steps: 400, batch: 3, learningRate: 2e-3, warmupSteps: 20, evaluateEvery: 0 },
  heldOut: 40,
};

export type Stage = "tokenizer" | "ar" | "consistency";
export type RecipeRecord =
  | { readonly type: "stage"; readonly stage: Stage; readonly done: boolean }
  | (TrainRecord & { readonly stage: Stage; readonly steps: number });

/** Questions about one database that follow one another, so that packs share its description. */
const QUESTIONS = 4;
const END = "<|end|>";

/** Makes the model below `folder`: `tokenizer.json`, `ar/` and `cllm/`, with what is needed to resume beside them. */
export async function* makeTextToSql(
  folder: string,
  scale: TextToSqlScale,
  { seed = 0, signal }: { readonly seed?: number; readonly signal?: AbortSignal } = {},
): AsyncGenerator<RecipeRecord, void, void> {
  await mkdir(folder, { recursive: true });
  yield { type: "stage", stage: "tokenizer", done: false };
  const source = await tokenizerOf(folder, scale, seed);
  const tokenizer = createTokenizer(source, scale.vocabSize);
  const end = tokenizer.encode(END)[0] as number;
  const config = configOf(scale, end);
  const examples = exampleSource(tokenizer, end, seed);
  const heldOut = heldOutExamples(tokenizer, end, scale.heldOut);
  yield { type: "stage", stage: "tokenizer", done: true };
  for (const stage of ["ar", "consistency"] as const) {
    const target = join(folder, stage === "ar" ? "ar" : "cllm");
    yield { type: "stage", stage, done: existsSync(target) };
    if (existsSync(target)) continue;
    const settings = trainSettings({ seed, ...scale[stage] });
    const parameters = stage === "ar" ? randomParameters(config, seed) : await loaded(join(folder, "ar"), config);
    await using trainer = await Trainer.create(config, parameters, settings);
    const records = train(trainer, examples, settings, {
      folder: join(folder, `${stage}-run`),
      evaluate: () =>
        evaluate(config, parameters.trained, heldOut, { blockSize: 16, stopIds: new Set([end]), maxNewTokens: 96 }),
      signal,
    });
    for await (const record of records) yield { ...record, stage, steps: settings.steps };
    const weights = memoryWeights(parameters.trained);
    await writeHuggingFace(target, { config, weights, tokenizer: source }, { dtype: "F16" });
    yield { type: "stage", stage, done: true };
  }
}

/** Trained once, then read back. */
async function tokenizerOf(folder: string, scale: TextToSqlScale, seed: number): Promise<HuggingFaceTokenizerSource> {
  const path = join(folder, "tokenizer.json");
  if (!existsSync(path)) {
    const trained = trainTokenizer(textToSqlCorpus(scale.corpus, seed), { vocabSize: scale.vocabSize });
    await writeWhole(path, async (handle) => handle.appendFile(`${JSON.stringify(trained)}\n`));
  }
  return {
    kind: "huggingface",
    tokenizerJson: JSON.parse(await readFile(path, "utf8")) as object,
    tokenizerConfig: trainedTokenizerConfig(CONTEXT),
    chatTemplate: null,
  };
}

const CONTEXT = 512;

function configOf(
  { vocabSize, hiddenSize, layers, heads, kvHeads, intermediateSize }: TextToSqlScale,
  end: number,
): ModelConfig {
  return {
    ...{
      family: "llama",
      vocabSize,
      hiddenSize,
      layers,
      heads,
      kvHeads,
      headSize: hiddenSize / heads,
      intermediateSize,
    },
    ...{ contextLength: CONTEXT, normEpsilon: 1e-5, ropeTheta: 10_000, ropeScaling: null, slidingWindow: null },
    ...{ tiedHead: true, attentionBias: false, outputBias: false, queryKeyNorm: false },
    ...{ bosTokenId: null, eosTokenIds: [end] },
  };
}

async function loaded(folder: string, config: ModelConfig): Promise<Parameters> {
  const checkpoint = await openCheckpoint(folder);
  try {
    return await fullParameters(config, checkpoint.weights);
  } finally {
    await checkpoint.close();
  }
}

const tokenized = (tokenizer: Tokenizer, end: number, { prompt, sql }: TextToSqlExample): Example => ({
  promptIds: tokenizer.encode(prompt),
  completionIds: Int32Array.of(...tokenizer.encode(textToSqlCompletion(sql)), end),
});

/** Endless: each database comes once, with some questions in a row. */
function exampleSource(tokenizer: Tokenizer, end: number, seed: number): ExampleSource {
  let [known, questions]: [number, TextToSqlExample[]] = [-1, []];
  return {
    size: null,
    example(index) {
      const database = Math.floor(index / QUESTIONS);
      if (database !== known) {
        questions = textToSqlExamples(seed * 2 ** 32 + database, "train", QUESTIONS);
        known = database;
      }
      return tokenized(tokenizer, end, questions[index % QUESTIONS] as TextToSqlExample);
    },
  };
}

function heldOutExamples(tokenizer: Tokenizer, end: number, count: number): HeldOut[] {
  return Array.from({ length: count }, (_, i) => tokenized(tokenizer, end, textToSqlExample(i, "held-out")));
}
