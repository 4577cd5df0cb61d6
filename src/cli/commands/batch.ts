/**
 * `cllm batch`: a file of OpenAI's batch requests to a file of answers, without a server: resumable, in shards, several at a time.
 * The work itself is in `serve/`, which answers the same requests over HTTP.
 */
import { join } from "node:path";
import * as z from "zod";
import { localCopy, openWorkFolder, splitPath, type WorkFolder } from "../../files/remote.ts";
import { shardPath, shardText } from "../../files/shards.ts";
import type { LanguageModel } from "../../generate/types.ts";
import type { BatchProgress, BatchReport } from "../../serve/batch-run.ts";
import type { ModelEntry } from "../../serve/models.ts";
import { type Command, defineCommand } from "../command.ts";
import { formatDuration } from "../format.ts";
import { identityOf } from "../identity.ts";
import { chooseModel, loadModel } from "../model.ts";
import { modelsOf, type SeveralSettings, settingsOf, severalFields } from "../several.ts";
import { type ShardSettings, shardFields, shardOf } from "../shard.ts";
import type { Terminal } from "../terminal.ts";

interface BatchSettings extends SeveralSettings, ShardSettings {
  readonly input: string;
  readonly output: string;
  readonly seed: number;
  readonly parallel: number;
  readonly strict: boolean;
}

export const batch: Command = defineCommand<BatchSettings>({
  name: "batch",
  summary: "Answer a file of OpenAI's batch requests",
  details:
    "Each line of the input has custom_id, method, url and body, as OpenAI's batches have it; bodies take the fields that cllm " +
    "serve takes. Each line of the output has custom_id and response, in the order of the requests; what is wrong with a request " +
    "is a response with OpenAI's error. The same requests give the same bytes: ids are made from the request, and created is 0." +
    "\n\nInterrupted at any moment, the same command goes on where it was.",
  fields: {
    ...severalFields({
      model: "GGUF file, directory or hub id, or name=model as bodies call it; may be repeated",
      adapter: "PEFT directory, as name=folder, that bodies call model:name; may be repeated",
    }),
    ...shardFields,
    input: z
      .string()
      .min(1)
      .meta({ description: "the requests, as JSON Lines; or s3://bucket/name", placeholder: "file", short: "i" }),
    output: z.string().min(1).meta({
      description: "the file of answers, or s3://bucket/name; unfinished work stands beside it",
      placeholder: "file",
      short: "o",
    }),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(0)
      .meta({ description: "of requests that sample and name no seed" }),
    parallel: z.int().min(1).max(64).default(1).meta({
      description: "requests in flight, whose passes run together; more take the weights' memory twice",
      placeholder: "requests",
    }),
    strict: z.boolean().default(false).meta({ description: "refuse requests with unknown fields" }),
  },
  groups: { Batch: ["input", "output", "seed", "parallel", "strict"] },
  examples: [
    ["cllm batch --model model.gguf -i requests.jsonl -o answers.jsonl", "bodies call the model by its file: model"],
    [
      "cllm batch --model gpt-4o-mini=model.gguf -i requests.jsonl -o answers.jsonl --parallel 8",
      "requests that were written for another model, eight at a time",
    ],
    ["cllm batch --model model.gguf -i requests.jsonl -o answers.jsonl --shard 3/8", "the third of eight parts"],
  ],
  async run(settings, terminal) {
    const shard = shardOf(settings, process.env, terminal.note);
    const output = shard === undefined ? settings.output : shardPath(settings.output, shard);
    const { createModels, inThisProcess } = await import("../../serve/index.ts");
    const { readBatch, runBatch } = await import("../../serve/batch-run.ts");
    const { createMetrics } = await import("../../serve/metrics.ts");
    const { ignoring } = await import("../../serve/unknown-fields.ts");
    const remote = { signal: terminal.signal, note: terminal.note };
    const requests = await readBatch(await localCopy(settings.input, remote));
    const { folder, name: file } = splitPath(output);
    await using work = await openWorkFolder(folder, { growing: [`${file}.journal`], whole: [file] }, remote);
    const served = modelsOf(settings, () => chooseModel(undefined));
    const loaded: LanguageModel[] = [];
    try {
      const entries: ModelEntry[] = [];
      const identities: { name: string; precision: string; weights: string; tokenizer: string }[] = [];
      for (const each of served) {
        const { name } = each;
        const own = settingsOf(settings, each);
        const model = await loadModel(own, terminal, { slots: settings.parallel, keep: settings.parallel });
        loaded.push(model);
        const { weights, tokenizer } = await identityOf(own, model, terminal);
        identities.push({ name, precision: model.precision, weights, tokenizer });
        entries.push({ name, start: async () => ({ ...inThisProcess(model), dispose: async () => {} }) });
      }
      await using models = createModels(entries, { maxRunning: settings.parallel, maxWaiting: settings.parallel });
      const { defaultThreads } = await import("../../runtime/host.ts");
      const conditions = { models: identities, threads: settings.threads ?? defaultThreads() };
      const { seed, parallel } = settings;
      const onUnknown = settings.strict ? ("refuse" as const) : ignoring(terminal.note);
      const { signal, note: onWait } = terminal;
      const context = { models, metrics: createMetrics(), seed, onUnknown, signal };
      const run = runBatch({
        ...context,
        output: join(work.folder, file),
        requests,
        conditions,
        parallel,
        shard,
        onWait,
      });
      const report = await follow(run, output, work, terminal);
      await work.finish();
      if (terminal.json) terminal.write(`${JSON.stringify({ output, ...report })}\n`);
      else terminal.write(`${report.answers} answers, ${report.failed} of them errors\nwrote ${output}\n`);
      if (shard !== undefined) {
        terminal.note(`this is ${shardText(shard)}; when all are there: cllm merge ${settings.output}`);
      }
    } finally {
      for (const model of loaded) await model.dispose();
    }
  },
});

const NOTE_EVERY_MS = 30_000; // where no bar can be shown

/** Shows how far it is, and says how to go on where it was stopped. */
async function follow(
  run: AsyncGenerator<BatchProgress, BatchReport, void>,
  output: string,
  work: WorkFolder,
  terminal: Terminal,
): Promise<BatchReport> {
  const begin = performance.now();
  let noted = begin;
  let progress: BatchProgress | null = null;
  try {
    for (;;) {
      const { done, value } = await run.next();
      if (done) return value;
      if (progress === null && value.resumed > 0) {
        terminal.note(`going on with ${output}.journal: ${value.resumed} of ${value.total} requests are answered`);
      }
      await work.sync();
      progress = value;
      terminal.progress({ stage: "batch", what: "", done: value.done, total: value.total, unit: "requests" });
      const fresh = value.done - value.resumed;
      if (process.stderr.isTTY || fresh === 0 || performance.now() - noted < NOTE_EVERY_MS) continue;
      noted = performance.now();
      const left = formatDuration(((noted - begin) / fresh) * (value.total - value.done));
      terminal.note(`${value.done} of ${value.total} requests, ${left} left`);
    }
  } catch (error) {
    terminal.endProgress();
    if (progress !== null) {
      const kept = `${progress.done} of ${progress.total} answers are in ${output}.journal`;
      terminal.note(`stopped: ${kept}; run the same command again to go on`);
    }
    throw error;
  } finally {
    terminal.endProgress();
  }
}
