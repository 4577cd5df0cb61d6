/**
 * The process that a model computes in. A pass blocks it, so its requests take turns, one pass each or as many as run together,
 * and between two passes it reads its messages: an aborted request runs no further pass. Signals are the server's business: it drains first, and
 * the worker ends when the server says so or is gone. Knows no HTTP.
 */
import { Worker } from "node:worker_threads";
import { openCheckpoint } from "../checkpoint/open.ts";
import { SUFFIX_MEGABYTES } from "../decode/suffix-memory.ts";
import { CllmError } from "../error.ts";
import { load } from "../generate/load.ts";
import type { PromptInput } from "../generate/types.ts";
import { cacheBytes, weightBytes } from "../model/memory.ts";
import { type Backend, inThisProcess, type ServedRequest } from "./backend.ts";
import { promptEncoder } from "./prompt-encoder.ts";
import { createTurns } from "./turns.ts";
import { type FromWorker, failureOf, type ToWorker, type WorkerData } from "./wire.ts";

const CACHED_TOKENS = 1024; // that the estimate of a model's memory counts in
const PULSE_LIMITS = { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2 };
const { model, options } = JSON.parse(process.argv[2]!) as WorkerData;
const LONG_PROMPT = 8_192; // characters; shorter ones take no longer than a pass
const encodePrompt = promptEncoder({ model, options });
const turn = createTurns(options.slots);
const running = new Map<number, AbortController>();
let backend: Backend | null = null;

/** If the server is gone the worker ends too, so a lost message does not matter. */
const post = (message: FromWorker): void => void process.send?.(message, () => {});

/** What the model will take, from its headers alone. */
async function estimate(): Promise<number> {
  const copies = (options.slots ?? 1) > 1 ? 2 : 1;
  const { draftModel, suffixMemory = SUFFIX_MEGABYTES } = options;
  let bytes = suffixMemory * 1e6;
  for (const path of draftModel === undefined ? [model] : [model, draftModel]) {
    const { revision: _, ...others } = options;
    const checkpoint = await openCheckpoint(path, path === model ? options : others);
    await checkpoint.close();
    const { config } = checkpoint;
    bytes += copies * weightBytes(config, options.precision ?? "int8") + cacheBytes(config, CACHED_TOKENS);
  }
  return bytes;
}

/** Does something about the model as a whole; where it fails, the server ends the worker. */
async function prepare(what: () => Promise<FromWorker>): Promise<void> {
  try {
    post(await what());
  } catch (error) {
    post({ type: "unloadable", failure: failureOf(error) });
  }
}

async function loadModel(): Promise<FromWorker> {
  const loaded = await load(model, options);
  for (const drafting of loaded.drafter ? [false, true] : [false]) {
    for (const sampling of [false, true]) await loaded.passCosts(undefined, { sampling, drafting }); // while nobody else runs passes
  }
  backend = inThisProcess(loaded);
  return { type: "ready", runsOn: backend.runsOn };
}

/** What of a request its prompt is made of. */
function inputOf(request: ServedRequest): PromptInput {
  const { prompt, messages, templateOptions, tools, toolChoice, continueFinalMessage, addGenerationPrompt } = request;
  return { prompt, messages, templateOptions, tools, toolChoice, continueFinalMessage, addGenerationPrompt };
}

const lengthOf = ({ prompt = "", messages = [], tools = [] }: ServedRequest): number =>
  messages.reduce((sum, { content }) => sum + content.length, prompt.length) + JSON.stringify(tools).length;

async function run(id: number, request: ServedRequest): Promise<void> {
  const cancel = new AbortController();
  running.set(id, cancel);
  try {
    const long = lengthOf(request) > LONG_PROMPT;
    const promptIds = long ? await encodePrompt(inputOf(request), cancel.signal) : undefined;
    await turn();
    for await (const { event, generation } of backend!.run({ ...request, promptIds }, cancel.signal)) {
      if (generation !== undefined) return post({ type: "done", id, generation });
      post({ type: "pass", id, event: event! });
      await turn();
    }
  } catch (error) {
    post({ type: "failed", id, failure: failureOf(error) });
    // A GPU that failed may be lost for this process: the next request starts another one.
    if (error instanceof CllmError && error.code === "engine" && backend?.runsOn.device !== "cpu") await close();
  } finally {
    running.delete(id);
  }
}

async function close(): Promise<void> {
  await backend?.dispose();
  process.exit(0);
}

new Worker(new URL("./pulse.js", import.meta.url), { env: {}, execArgv: [], resourceLimits: PULSE_LIMITS }).unref();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {});
process.on("disconnect", () => process.exit(0));
process.on("message", (message: ToWorker) => {
  switch (message.type) {
    case "load":
      return void prepare(loadModel);
    case "run":
      return void run(message.id, message.request);
    case "abort":
      return running.get(message.id)?.abort();
    case "close":
      return void close();
  }
});
await prepare(async () => ({ type: "opened", bytes: await estimate() }));
