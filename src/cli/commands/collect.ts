/**
 * `cllm collect`: trajectories of a model on a data set, into one file that training reads. Everything that can be wrong
 * with data and settings is found out before the first pass; what was collected is never lost. The work itself is in
 * `trajectory/`.
 */
import { join } from "node:path";
import * as z from "zod";
import { acquireLock } from "../../files/lock.ts";
import { localCopy, openWorkFolder, splitPath, type WorkFolder } from "../../files/remote.ts";
import { shardPath, shardText } from "../../files/shards.ts";
import { toCandidates } from "../../trajectory/candidates.ts";
import { readDataset, unknownRolesText } from "../../trajectory/dataset.ts";
import type { CollectionInfo, CollectionReport, TrajectoryFormat } from "../../trajectory/info.ts";
import { KNOWN_DATASETS } from "../../trajectory/known-datasets.ts";
import { checkPrompts, fingerprintPrompts, type RunProgress, runCollection } from "../../trajectory/run.ts";
import { collectionText } from "../collection-text.ts";
import { type Command, type DraftSettings, defineCommand, type ModelSettings, undraftedFields } from "../command.ts";
import { type DataSettings, dataField, dataFields, datasetOptions } from "../data-fields.ts";
import { formatDuration } from "../format.ts";
import { identityOf } from "../identity.ts";
import { commitOfCheckout, machineName } from "../machine.ts";
import { GENERAL_MODEL, loadModel } from "../model.ts";
import { type ShardSettings, shardFields, shardOf } from "../shard.ts";
import type { Terminal } from "../terminal.ts";

interface CollectSettings extends DataSettings, Omit<ModelSettings, keyof DraftSettings>, ShardSettings {
  readonly data: string;
  readonly out: string;
  readonly format: TrajectoryFormat;
  readonly blockSize: number;
  readonly maxNewTokens: number | undefined;
  readonly seed: number;
  readonly parallel: number;
  readonly augment: boolean;
  readonly clean: boolean;
  readonly requireEnd: boolean;
  readonly maxPromptTokens: number | undefined;
  readonly maxSequenceTokens: number | undefined;
}

const tokens = (description: string) =>
  z.int().min(1).optional().meta({ description, placeholder: "tokens" }) satisfies z.ZodType;
export const collect: Command = defineCommand<CollectSettings>({
  name: "collect",
  summary: "Collect trajectories of a model on a data set, for consistency training",
  details:
    "The data is JSON Lines, a JSON list or Parquet, or a known data set by its name, with a split if need be: " +
    `${KNOWN_DATASETS.join(", ")} (gsm8k/test). Prompts come from --template, --messages-field or --prompt-field, else ` +
    "from the field messages, conversations (ShareGPT) or prompt; of a conversation, what stands before its first " +
    "answer. Where the model has a chat template a prompt is taken for a user's message; --raw continues it as it " +
    "is.\n\nInterrupted at any moment, the same command goes on where it was and gives the same file, byte for byte.",
  fields: {
    ...undraftedFields,
    ...dataFields,
    ...shardFields,
    data: dataField,
    out: z.string().min(1).meta({
      description: "the file to write, or s3://bucket/name; unfinished work stands beside it",
      placeholder: "file",
      short: "o",
    }),
    format: z
      .enum(["parquet", "cllm-json"])
      .default("parquet")
      .meta({ description: "Parquet, or the JSON of the original CLLM code" }),
    blockSize: z
      .int()
      .min(1)
      .max(256)
      .default(16)
      .meta({ description: "tokens solved for together", placeholder: "tokens" }),
    maxNewTokens: tokens("most tokens of a completion; default: 256, or what the context leaves"),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(0)
      .meta({ description: "of drafts and augmentation" }),
    parallel: z.int().min(1).max(64).default(1).meta({
      description: "prompts in flight, whose passes run together; more take the weights' memory twice",
      placeholder: "prompts",
    }),
    augment: z.boolean().default(true).meta({ description: "leave points as Jacobi decoding visits them" }),
    clean: z.boolean().default(true).meta({ description: "keep empty completions and those that repeat themselves" }),
    requireEnd: z.boolean().default(false).meta({ description: "drop completions that --max-new-tokens ended" }),
    maxPromptTokens: tokens("drop longer prompts; without it one that does not fit the context is an error"),
    maxSequenceTokens: tokens("drop what is longer, prompt and completion together"),
  },
  groups: {
    Collecting: ["out", "format", "blockSize", "maxNewTokens", "seed", "parallel"],
    Data: Object.keys(dataFields) as (keyof DataSettings)[],
    "What is kept": ["augment", "clean", "requireEnd", "maxPromptTokens", "maxSequenceTokens"],
  },
  examples: [
    [
      `cllm collect --model ${GENERAL_MODEL} --data gsm8k --limit 500 --out gsm8k.parquet`,
      "a known data set, from the folder in CLLM_DATA",
    ],
    [
      'cllm collect --model model.gguf --data faq.jsonl --template "Q: {question}\\nA:" --answer-field answer --raw --out faq.parquet',
      "one's own data, as plain text",
    ],
    [
      `cllm collect --model ${GENERAL_MODEL} --data gsm8k --out gsm8k.parquet --shard 3/8`,
      "the third of eight parts; an array job's index is found by itself",
    ],
    [
      "cllm collect --model model.gguf --data sharegpt.json --format cllm-json --out sharegpt-16.json",
      "for the original CLLM trainer",
    ],
  ],
  foreign: {
    draftAdapter: "trajectories are those of the model by itself",
    medusaHeads: "trajectories are those of the model by itself",
    ngrams: "trajectories are those of the model by itself",
  },
  async run(settings, terminal) {
    const begin = performance.now();
    const { out: whole, format } = settings;
    const shard = shardOf(settings, process.env, terminal.note);
    const output = shard === undefined ? whole : shardPath(whole, shard, ".parquet");
    const { folder, name } = splitPath(output);
    const remote = { signal: terminal.signal, note: terminal.note };
    const data = await localCopy(settings.data, remote);
    const dataset = await readDataset(data, datasetOptions(settings));
    const leftOut = unknownRolesText(dataset, "--strict-data");
    if (leftOut !== null) terminal.note(leftOut);
    const { signal, note: onWait } = terminal;
    await using work = await openWorkFolder(folder, { growing: [`${name}.journal`], whole: [name] }, remote);
    const path = join(work.folder, name);
    await (await acquireLock(path, { signal, onWait })).release(); // another run, or a folder that cannot be written to
    await using model = await loadModel({ ...settings, template: settings.chatTemplate }, terminal, {
      slots: settings.parallel,
    });
    const { defaultThreads } = await import("../../runtime/host.ts");
    const chat = model.hasChatTemplate && !settings.raw;
    const candidates = toCandidates(model, dataset.examples, { chat });
    const info: CollectionInfo = {
      model: await identityOf(settings, model, terminal),
      settings: {
        ...{ data: dataset.name, prompts: fingerprintPrompts(candidates), precision: model.precision },
        ...(model.device !== "cpu" && { device: model.device }),
        threads: settings.threads ?? defaultThreads(),
        ...{ blockSize: settings.blockSize, maxNewTokens: settings.maxNewTokens ?? null, seed: settings.seed },
        stopIds: [...model.config.eosTokenIds],
        ...{ augment: settings.augment, clean: settings.clean, requireEnd: settings.requireEnd },
        maxPromptTokens: settings.maxPromptTokens ?? null,
        maxSequenceTokens: settings.maxSequenceTokens ?? null,
      },
      ...(shard !== undefined && { shard: { ...shard, format } }),
    };
    checkPrompts(candidates, info, model.config);
    const run = runCollection(() => model.session(), candidates, {
      ...{ output: path, format, info, parallel: settings.parallel, signal, onWait },
    });
    const report = await follow(run, output, work, terminal);
    await work.finish();
    const seconds = (performance.now() - begin) / 1000;
    if (!terminal.json) terminal.write(collectionText(report, info, output, model.tokenizer, terminal.colors));
    else terminal.write(`${JSON.stringify(asJson(report, info, output, seconds))}\n`);
    if (shard !== undefined) terminal.note(`this is ${shardText(shard)}; when all are there: cllm merge ${whole}`);
    else if (report.kept === 0) terminal.note("nothing was kept: there is nothing to learn from; see why above");
  },
});

const NOTE_EVERY_MS = 30_000; // where no bar can be shown

/** Shows how far it is, and says how to go on where it was stopped. */
async function follow(
  run: AsyncGenerator<RunProgress, CollectionReport, void>,
  output: string,
  work: WorkFolder,
  terminal: Terminal,
): Promise<CollectionReport> {
  const begin = performance.now();
  let noted = begin;
  let progress: RunProgress | null = null;
  try {
    for (;;) {
      const { done, value } = await run.next();
      if (done) return value;
      if (progress === null && value.resumed > 0) {
        terminal.note(`going on with ${output}.journal: ${value.resumed} of ${value.total} prompts are done`);
      }
      await work.sync();
      progress = value;
      const elapsed = performance.now() - begin;
      const fresh = value.done - value.resumed;
      const rate = `${((value.tokens / elapsed) * 1000).toFixed(1)} tokens/s`;
      terminal.progress({ stage: "collect", what: rate, done: value.done, total: value.total, unit: "prompts" });
      if (process.stderr.isTTY || fresh === 0 || performance.now() - noted < NOTE_EVERY_MS) continue;
      noted = performance.now();
      const left = formatDuration((elapsed / fresh) * (value.total - value.done));
      terminal.note(`${value.done} of ${value.total} prompts, ${rate}, ${left} left`);
    }
  } catch (error) {
    terminal.endProgress();
    if (progress !== null) {
      terminal.note(
        `stopped: ${progress.done} of ${progress.total} prompts are in ${output}.journal; run the same command again to go on`,
      );
    }
    throw error;
  } finally {
    terminal.endProgress();
  }
}

function asJson(report: CollectionReport, info: CollectionInfo, output: string, seconds: number): object {
  return {
    output,
    ...report,
    model: info.model,
    settings: info.settings,
    seconds: Number(seconds.toPrecision(4)),
    machine: machineName(),
    commit: commitOfCheckout(),
  };
}
