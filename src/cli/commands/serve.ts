/**
 * `cllm serve`: models behind OpenAI's HTTP interface, until a signal ends it: the first lets running requests finish, the
 * second does not. The address goes to standard output, everything else to standard error.
 */
import * as z from "zod";
import { CllmError } from "../../error.ts";
import type { Models } from "../../serve/index.ts";
import { type Command, defineCommand } from "../command.ts";
import { loadSettingsOf, orDemonstration } from "../model.ts";
import { listField, modelsOf, ofOneModel, type SeveralSettings, severalFields } from "../several.ts";
import type { Terminal } from "../terminal.ts";

interface ServeSettings extends SeveralSettings {
  readonly host: string;
  readonly port: number;
  readonly apiKey: string | undefined;
  readonly apiKeyFile: string | undefined;
  readonly strict: boolean;
  readonly shareAnswers: boolean;
  readonly corsOrigin: readonly string[];
  readonly parallel: number;
  readonly batch: boolean;
  readonly maxQueue: number;
  readonly maxBody: number;
  readonly timeout: number;
  readonly drain: number;
  readonly memoryLimit: number | undefined;
  readonly preload: boolean;
  readonly log: "text" | "json" | undefined;
}

/** Seconds behind the last answers, for the workers. */
const ENDING = 5;
const MAX_KEY_BYTES = 4096;

export const serve: Command = defineCommand<ServeSettings>({
  name: "serve",
  summary: "Answer OpenAI's clients over HTTP",
  details:
    "POST /v1/chat/completions and /v1/completions, whole and streamed; GET /v1/models, /health (it lives), /ready (it takes requests) and /metrics; " +
    "a playground for browsers at /. Models are loaded when they are first asked for, or with --preload before, each in a process of its own. " +
    "A field that would change the answer and is not supported is an error; other unknown fields are ignored, and named once in the log. " +
    "Without max_tokens, an answer may be as long as the context allows. " +
    "Extensions: decoder, block_size, top_k, min_p, ignore_eos, stop_token_ids, chat_template_kwargs, continue_final_message, add_generation_prompt; " +
    "stream_options.include_passes adds an event for each pass. --verbose or --log logs requests. A request has the id of its header X-Request-Id, or a new one; its answer and the log repeat it.",
  fields: {
    ...severalFields({
      model:
        "GGUF file, directory or hub id, or name=model; may be repeated; default: CLLM_MODEL, CLLM_MODELS, or the package's CLLM",
      adapter: "PEFT directory, as name=folder, that requests call model:name; may be repeated",
    }),
    host: z.string().min(1).default("127.0.0.1").meta({
      description: "address to listen on; others than this machine's own need a key",
      placeholder: "address",
    }),
    port: z.int().min(0).max(65535).default(8000).meta({ description: "port to listen on; 0 takes any that is free" }),
    apiKey: z.string().min(1).optional().meta({
      description:
        "key that requests must carry; others see it in the list of processes, so prefer CLLM_API_KEY or a file",
      placeholder: "key",
      secret: true,
    }),
    apiKeyFile: z.string().min(1).optional().meta({
      description: "file whose first line is the key; default: CLLM_API_KEY, or no key",
      placeholder: "file",
    }),
    strict: z.boolean().default(false).meta({ description: "refuse requests with unknown fields" }),
    shareAnswers: z.boolean().default(false).meta({
      description: "draft from the answers to those who send other keys, too, such as to a proxy that checks them",
    }),
    corsOrigin: listField.meta({ description: "origin whose pages may ask; may be repeated", placeholder: "origin" }),
    parallel: z.int().min(1).max(64).default(4).meta({ description: "requests that a model runs at once" }),
    batch: z
      .boolean()
      .default(false)
      .meta({ description: "run the passes of a model's requests together; takes its weights' memory twice" }),
    maxQueue: z.int().min(0).default(128).meta({ description: "requests that may wait for a model" }),
    maxBody: z
      .number()
      .positive()
      .max(1000)
      .default(1)
      .meta({ description: "megabytes of a request", placeholder: "MB" }),
    timeout: z.number().positive().max(86_400).default(600).meta({
      description: "seconds from a request to the end of its answer",
      placeholder: "seconds",
    }),
    drain: z.number().min(0).max(86_400).default(30).meta({
      description: "seconds that running requests have once a signal ends the server",
      placeholder: "seconds",
    }),
    memoryLimit: z.number().positive().optional().meta({
      description: "gigabytes for loaded models; idle ones make room; default: no limit",
      placeholder: "GB",
    }),
    preload: z
      .boolean()
      .default(false)
      .meta({ description: "load the models at once; /ready says 503 until they are there" }),
    log: z.enum(["text", "json"]).optional().meta({
      description: "log each request on standard error; json also writes all notes as JSON, one object a line",
    }),
  },
  groups: {
    Model: [
      "model",
      "adapter",
      "draftAdapter",
      "draftModel",
      "medusaHeads",
      "ngrams",
      "suffixMemory",
      "parallel",
      "batch",
      "memoryLimit",
      "preload",
    ],
    "Who may ask": ["host", "port", "apiKey", "corsOrigin"],
    Limits: ["maxQueue", "maxBody", "timeout"],
  },
  examples: [
    ["cllm serve", "the package's own model on port 8000"],
    ["cllm serve --model model.gguf --model small=HuggingFaceTB/SmolLM2-135M-Instruct", "two models, one renamed"],
    ["cllm serve --model faq-ar/best --adapter faq=faq-lora/best", "a model, and as best:faq with an adapter"],
    ["CLLM_API_KEY=secret cllm serve --host 0.0.0.0 --memory-limit 8", "for other machines"],
    ["CLLM_API_KEY=secret cllm serve --host 0.0.0.0 --preload --log json", "a replica behind a proxy"],
  ],
  async run(settings, terminal) {
    const { host, port, timeout, drain, maxBody, corsOrigin, strict, shareAnswers, verbose, preload, log } = settings;
    const note = log === "json" ? (message: string) => terminal.note(logLine("note", { message })) : terminal.note;
    const { listen, isLoopback, createModels, modelEntries } = await import("../../serve/index.ts");
    const apiKey = await keyOf(settings);
    if (!isLoopback(host) && apiKey === undefined) {
      const next = "set CLLM_API_KEY or give --api-key-file";
      throw new CllmError("usage", `--host ${host} can be reached from other machines, which needs a key; ${next}`);
    }
    const { parallel: maxRunning, maxQueue: maxWaiting } = settings;
    const served = modelsOf(settings, () => orDemonstration({ model: undefined }, terminal).model);
    const shared = loadSettingsOf({ ...settings, ...ofOneModel });
    const slots = settings.batch ? maxRunning : 1;
    await using models = createModels(await modelEntries(served, { ...shared, keep: maxRunning, slots }), {
      maxRunning,
      maxWaiting,
      ...(settings.memoryLimit !== undefined && { memoryLimit: settings.memoryLimit * 1e9 }),
      log: note,
    });
    let isReady = !preload;
    const server = await listen({
      ...{ host, port, models, apiKey, localNamesOnly: isLoopback(host), corsOrigins: corsOrigin },
      ...{ maxBodyBytes: Math.floor(maxBody * 1e6), timeoutMs: timeout * 1000, drainMs: drain * 1000 },
      ...{ strict, shareAnswers, note, isReady: () => isReady },
      ...(log === "json" && { logRequest: (entry) => terminal.note(logLine("request", entry)) }),
      ...((log === "text" || (verbose && log === undefined)) && { log: note }),
    });
    terminal.allow((drain + ENDING) * 1000);
    const names = served.map(({ name }) => name);
    announce(server.url, names, apiKey !== undefined, terminal);
    if (preload) await loadAll(models, names, terminal.signal);
    isReady = true;
    if (!terminal.signal.aborted) {
      await new Promise<void>((resolve) => terminal.signal.addEventListener("abort", () => resolve(), { once: true }));
    }
    const running = models.status().reduce((sum, model) => sum + model.running + model.waiting, 0);
    if (running > 0) note(`finishing ${running} requests within ${drain} s; another signal ends them`);
    await server.drain();
  },
});

/** Loads the models one after the other; a signal ends the wait. */
async function loadAll(models: Models, names: readonly string[], signal: AbortSignal): Promise<void> {
  const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  for (const name of names) {
    if (!signal.aborted) await Promise.race([models.load(name), aborted]);
  }
}

/** A line for programs, snake_case as other logs have it. */
function logLine(event: string, fields: object): string {
  const snake = Object.entries(fields).map(([key, value]) => [
    key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    value as unknown,
  ]);
  return JSON.stringify({ time: new Date().toISOString(), level: "info", event, ...Object.fromEntries(snake) });
}

/** The key that requests must carry, from the one place that has it. */
async function keyOf({ apiKey, apiKeyFile }: ServeSettings): Promise<string | undefined> {
  if (apiKeyFile === undefined) return apiKey ?? (process.env["CLLM_API_KEY"] || undefined);
  if (apiKey !== undefined) throw new CllmError("usage", "--api-key and --api-key-file are both given; give one");
  const { readText } = await import("../../files/text.ts");
  const [line = ""] = (await readText(apiKeyFile, MAX_KEY_BYTES)).split(/\r?\n/);
  if (line.trim() !== "") return line.trim();
  throw new CllmError("usage", `--api-key-file: the first line of ${apiKeyFile} is empty; write the key there`);
}

function announce(url: string, models: readonly string[], needsKey: boolean, terminal: Terminal): void {
  if (terminal.json) {
    terminal.write(`${JSON.stringify({ url, models })}\n`);
    return;
  }
  const body = JSON.stringify({ model: models[0], prompt: "Once upon a time", max_tokens: 32 });
  const key = needsKey ? ` -H "authorization: Bearer $CLLM_API_KEY"` : "";
  terminal.write(`${url} answers for ${models.join(", ")}; a browser finds the playground there; Ctrl-C ends it\n`);
  terminal.write(`curl ${url}/v1/completions -H 'content-type: application/json'${key} -d '${body}'\n`);
}
