/**
 * Ways to decode side by side, on the questions of a task and one base model: tokens per pass, speed-up over the base's `ar` in the same run,
 * answers that differ from it, and minutes of training. Also what the same passes would give where a pass of 32 rows costs what one of one row
 * costs: that column is computed from the recorded passes, and not measured. A way whose adapter, heads or model is not given is left out.
 *
 *     npm run bench -- comparison --task spider --ways ar,lookahead,medusa-1,auto --medusa-1 runs/spider-medusa/heads/best --save
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { commitOfCheckout, machineName } from "../src/cli/machine.ts";
import { tokensPerForward } from "../src/decode/tokens-per-forward.ts";
import { CllmError } from "../src/error.ts";
import type { GenerateOptions, LanguageModel, LoadOptions, NamedDecoder, Precision } from "../src/index.ts";
import { load } from "../src/index.ts";
import { defaultThreads } from "../src/runtime/host.ts";
import { openTask } from "../src/tasks/open-task.ts";
import { dataFolder, flags, modelPath, report } from "./conditions.ts";

const settings = flags({
  ...{ task: "spider", ways: "", adapter: "spider-target", precision: "int8", threads: defaultThreads() },
  ...{ limit: 0, "max-new-tokens": 0, "block-size": 16, save: false },
  ...{ cllm: "", "draft-adapter": "", "draft-model": "", "medusa-1": "", "medusa-2": "" },
});
const { adapter, "draft-adapter": draftAdapter, "draft-model": draftModel } = settings;
const { "medusa-1": heads, "medusa-2": model2 } = settings;
const base: LoadOptions = { suffixMemory: 0, ...(adapter !== "" && adapter !== "none" && { adapter }) };
/** Ways that draft from earlier answers have a model of their own: no way may know what another has just answered. */
const remembering: LoadOptions = { ...base, suffixMemory: 16 };
const block = { blockSize: settings["block-size"] };

/** One way: what is loaded, how it decodes, and whose training it needs. */
interface Way {
  readonly id: string;
  readonly name: string;
  /** The flag that it needs, where it needs one. */
  readonly needs?: "cllm" | "draft-adapter" | "draft-model" | "medusa-1" | "medusa-2";
  readonly options: LoadOptions;
  /** Another model than the base. */
  readonly model?: string;
  readonly decoder: NamedDecoder;
}
const isModel = existsSync(join(model2, "config.json")) && !existsSync(join(model2, "adapter_config.json"));
const WAYS: readonly Way[] = [
  { id: "ar", name: "`ar`", options: base, decoder: { name: "ar" } },
  { id: "jacobi", name: "Jacobi, untrained", options: base, decoder: { name: "jacobi", ...block } },
  { id: "lookahead", name: "lookahead", options: base, decoder: { name: "lookahead" } },
  { id: "prompt-lookup", name: "prompt lookup", options: base, decoder: { name: "prompt-lookup", ...block } },
  { id: "suffix", name: "suffix", options: remembering, decoder: { name: "suffix", ...block } },
  {
    ...{ id: "draft-model", name: "draft model", needs: "draft-model" },
    options: { ...base, draftModel },
    decoder: { name: "draft-model" },
  },
  {
    ...{ id: "medusa-1", name: "Medusa-1", needs: "medusa-1" },
    options: { ...base, medusaHeads: heads },
    decoder: { name: "medusa" },
  },
  {
    ...{ id: "medusa-2", name: "Medusa-2", needs: "medusa-2" },
    ...(isModel && { model: model2 }),
    options: { suffixMemory: 0, ...(!isModel && { adapter: model2 }), medusaHeads: join(model2, "heads") },
    decoder: { name: "medusa" },
  },
  {
    ...{ id: "cllm", name: "CLLM", needs: "cllm" },
    options: { suffixMemory: 0, adapter: settings.cllm },
    decoder: { name: "jacobi", ...block },
  },
  {
    ...{ id: "lossless", name: "lossless CLLM", needs: "draft-adapter" },
    options: { ...base, draftAdapter },
    decoder: { name: "jacobi", blockSize: 8, draftRows: 14, alternatives: 10 }, // `FREE_ROWS` in all
  },
  { id: "auto", name: "`auto`, untrained", options: remembering, decoder: { name: "auto" } },
  {
    ...{ id: "auto-lossless", name: "`auto`, lossless CLLM", needs: "draft-adapter" },
    options: { ...remembering, draftAdapter },
    decoder: { name: "auto" },
  },
];

const asked = settings.ways === "" ? WAYS.map(({ id }) => id) : settings.ways.split(",");
const unknown = asked.find((id) => !WAYS.some((way) => way.id === id));
if (unknown !== undefined)
  throw new CllmError("usage", `no way ${unknown}; there are ${WAYS.map(({ id }) => id).join(", ")}`);
const missing = WAYS.filter(({ needs }) => needs !== undefined && settings[needs] === "");
for (const { id, needs } of missing)
  if (settings.ways !== "" && asked.includes(id))
    throw new CllmError("usage", `--ways ${id} needs --${needs}: name the folder`);
const ways = WAYS.filter((way) => way.id === "ar" || (asked.includes(way.id) && !missing.includes(way)));

/** Rows of a pass that a GPU gives at the price of one. */
const FREE_ROWS = 32;

interface Tally {
  readonly accepted: number[];
  tokens: number;
  ms: number;
  differing: number;
  /** Passes, where each costs as much as ones of up to `FREE_ROWS` rows. */
  unitPasses: number;
}

const loaded = new Map<string, LanguageModel>();
async function modelOf({ id, model = modelPath(), options }: Way): Promise<LanguageModel> {
  const key = JSON.stringify([model, options, options === base ? null : id]);
  const known = loaded.get(key);
  if (known !== undefined) return known;
  const made = await load(model, {
    ...{ ...options, precision: settings.precision as Precision, threads: settings.threads },
  });
  loaded.set(key, made);
  return made;
}

/** Seconds of steps that a run's log has, and those of the runs that it began with; null where the folder is not a part of one. */
function trainingSeconds(folder: string): number | null {
  const run = dirname(folder);
  if (!existsSync(join(run, "log.jsonl"))) return null;
  const records = readFileSync(join(run, "log.jsonl"), "utf8")
    .split("\n")
    .filter((line) => line.endsWith("}"))
    .map((line) => JSON.parse(line) as { type: string; seconds: number });
  const seconds = records.reduce((sum, record) => sum + (record.type === "step" ? record.seconds : 0), 0);
  const { fromAdapter = "" } = JSON.parse(readFileSync(join(run, "settings.json"), "utf8")) as { fromAdapter?: string };
  return seconds + ((fromAdapter === "" ? null : trainingSeconds(fromAdapter)) ?? 0);
}

/** Minutes that training took; null where nobody knows. */
function trainingMinutes({ needs }: Way): number | null {
  const seconds = needs === undefined ? 0 : trainingSeconds(settings[needs]);
  return seconds === null ? null : Math.round(seconds / 60);
}

const chat = settings.task === "gsm8k" ? ({ promptFormat: "chat", shots: 0 } as const) : {};
const open = { dataDir: dataFolder(), ...chat, ...(settings.task === "humaneval" && { allowCodeExecution: true }) };
await using task = await openTask(settings.task, open);
const { length } = task.examples;
const wanted = settings.limit === 0 ? length : Math.min(settings.limit, length);
const examples = Array.from({ length: wanted }, (_, i) => task.examples[Math.floor(((i + 0.5) * length) / wanted)]!);
const tallies = ways.map((): Tally => ({ accepted: [], tokens: 0, ms: 0, differing: 0, unitPasses: 0 }));
try {
  for (const [index, example] of [examples[0]!, ...examples].entries()) {
    const request: GenerateOptions = {
      ...{ ...example.input([]), stop: example.stop, cachePrompt: false },
      maxNewTokens: settings["max-new-tokens"] || example.maxNewTokens,
      memoryScope: index === 0 ? "warm-up" : "questions", // the first question comes again
    };
    const found: string[] = [];
    for (let turn = 0; turn < ways.length; turn++) {
      const at = (turn + index) % ways.length;
      const way = ways[at]!;
      const tally = tallies[at]!;
      const stream = (await modelOf(way)).stream({ ...request, decoder: way.decoder });
      let units = 0;
      for await (const { pass } of stream) if (pass && !pass.prefill) units += Math.ceil(pass.rows / FREE_ROWS);
      const { tokens, stats } = await stream.result;
      found[at] = tokens.join();
      if (index === 0) continue; // calibrates and warms up
      tally.accepted.push(...stats.accepted);
      tally.tokens += stats.newTokens - stats.prefillTokens;
      tally.ms += stats.decodeMs;
      tally.unitPasses += units;
    }
    if (index > 0) for (const [at, tally] of tallies.entries()) if (found[at] !== found[0]) tally.differing++;
    if (process.stderr.isTTY) process.stderr.write(`\r${index}/${examples.length} `);
  }
} finally {
  for (const model of loaded.values()) await model.dispose();
}

const rate = ({ tokens, ms }: Tally): number => tokens / ms;
const rounded = (value: number): number => Number(value.toFixed(2));
const rows = [];
for (const [at, way] of ways.entries()) {
  const tally = tallies[at]!;
  rows.push({
    id: way.id,
    way: way.name,
    tokensPerPass: rounded(tokensPerForward(tally.accepted)),
    speedup: rounded(rate(tally) / rate(tallies[0]!)),
    differing: tally.differing,
    trainingMinutes: trainingMinutes(way),
    computed: rounded(tally.tokens / tally.unitPasses),
  });
}
for (const row of rows) {
  const { way, tokensPerPass, speedup, differing, computed } = row;
  const figures = `${tokensPerPass.toFixed(2)} tokens per pass, ${speedup.toFixed(2)} of ar, ${differing} of ${examples.length} texts differ`;
  console.log(`${way.padEnd(24)} ${figures}; computed for free rows: ${computed.toFixed(2)}`);
}
if (settings.save) {
  const file = join(import.meta.dirname, `results/comparison-${settings.task}.json`);
  const given = process.argv.slice(2).filter((flag) => flag !== "--save");
  const result = {
    title: `Ways to decode on ${settings.task}`,
    model: `SmolLM2-135M-Instruct${base.adapter !== undefined ? ` with the adapter ${adapter}` : ""}`,
    ...{ precision: settings.precision, n: examples.length, machine: machineName(), commit: commitOfCheckout() },
    date: new Date().toISOString().slice(0, 10),
    command: ["npm run bench -- comparison", ...given].join(" "),
    columns: {
      way: "",
      tokensPerPass: "tokens per pass",
      speedup: "speed-up here",
      differing: "answers that differ from the base",
      trainingMinutes: "minutes of training",
      computed: "computed: speed-up where 32 rows cost what one costs",
    },
    rows,
  };
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  console.log(`wrote ${file}`);
}
report("comparison", settings, { questions: examples.length, rows });
