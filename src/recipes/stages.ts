/**
 * What recipes are made of: a tokenizer trained on their texts, a configuration, and training that writes a model. Each is
 * done once; where its result is there, it is read. Knows no task.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { writeHuggingFace } from "../checkpoint/huggingface/write.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { OWN_FACTS, type OwnFacts, ownFactsText } from "../checkpoint/own-facts.ts";
import type { HuggingFaceTokenizerSource } from "../checkpoint/tokenizer-source.ts";
import { joinTokens } from "../decode/join-tokens.ts";
import { readJsonObject } from "../files/json.ts";
import { writeWhole } from "../files/write-whole.ts";
import type { ModelConfig } from "../model/config.ts";
import { memoryWeights } from "../model/memory-weights.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { trainedTokenizerConfig, trainTokenizer } from "../text/train-tokenizer.ts";
import { evaluate } from "../train/evaluate.ts";
import type { HeldOut } from "../train/held-out.ts";
import type { Example } from "../train/objectives.ts";
import { fullParameters, type Parameters, randomParameters } from "../train/parameters.ts";
import { type TrainSettings, trainedConfig } from "../train/settings.ts";
import type { ExampleSource } from "../train/source.ts";
import { type TrainRecord, train } from "../train/train.ts";
import { Trainer } from "../train/trainer.ts";

/** Sizes of a model of the Llama family. */
export interface ModelScale {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly intermediateSize: number;
}

const MAX_TOKENIZER_BYTES = 64 << 20;

export const CONTEXT = 512;
/** Tokens of an answer, at most, in evaluations. */
export const LONGEST_ANSWER = 96;
export const BLOCK_SIZE = 16;

/** What the tokenizers of `tokenizerOf` have for gaps, which no text has. */
export const PAD = 0;

/** The end of sequence of the tokenizers that `tokenizerOf` makes. */
export const endOf = (tokenizer: Tokenizer): number => tokenizer.encode("<|end|>")[0] as number;

/** Trained once, then read back from `folder`. */
export async function tokenizerOf(
  folder: string,
  vocabSize: number,
  corpus: () => Iterable<string>,
  chatTemplate: string | null = null,
): Promise<HuggingFaceTokenizerSource> {
  const path = join(folder, "tokenizer.json");
  if (!existsSync(path)) {
    const trained = trainTokenizer(corpus(), { vocabSize });
    await writeWhole(path, async (handle) => handle.appendFile(`${JSON.stringify(trained)}\n`));
  }
  return {
    kind: "huggingface",
    tokenizerJson: await readJsonObject(path, MAX_TOKENIZER_BYTES),
    tokenizerConfig: trainedTokenizerConfig(CONTEXT),
    chatTemplate,
  };
}

export function configOf(scale: ModelScale, end: number): ModelConfig {
  const { vocabSize, hiddenSize, layers, heads, kvHeads, intermediateSize } = scale;
  return {
    ...{ family: "llama", vocabSize, hiddenSize, layers, heads, kvHeads, intermediateSize },
    headSize: hiddenSize / heads,
    ...{ contextLength: CONTEXT, normEpsilon: 1e-5, ropeTheta: 10_000, ropeScaling: null, slidingWindow: null },
    ...{ tiedHead: true, attentionBias: false, outputBias: false, queryKeyNorm: false },
    ...{ bosTokenId: null, eosTokenIds: [end] },
  };
}

/** A question and its answer as tokens, the end of sequence behind it. */
export function tokenized(tokenizer: Tokenizer, prompt: string, completion: string): Example {
  return {
    promptIds: tokenizer.encode(prompt),
    completionIds: joinTokens(tokenizer.encode(completion), Int32Array.of(endOf(tokenizer))),
  };
}

export interface StageOptions {
  readonly config: ModelConfig;
  readonly tokenizer: HuggingFaceTokenizerSource;
  readonly settings: TrainSettings;
  readonly examples: ExampleSource;
  readonly heldOut: readonly HeldOut[];
  /** The model to begin with; null for random weights. */
  readonly from: string | null;
  /** Where the model goes, and where its unfinished run lives. */
  readonly to: string;
  readonly run: string;
  /** Facts about the model. Default: none. */
  readonly own?: OwnFacts | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Trains a model and writes that of the last step as a Hugging Face directory in F16. Does nothing if that is there
 * already.
 */
export async function* trainStage(options: StageOptions): AsyncGenerator<TrainRecord, void, void> {
  const { tokenizer, settings, examples, heldOut, from, to, run, own, signal } = options;
  if (existsSync(to)) return;
  const config = trainedConfig(options.config, settings);
  const parameters = from === null ? randomParameters(config, settings.seed) : await loaded(from, config);
  await using trainer = await Trainer.create(config, parameters, settings);
  const measure = () =>
    evaluate(config, parameters.trained, heldOut, {
      blockSize: BLOCK_SIZE,
      stopIds: new Set(config.eosTokenIds),
      maxNewTokens: LONGEST_ANSWER,
      signal,
    });
  yield* train(trainer, examples, settings, {
    folder: run,
    signal,
    ...(heldOut.length > 0 ? { evaluate: measure } : {}),
  });
  const files = own === undefined ? {} : { [OWN_FACTS]: ownFactsText(own) };
  const weights = memoryWeights(parameters.trained);
  await writeHuggingFace(to, { config, weights, tokenizer, files }, { dtype: "F16" });
}

async function loaded(folder: string, config: ModelConfig): Promise<Parameters> {
  const checkpoint = await openCheckpoint(folder);
  try {
    return await fullParameters(config, checkpoint.weights);
  } finally {
    await checkpoint.close();
  }
}
