/**
 * Tasks by their names, with all that can be asked of them in one set of options; an option that a task does not know is
 * an error. For commands, which read names and flags. Knows no model.
 */

import { CllmError } from "../error.ts";
import { nearMisses } from "../files/near-miss.ts";
import { type CustomOptions, custom } from "./custom/custom.ts";
import { type Gsm8kOptions, gsm8k } from "./gsm8k.ts";
import { type HumanEvalOptions, humaneval } from "./humaneval/humaneval.ts";
import { type MtBenchOptions, mtBench } from "./mt-bench/mt-bench.ts";
import { type SpiderOptions, spider } from "./spider/spider.ts";
import type { Task } from "./task.ts";

export type TaskName = "gsm8k" | "spider" | "humaneval" | "mt-bench" | "custom";
export const TASKS: readonly TaskName[] = ["gsm8k", "spider", "humaneval", "mt-bench", "custom"];

type AllOptions = Gsm8kOptions & SpiderOptions & HumanEvalOptions & MtBenchOptions & CustomOptions;
export type OpenTaskOptions = { readonly [K in keyof AllOptions]?: AllOptions[K] | undefined };

const COMMON = ["dataDir", "split", "promptFormat", "maxNewTokens", "limit"];

const KNOWN: Readonly<Record<TaskName, readonly string[]>> = {
  gsm8k: [...COMMON, "shots", "extraction"],
  spider: [...COMMON, "distinct", "limits"],
  humaneval: [...COMMON, "allowCodeExecution", "isolation", "limits", "sandbox"],
  "mt-bench": [...COMMON, "judge"],
  custom: ["path", "grader", "promptFormat", "maxNewTokens", "limit"],
};

/**
 * Opens a task. Throws `not-found` for a name that is none, `usage` for an option that it does not know or lacks.
 *
 * @example
 * await using task = await openTask("gsm8k", { dataDir: "./data", limit: 10 });
 * for (const example of task.examples) console.log(example.id, example.reference);
 */
export async function openTask(name: string, options: OpenTaskOptions): Promise<Task> {
  const known = Object.hasOwn(KNOWN, name) ? KNOWN[name as TaskName] : undefined;
  if (known === undefined) {
    const [near] = nearMisses(name, TASKS, 1);
    const next = near === undefined ? `there are ${TASKS.join(", ")}` : `did you mean ${near}?`;
    throw new CllmError("not-found", `there is no task ${name}; ${next}`);
  }
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const foreign = Object.keys(given).find((key) => !known.includes(key) && key !== "dataDir");
  if (foreign !== undefined) {
    throw new CllmError("usage", `the task ${name} takes no ${foreign}; it takes ${known.join(", ")}`);
  }
  const needed = name === "custom" ? "path" : "dataDir";
  if (given[needed] === undefined) {
    const next = needed === "path" ? "name the file of questions" : "name the folder of data, or set CLLM_DATA";
    throw new CllmError("usage", `the task ${name} needs ${needed}: ${next}`);
  }
  switch (name as TaskName) {
    case "gsm8k":
      return gsm8k(given as unknown as Gsm8kOptions);
    case "spider":
      return spider(given as unknown as SpiderOptions);
    case "humaneval":
      return humaneval(given as unknown as HumanEvalOptions);
    case "mt-bench":
      return mtBench(given as unknown as MtBenchOptions);
    case "custom":
      return custom(given as unknown as CustomOptions);
  }
}
