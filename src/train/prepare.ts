/**
 * A training run from what people name: a model, a data set or trajectories, settings. Everything that can be wrong with them is
 * found out here, before the first step, and what is left out is said. Knows no flags, no terminal and no step.
 */
import { basename } from "node:path";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { type OpenOptions, openCheckpoint } from "../checkpoint/open.ts";
import { adaptedConfig, requireFit, withAdapter } from "../checkpoint/peft/adapter.ts";
import { readAdapter } from "../checkpoint/peft/read-adapter.ts";
import { CllmError } from "../error.ts";
import type { Device } from "../generate/dtype.ts";
import { toHuggingFaceTokenizer } from "../text/to-huggingface.ts";
import { exampleLengths, splitExamples } from "./examples.ts";
import { type NameOf, readExamples, type TrainingSource } from "./read-examples.ts";
import type { TrainRun } from "./run.ts";
import { type TrainFields, trainSettings } from "./settings.ts";
import { shuffled } from "./source.ts";
import { startOf } from "./start-adapter.ts";

export interface TrainingOptions {
  /** GGUF file, directory or hub id of the model to begin with. */
  readonly model: string;
  /** The run's folder; made if need be. */
  readonly folder: string;
  /** What it learns from. */
  readonly source: TrainingSource;
  /** Each has a default; see `trainFields`. */
  readonly settings?: { readonly [K in keyof TrainFields]?: TrainFields[K] | undefined };
  /** Begin with random weights, of the model's sizes and tokenizer. Default: false. */
  readonly fromScratch?: boolean | undefined;
  /** Go on with this PEFT adapter, whose rank, alpha and matrices are kept. Default: none. */
  readonly fromAdapter?: string | undefined;
  /** For lossless training: a PEFT adapter that is merged into the model that decides. Default: none. */
  readonly adapter?: string | undefined;
  /** Examples set aside to measure on, at most half of them. Default: 32. */
  readonly heldOut?: number | undefined;
  readonly threads?: number | undefined;
  /**
   * Where the model trains: `webgpu`, or `gpu`, keeps weights, gradients and moments on a GPU. `auto` takes a GPU that trains as the
   * processor and is faster. A run goes on with the device that it began with. Default: `cpu`.
   */
  readonly device?: Device | undefined;
  /** How the model is found. */
  readonly open?: OpenOptions;
  readonly signal?: AbortSignal | undefined;
  /** How options are called in errors. Default: as they are here. */
  readonly nameOf?: NameOf;
}

/** A run that is ready, for `runTraining`. It holds the model's files open until it is disposed. */
export interface PreparedTraining extends AsyncDisposable {
  readonly run: TrainRun;
  /** For people: what is left out, and why. */
  readonly notes: readonly string[];
}

/**
 * Opens the model, reads the examples and sets some aside. Throws before any work: `usage` for settings that do not fit each other,
 * `bad-input` for data that cannot be learned from, and what opening a checkpoint or an adapter throws.
 *
 * @example
 * await using training = await prepareTraining({
 *   model: "HuggingFaceTB/SmolLM2-135M-Instruct",
 *   folder: "faq-ar",
 *   source: { data: "faq.jsonl", promptField: "question", answerField: "answer" },
 *   settings: { steps: 200 },
 * });
 * for await (const record of runTraining(training.run)) console.log(record);
 */
export async function prepareTraining(options: TrainingOptions): Promise<PreparedTraining> {
  const { model, fromAdapter, fromScratch = false, nameOf = (option) => option } = options;
  const wanted = { loraRank: 0, loraAlpha: undefined, ...options.settings, fromScratch };
  const start = fromAdapter === undefined ? null : startOf(await readAdapter(fromAdapter), wanted, nameOf);
  const settings = trainSettings({ ...options.settings, ...start?.lora });
  const frozen = settings.lossless || settings.medusa?.base === "frozen"; // the model that decides stays as it is
  if (settings.medusa?.base === "frozen" && (start !== null || fromScratch))
    throw new CllmError(
      "usage",
      `with a frozen base only heads are trained: omit ${nameOf(start === null ? "fromScratch" : "fromAdapter")}`,
    );
  if (options.adapter !== undefined && !frozen)
    throw new CllmError(
      "usage",
      `${nameOf("adapter")} is merged for training beside a model that stays as it is; ${nameOf("fromAdapter")} goes on with one`,
    );
  if (start !== null && (start.adapter.drafts ?? false) !== settings.lossless) {
    const kind = settings.lossless
      ? "is not a draft adapter, and lossless training goes on with one"
      : "is a draft adapter";
    throw new CllmError(
      "usage",
      `${start.adapter.name} ${kind}: give another one, or ${settings.lossless ? "begin anew" : "train it with lossless"}`,
    );
  }
  const checkpoint = await openCheckpoint(model, options.open);
  try {
    if (start !== null) requireFit(checkpoint.weights, start.adapter, start.adapter.copies);
    const base = options.adapter === undefined ? null : await readAdapter(options.adapter);
    const weights = base === null ? checkpoint.weights : withAdapter(checkpoint.weights, base);
    const read = await readExamples(options.source, checkpoint, settings, nameOf);
    const config = start === null ? checkpoint.config : adaptedConfig(checkpoint.config, start.adapter);
    const { usable, tooLong } = exampleLengths(read.examples, settings, config.contextLength);
    const wantedAside = options.heldOut ?? 32;
    const { training, heldOut } = splitExamples(usable, wantedAside, settings.seed);
    const run: TrainRun = {
      folder: options.folder,
      ...{ config, weights, tokenizer: tokenizerOf(checkpoint) },
      ...{ fromScratch, start: start?.tensors, settings, heldOut },
      source: shuffled(training, settings.seed, settings.keepTogether),
      identity: {
        ...read.identity,
        ...(start === null ? {} : { fromAdapter: start.adapter.name }),
        ...(base === null ? {} : { adapter: base.name }),
        ...{ fromScratch, heldOut: heldOut.length, model: checkpoint.name },
      },
      baseModel: checkpoint.name,
      baseAdapter: base === null ? undefined : basename(base.name),
      threads: options.threads,
      device: options.device === "gpu" ? "webgpu" : options.device,
      signal: options.signal,
    };
    const notes = [
      ...read.notes,
      ...(tooLong === 0
        ? []
        : [`${tooLong} of ${read.examples.length} examples are longer than a sequence and left out`]),
      ...heldOutNote(heldOut.length, wantedAside, usable.length),
    ];
    return { run, notes, [Symbol.asyncDispose]: () => checkpoint.close() };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

function heldOutNote(aside: number, wanted: number, usable: number): string[] {
  if (aside >= wanted) return [];
  const what = aside === 0 ? "nothing is measured: no example is held out" : `${aside} examples are held out`;
  return [`${what}, not ${wanted}, because half of the ${usable} usable ones, in whole records, are the most`];
}

const tokenizerOf = ({ tokenizer, config }: Checkpoint) =>
  tokenizer.kind === "huggingface" ? tokenizer : toHuggingFaceTokenizer(tokenizer, config);
