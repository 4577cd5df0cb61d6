/**
 * What every benchmark shares: its flags, the prompts of the data sets, the model, and the conditions that are printed
 * beside a figure. A benchmark prints a table for people and one JSON line, last, for programs.
 */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { dataSets, givenModel, goldensFile } from "../scripts/real-data.mjs";
import { commitOfCheckout, machineName } from "../src/cli/machine.ts";
import { CllmError } from "../src/error.ts";
import { quantile } from "../src/eval/statistics.ts";
import type { PromptInput } from "../src/generate/types.ts";

/** The flags of a benchmark with their defaults: numbers stay numbers, lists are separated by commas, and a flag that is off takes no value. */
export function flags<T extends Record<string, string | number | boolean>>(defaults: T): T {
  const options = Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [
      name,
      typeof value === "boolean" ? { type: "boolean", default: value } : { type: "string", default: String(value) },
    ]),
  ) as Record<string, { type: "string"; default: string }>;
  const { values } = parseArgs({ options });
  return Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => {
      const given = values[name] as string;
      if (typeof value !== "number") return [name, given];
      const number = Number(given);
      if (!Number.isFinite(number)) throw new CllmError("usage", `--${name} ${given} is not a number`);
      return [name, number];
    }),
  ) as T;
}

/** The folder of data sets: that of `CLLM_DATA`, else the one beside the repository. */
export function dataFolder(): string {
  const folder = dataSets();
  if (!existsSync(folder))
    throw new CllmError("not-found", `no data sets at ${folder}: name their folder in CLLM_DATA`);
  return folder;
}

/** The model of `CLLM_MODEL`, else the one beside the repository. */
export function modelPath(): string {
  const path = givenModel();
  if (!existsSync(path)) throw new CllmError("not-found", `no model at ${path}: name one in CLLM_MODEL`);
  return path;
}

export interface Golden {
  readonly promptIds: Int32Array;
  readonly greedyIds: Int32Array;
  /** Best logit minus second best, at each greedy token. */
  readonly gaps: readonly number[];
}

/** PyTorch's greedy tokens, or none where they are absent. */
export function goldens(): Golden[] {
  const path = goldensFile();
  if (!existsSync(path)) return [];
  const { greedy } = JSON.parse(readFileSync(path, "utf8")) as {
    greedy: { prompt_ids: number[]; greedy_ids: number[]; top2_margin: number[] }[];
  };
  return greedy.map(({ prompt_ids, greedy_ids, top2_margin }) => ({
    promptIds: Int32Array.from(prompt_ids),
    greedyIds: Int32Array.from(greedy_ids),
    gaps: top2_margin,
  }));
}

const lines = (path: string): Record<string, unknown>[] =>
  readFileSync(join(dataSets(), path), "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line));

const user = (content: string): PromptInput => ({ messages: [{ role: "user", content }] });

/** The first `count` GSM8K test questions, as user messages. */
export const gsm8k = (count: number): PromptInput[] =>
  lines("gsm8k/test.jsonl")
    .slice(0, count)
    .map((row) => user(String(row["question"])));

/** `count` prompts: GSM8K questions, HumanEval prompts (continued as they are) and MT-bench first turns, in turn. */
export function mixedPrompts(count: number): PromptInput[] {
  const sets = [
    gsm8k(count),
    lines("humaneval/HumanEval.jsonl").map((row) => ({ prompt: String(row["prompt"]) })),
    lines("mt_bench/question.jsonl").map((row) => user(String((row["turns"] as string[])[0]))),
  ];
  const prompts: PromptInput[] = [];
  for (let i = 0; prompts.length < count; i++) {
    const before = prompts.length;
    for (const set of sets) {
      const prompt = set[i];
      if (prompt !== undefined && prompts.length < count) prompts.push(prompt);
    }
    if (prompts.length === before) break;
  }
  return prompts;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Prints the closing JSON line: the figures with the conditions that they were measured under. */
export function report(benchmark: string, settings: object, figures: object, model: string = givenModel()): void {
  const date = new Date().toISOString().slice(0, 10);
  const conditions = { benchmark, model: model.split("/").at(-1), machine: machineName(), date };
  console.log(JSON.stringify({ ...conditions, commit: commitOfCheckout(), settings, ...figures }));
}
