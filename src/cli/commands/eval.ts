/**
 * `cllm eval`: a task with several models and decoders side by side: score, speed and what they differ in, as a table, as
 * JSON and as a page. The work itself is in `eval/`; this is its flags, its progress and its files.
 */
import { readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import * as z from "zod";
import { CllmError } from "../../error.ts";
import { contendersOf, takesBlockSize } from "../../eval/contenders.ts";
import { publishedResults } from "../../eval/published.ts";
import { reportHtml } from "../../eval/report-html.ts";
import { ANSWERS, type Evaluation, PASSES, runEvaluation, type Subject } from "../../eval/run.ts";
import { summarizeEvaluation, type TokenText } from "../../eval/summary.ts";
import { openWorkFolder, type StagedFiles } from "../../files/remote.ts";
import { type Shard, shardPath, shardText } from "../../files/shards.ts";
import { writeWhole } from "../../files/write-whole.ts";
import { unknownName } from "../../generate/check.ts";
import { decodingFields } from "../../generate/options.ts";
import { DECODERS, type DecoderName, type LanguageModel } from "../../generate/types.ts";
import type { ServedModel } from "../../serve/served-models.ts";
import { GRADERS, type GraderName } from "../../tasks/custom/custom.ts";
import { ISOLATIONS, type Isolation } from "../../tasks/humaneval/sandbox.ts";
import { createJudge, type Judge } from "../../tasks/mt-bench/judge.ts";
import { writeAnswers } from "../../tasks/mt-bench/mt-bench.ts";
import { type OpenTaskOptions, openTask, TASKS } from "../../tasks/open-task.ts";
import { sampleOf } from "../../tasks/sample.ts";
import type { PromptFormat, Task } from "../../tasks/task.ts";
import { type Command, defineCommand, type ModelSettings } from "../command.ts";
import { dataFolder } from "../data-fields.ts";
import { followEvaluation } from "../eval-progress.ts";
import { evaluationText } from "../eval-text.ts";
import { identityOf } from "../identity.ts";
import { commitOfCheckout, machineName } from "../machine.ts";
import { chooseModel, GENERAL_MODEL, loadModel } from "../model.ts";
import { draftNames, modelsOf, type SeveralSettings, settingsOf, severalFields } from "../several.ts";
import { type ShardSettings, shardFields, shardOf } from "../shard.ts";
import type { Terminal } from "../terminal.ts";

interface EvalSettings extends SeveralSettings, ShardSettings {
  readonly task: string;
  readonly decoders: readonly DecoderName[];
  readonly blockSizes: readonly number[];
  readonly jacobiForm: "window" | "block";
  readonly out: string;
  readonly data: string | undefined;
  readonly dataDir: string | undefined;
  readonly split: string | undefined;
  readonly limit: number | undefined;
  readonly sample: number | undefined;
  readonly target: string | undefined;
  readonly onlyAdapters: boolean;
  readonly maxNewTokens: number | undefined;
  readonly promptFormat: PromptFormat | undefined;
  readonly shots: number | undefined;
  readonly extraction: "strict" | "flexible" | undefined;
  readonly distinct: "kept" | "dropped" | undefined;
  readonly grader: GraderName | undefined;
  readonly allowCodeExecution: boolean;
  readonly isolation: Isolation | undefined;
  readonly judge: string | undefined;
  readonly judgeModel: string | undefined;
  readonly trajectories: number;
}

const text = (description: string, placeholder: string) =>
  z.string().min(1).optional().meta({ description, placeholder }) satisfies z.ZodType;

export const evaluate: Command = defineCommand<EvalSettings>({
  name: "eval",
  summary: "Score models and decoders on a task, side by side",
  details:
    `Tasks are ${TASKS.join(", ")}; custom reads questions, references and graders from --data. Every question goes ` +
    "to every model with every decoder before the next one; ar is always among the decoders, and the first model's ar " +
    "is the target that the others are compared with. The folder gets every answer (answers.jsonl), report.json and " +
    "report.html.\n\nInterrupted at any moment, the same command goes on where it was. What goes wrong while grading is a " +
    "verdict of its own and never counts as right. Graders read what stands behind </think>.\n\nHumanEval runs what the " +
    "models wrote only with --allow-code-execution, in Linux namespaces: that code sees Python's own files and an empty " +
    "folder. Elsewhere --isolation process has to be given; then only Python's own hooks keep it from your files. The " +
    "tests run in another process and get plain values alone, so an object whose __eq__ is always true passes none, " +
    "which HumanEval's own harness accepts.",
  fields: {
    ...severalFields({
      model: "GGUF file, directory or hub id, or name=model; may be repeated, the first one is the target",
      adapter: "PEFT directory, as name=folder, that takes part as one more model; may be repeated",
    }),
    ...shardFields,
    task: z
      .string()
      .min(1)
      .meta({ description: `${TASKS.slice(0, -1).join(", ")} or ${TASKS.at(-1)}`, placeholder: "task" }),
    onlyAdapters: z.boolean().default(false).meta({ description: "leave out the models that the adapters are for" }),
    target: text("the model that the others are compared with; default: the first one", "name"),
    decoders: z
      .array(z.enum(DECODERS))
      .min(1)
      .default(["ar", "jacobi", "auto"])
      .meta({ description: "which to run each model with" }),
    blockSizes: z.array(z.int().min(1).max(256)).min(1).default([16]).meta({
      description: "for jacobi, prompt-lookup, suffix, prediction and multiblock: each of them",
      placeholder: "sizes",
    }),
    jacobiForm: decodingFields.jacobiForm,
    out: z.string().min(1).meta({
      description: "the folder for answers and reports, or s3://bucket/folder",
      placeholder: "folder",
      short: "o",
    }),
    data: text("custom: JSON Lines, JSON or Parquet with prompt, reference and grader", "file"),
    dataDir: text("folder of the tasks' data; default: CLLM_DATA", "folder"),
    split: text("which part of the data; default: the task's own, never one for training", "name"),
    limit: z.int().min(1).optional().meta({ description: "only the first questions", placeholder: "questions" }),
    sample: z
      .int()
      .min(1)
      .optional()
      .meta({ description: "so many questions from all over, always the same ones", placeholder: "questions" }),
    maxNewTokens: z
      .int()
      .min(1)
      .optional()
      .meta({ description: "most tokens of an answer; default: the task's own", placeholder: "tokens", short: "n" }),
    promptFormat: z
      .enum(["default", "chat", "paper"])
      .optional()
      .meta({ description: "the task's usual prompt, a user's message, or what released CLLMs were trained on" }),
    shots: z.int().min(0).optional().meta({ description: "gsm8k: solved problems before each question" }),
    extraction: z.enum(["strict", "flexible"]).optional().meta({ description: "gsm8k: which number counts" }),
    distinct: z.enum(["kept", "dropped"]).optional().meta({ description: "spider: whether DISTINCT counts" }),
    grader: z
      .enum(GRADERS as [GraderName, ...GraderName[]])
      .optional()
      .meta({
        description: "custom: for records that name none",
      }),
    allowCodeExecution: z
      .boolean()
      .default(false)
      .meta({ description: "humaneval: run what the models wrote, in a sandbox" }),
    isolation: z
      .enum(ISOLATIONS as [Isolation, ...Isolation[]])
      .optional()
      .meta({
        description:
          "humaneval: what holds that code; namespaces of Linux, or process: Python's own hooks, which hostile code may pass",
      }),
    judge: text("mt-bench: an OpenAI-compatible endpoint, up to /v1; its key: CLLM_JUDGE_KEY", "url"),
    judgeModel: text("mt-bench: the judge's name there", "name"),
    trajectories: z
      .int()
      .min(0)
      .default(0)
      .meta({ description: "trace the first so many answers of each model, block by block", placeholder: "questions" }),
  },
  argument: "task",
  groups: {
    "Who takes part": [
      "model",
      "adapter",
      "draftAdapter",
      "draftModel",
      "medusaHeads",
      "ngrams",
      "onlyAdapters",
      "target",
      "decoders",
      "blockSizes",
      "jacobiForm",
    ],
    Questions: ["task", "data", "dataDir", "split", "limit", "sample", "maxNewTokens", "promptFormat"],
    Grading: ["shots", "extraction", "distinct", "grader", "allowCodeExecution", "isolation", "judge", "judgeModel"],
    Report: ["out", "trajectories"],
  },
  examples: [
    [
      `cllm eval gsm8k -m ${GENERAL_MODEL} --limit 100 --out runs/gsm8k`,
      "one model, one token at a time, with jacobi and with auto",
    ],
    [
      "cllm eval spider -m target=spider-ar/best -m cllm=spider-cllm/best --trajectories 8 --out runs/spider",
      "a target and its CLLM, with trajectories in the report",
    ],
    [
      "cllm eval gsm8k -m model.gguf --decoders jacobi --block-sizes 8,16,32,64 --out runs/sizes",
      "speed against block size",
    ],
    [
      `cllm eval gsm8k -m ${GENERAL_MODEL} --out runs/gsm8k --shard 3/8`,
      "the third of eight parts; an array job's index is found by itself",
    ],
    ["cllm eval custom -m model.gguf --data questions.jsonl --grader exact --out runs/own", "one's own questions"],
  ],
  unused: ({ decoders, trajectories: traced }) => ({
    ...(!decoders.includes("jacobi") && { jacobiForm: "it is for the decoder jacobi" }),
    ...(traced === 0 && !decoders.some(takesBlockSize) && { blockSizes: "no decoder among them takes one" }),
  }),
  async run(settings, terminal) {
    const shard = shardOf(settings, process.env, terminal.note);
    const entrants = entrantsOf(modelsOf(settings, defaultModel), settings);
    const names = entrants.map(({ name }) => name);
    const contenders = contendersOf(names, settings.decoders, settings.blockSizes);
    await using whole = await openTask(settings.task, taskOptions(settings));
    const task = settings.sample === undefined ? whole : sampleOf(whole, settings.sample);
    if (settings.decoders.includes("prediction")) requirePredictions(task);
    const models = new Map<string, LanguageModel>();
    try {
      const subjects: Subject[] = [];
      for (const entrant of entrants) {
        const own = settingsOf(settings, entrant);
        const model = await loadModel(own, terminal);
        models.set(entrant.name, model);
        subjects.push({ name: entrant.name, model, identity: await storedIdentity(own, model, terminal) });
      }
      const { defaultThreads } = await import("../../runtime/host.ts");
      const { threads = defaultThreads(), suffixMemory = 0 } = settings;
      const conditions = { machine: machineName(), threads, suffixMemory };
      const { out: folder, jacobiForm, trajectories: traced } = settings;
      const { signal } = terminal;
      const tracedBlockSize = settings.blockSizes.includes(16) ? 16 : settings.blockSizes[0];
      const how = { jacobiForm, traced, tracedBlockSize, shard, signal, onWait: terminal.note };
      const remote = { signal, note: terminal.note };
      await using work = await openWorkFolder(folder, stagedFiles(shard), remote);
      const run = runEvaluation({ folder: work.folder, task, subjects, contenders, conditions, ...how });
      const evaluation = await followEvaluation(run, answersPath(folder, shard), work, terminal);
      await work.finish();
      if (shard !== undefined) return reportShard(evaluation, folder, shard, terminal);
      const textOf: TokenText = (name, id) => models.get(name)!.tokenizer.tokenText(id);
      await report(evaluation, work.folder, folder, textOf, terminal);
      await work.finish();
    } finally {
      for (const model of models.values()) await model.dispose();
    }
  },
});

/** Who takes part, the target first. */
function entrantsOf(
  served: readonly ServedModel[],
  { target, onlyAdapters }: Pick<EvalSettings, "target" | "onlyAdapters">,
): readonly ServedModel[] {
  const entrants = served.filter(({ adapter }) => adapter !== undefined || !onlyAdapters);
  if (entrants.length === 0) throw new CllmError("usage", "--only-adapters without an --adapter leaves nobody");
  if (target === undefined) return entrants;
  const first = entrants.find(({ name }) => name === target);
  const names = entrants.map(({ name }) => name);
  if (first === undefined) throw new CllmError("usage", unknownName("this evaluation", `model ${target}`, names));
  return [first, ...entrants.filter((entrant) => entrant !== first)];
}

/** Throws `usage` where a question has no prediction. */
function requirePredictions({ name, examples }: Task): void {
  const without = examples.find(({ prediction }) => prediction === undefined);
  if (without === undefined) return;
  const next = name === "custom" ? "give each record one" : "only records of the task custom can have one";
  throw new CllmError("usage", `--decoders prediction: ${without.where} has no prediction; ${next}`);
}

/** Of a folder with one GGUF file that file, whose name says more in a report. */
function defaultModel(): string {
  const chosen = chooseModel(undefined);
  const files = statSync(chosen, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(chosen) : [];
  const weights = files.filter((file) => file.endsWith(".gguf"));
  return weights.length === 1 && !files.includes("config.json") ? join(chosen, weights[0]!) : chosen;
}

/** What the task is told: only what was asked, so that it complains about nothing else. */
function taskOptions(settings: EvalSettings): OpenTaskOptions {
  if (settings.task === "custom" && settings.data === undefined) {
    throw new CllmError("usage", "--data is missing; give the file with the questions of the task custom");
  }
  if (settings.task !== "custom" && settings.data !== undefined && TASKS.some((name) => name === settings.task)) {
    throw new CllmError("usage", `--data is for the task custom; ${settings.task} is read from the folder --data-dir`);
  }
  const {
    data: path,
    dataDir,
    split,
    limit,
    maxNewTokens,
    promptFormat,
    shots,
    extraction,
    distinct,
    grader,
    isolation,
  } = settings;
  return {
    ...{ path, split, limit, maxNewTokens, promptFormat, shots, extraction, distinct, grader, isolation },
    dataDir: dataFolder(dataDir),
    allowCodeExecution: settings.allowCodeExecution || undefined,
    judge: judgeOf(settings),
  };
}

function judgeOf({ judge, judgeModel }: EvalSettings): Judge | undefined {
  if (judge === undefined && judgeModel === undefined) return undefined;
  if (judge === undefined) throw new CllmError("usage", "--judge-model without --judge: name the judge's endpoint");
  if (judgeModel === undefined) throw new CllmError("usage", "--judge without --judge-model: name the model there");
  return createJudge({ baseUrl: judge, model: judgeModel, apiKey: process.env["CLLM_JUDGE_KEY"] || undefined });
}

/** What is stored of a model. */
async function storedIdentity(
  settings: ModelSettings,
  model: LanguageModel,
  terminal: Terminal,
): Promise<Subject["identity"]> {
  const { name: source, weights, tokenizer } = await identityOf(settings, model, terminal);
  const { adapter } = settings;
  return {
    source,
    adapter: adapter === undefined ? null : basename(resolve(adapter)),
    ...draftNames(settings),
    weights,
    tokenizer,
  };
}

/** Where answers stand, and those of a shard while it is not whole. */
function answersPath(folder: string, shard: Shard | undefined): string {
  const whole = join(folder, ANSWERS);
  return shard === undefined ? whole : `${shardPath(whole, shard)}.journal`;
}

/** What an evaluation leaves in its folder, and what grows meanwhile. */
function stagedFiles(shard: Shard | undefined): StagedFiles {
  if (shard === undefined) return { growing: [ANSWERS, PASSES], whole: [ANSWERS, PASSES, JSON_FILE, HTML] };
  const [answers, passes] = [shardPath(ANSWERS, shard), shardPath(PASSES, shard)];
  return { growing: [`${answers}.journal`, passes], whole: [answers, passes] };
}

/** A shard has answers and no report: scores and speeds are of the whole. */
function reportShard({ questions }: Evaluation, folder: string, shard: Shard, terminal: Terminal): void {
  const output = shardPath(join(folder, ANSWERS), shard);
  if (terminal.json) terminal.write(`${JSON.stringify({ output, shard, questions: questions.length })}\n`);
  else terminal.write(`${shardText(shard)}: ${questions.length} questions\nwrote ${output}\n`);
  terminal.note(`when all are there: cllm merge ${folder}, then this command with --shard none for the report`);
}

const [JSON_FILE, HTML] = ["report.json", "report.html"];

/** Writes the files and shows the result. */
async function report(
  evaluation: Evaluation,
  folder: string,
  named: string,
  tokenText: TokenText,
  terminal: Terminal,
): Promise<void> {
  const { task, settings, traces } = evaluation;
  const summary = summarizeEvaluation(evaluation, tokenText);
  const published = publishedResults(task);
  const commit = commitOfCheckout();
  const day = new Date().toISOString().slice(0, 10);
  const made = `${machineName()}${commit === null ? "" : `, commit ${commit}`}, ${day}`;
  const json = `${JSON.stringify(rounded({ task, ...summary, settings, commit }))}\n`;
  const html = reportHtml({ task, summary, settings, traces, tokenText, published, made });
  await writeWhole(join(folder, JSON_FILE), (handle) => handle.appendFile(json));
  await writeWhole(join(folder, HTML), (handle) => handle.appendFile(html));
  if (task === "mt-bench") await writeForJudge(evaluation, folder);
  if (terminal.json) return terminal.write(json);
  const asked = `${summary.questions} ${summary.questions === 1 ? "question" : "questions"}`;
  terminal.write(`${task}, ${asked}; the target is ${summary.target}\n${made}\n\n`);
  terminal.write(`${evaluationText(summary, terminal.colors)}\nwrote ${named.replace(/\/+$/, "")}/${HTML}\n`);
}

/** One file for each contender, in the form that FastChat's judges read. */
async function writeForJudge({ contenders, answers }: Evaluation, folder: string): Promise<void> {
  for (const { name } of contenders) {
    const answered = [...answers.get(name)!.values()].map(({ question: id, turns }) => ({
      id,
      answers: turns.map((turn) => turn.text),
    }));
    const file = `${name.replaceAll(/[^\w.-]+/g, "-")}.jsonl`;
    await writeAnswers(join(folder, "model_answer", file), name, answered);
  }
}

/** Four digits of every figure; more would pretend. */
function rounded(value: unknown): unknown {
  if (typeof value === "number") return Number.isInteger(value) ? value : Number(value.toPrecision(4));
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, rounded(part)]));
}
