/**
 * What a task is: examples that become prompts, turn by turn, and a grader that gives each answer a verdict. Code that
 * runs a task knows only this. A grader never throws for what a model wrote, and what goes wrong while grading is a
 * verdict of its own, never "right". Knows no model, no task and no statistics.
 */
import { CllmError } from "../error.ts";
import type { PromptInput } from "../generate/types.ts";

export type VerdictName =
  | "right"
  | "wrong"
  | "no-answer" // nothing in the text that could be graded
  | "error" // the answer does not run: a query or program that fails
  | "timeout" // it did not come to an end in time
  | "limit" // too many rows, too much output or memory
  | "refused" // it tried what it must not: writing, attaching, several statements, processes, the network
  | "too-long" // the model's context has no room for an answer to the question, so there is none
  | "bad-data" // the example's own data fails: a database that is none, a gold query that does not run
  | "ungraded" // nothing graded it: code must not be executed, or there is no judge
  | "rated" // a judge gave `measures.rating`
  | "judge-silent" // the judge gave no reply
  | "judge-nonsense"; // the judge's reply holds no rating

/** All verdicts, in the order of a report. */
export const VERDICTS: readonly VerdictName[] = [
  "right",
  "rated",
  "wrong",
  "no-answer",
  "error",
  "timeout",
  "limit",
  "refused",
  "too-long",
  "bad-data",
  "ungraded",
  "judge-silent",
  "judge-nonsense",
];

export interface Verdict {
  readonly verdict: VerdictName;
  /** For people, in one line: what was found and what was expected, or what went wrong. */
  readonly detail: string;
  /** Further figures of this answer by name: a judge's rating, the other way to extract a number (1 or 0). */
  readonly measures?: Readonly<Record<string, number>>;
}

/** `default` is the task's usual prompt, `chat` the same as a user's message, `paper` that of the released CLLM weights. */
export type PromptFormat = "default" | "chat" | "paper";

export interface TaskExample {
  /** No two examples of a task share it, and it stays the same from run to run. */
  readonly id: string;
  /** For errors: the file, and its line or record. */
  readonly where: string;
  /** What kind of question it is, where the data says so: a category, a database. */
  readonly category: string | null;
  /** How often the model is asked: 2 where the second question follows the first answer. */
  readonly turns: number;
  /** What the model gets, after its answers to all turns before. */
  input(answers: readonly string[]): PromptInput;
  /** The right answer, as the data has it. */
  readonly reference: string | null;
  /** Strings that end an answer; they are not part of it. */
  readonly stop: readonly string[];
  readonly maxNewTokens: number;
  /** What the first answer is likely to be, where the data says so. No text depends on it. */
  readonly prediction?: string | undefined;
}

/** Dispose of a task after use: databases and folders may be open. */
export interface Task<E extends TaskExample = TaskExample> extends AsyncDisposable {
  readonly name: string;
  /** What makes a result comparable with another: prompt format, shots, extraction, limits. */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  readonly examples: readonly E[];
  /** Grades the answers to an example's turns, first to last. */
  grade(example: E, answers: readonly string[]): Promise<Verdict>;
}

export interface TaskOptions {
  /** Where data sets are, each in its folder. */
  readonly dataDir: string;
  /** Default: the task's own, never one for training. */
  readonly split?: string | undefined;
  /** Default: `default`. */
  readonly promptFormat?: PromptFormat | undefined;
  /** Most tokens of an answer. Default: the task's own. */
  readonly maxNewTokens?: number | undefined;
  /** Only the first examples. Default: all. */
  readonly limit?: number | undefined;
}

/** The format, once it is one of those that a task has. Throws `usage` else. */
export function promptFormat(task: string, formats: readonly PromptFormat[], wanted?: PromptFormat): PromptFormat {
  const format = wanted ?? "default";
  if (formats.includes(format)) return format;
  throw new CllmError("usage", `the task ${task} has no prompt format ${format}; it has ${formats.join(", ")}`);
}

/** A prompt of one turn: as it is, or as a user's message. */
export function oneTurn(format: PromptFormat, text: string): Pick<TaskExample, "turns" | "input"> {
  const input: PromptInput = format === "chat" ? { messages: [{ role: "user", content: text }] } : { prompt: text };
  return { turns: 1, input: () => input };
}

/** An answer up to the first stop string; models that ran without them write on. */
export function cutAtStop(text: string, stop: readonly string[]): string {
  const ends = stop.map((string) => text.indexOf(string)).filter((index) => index >= 0);
  return text.slice(0, Math.min(text.length, ...ends));
}

/** What a model wrote, fit for one line of a report. */
export function excerpt(text: string, length = 120): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > length ? `${line.slice(0, length)}...` : line;
}
