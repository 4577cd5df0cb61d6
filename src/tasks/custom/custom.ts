/**
 * People's own questions: JSON Lines (or a JSON list, or Parquet) with `prompt` or `messages`, `reference` and
 * `grader`. Whatever a record needs is checked when the file is read, so a grader has only the answer left to judge.
 * Knows no model.
 */
import { basename, dirname, resolve } from "node:path";
import * as z from "zod";
import type { DataRecord } from "../../data/records.ts";
import { CllmError } from "../../error.ts";
import { readBytes } from "../../files/binary-file.ts";
import { check } from "../../generate/check.ts";
import type { PromptInput } from "../../generate/types.ts";
import { finalAnswer } from "../answer-text.ts";
import { gradeSql } from "../sql-grader.ts";
import { sqlOf } from "../sql-text.ts";
import { MAX_DATABASE_BYTES, openSqlite } from "../sqlite.ts";
import {
  excerpt,
  oneTurn,
  promptFormat,
  type Task,
  type TaskExample,
  type TaskOptions,
  type Verdict,
} from "../task.ts";
import { readExamples } from "../task-data.ts";
import { gradeExact, gradeJson, gradeNumberValue, gradeRegex, lastNumberValue } from "./graders.ts";

export type GraderName = "exact" | "number" | "regex" | "sql" | "json";
export const GRADERS: readonly GraderName[] = ["exact", "number", "regex", "sql", "json"];

export interface CustomOptions extends Omit<TaskOptions, "dataDir" | "split"> {
  readonly path: string;
  /** For records that name none. Default: none, and such records are an error. */
  readonly grader?: GraderName | undefined;
}

export interface CustomExample extends TaskExample {
  grade(answer: string): Verdict | Promise<Verdict>;
}

const SCHEMA = z.strictObject({
  id: z.union([z.string().min(1), z.int(), z.bigint()]).optional(),
  prompt: z.string().min(1).optional(),
  messages: z
    .array(z.strictObject({ role: z.enum(["system", "user", "assistant"]), content: z.string() }))
    .min(1)
    .optional(),
  /** The text, number, pattern, query or JSON value that is right. */
  reference: z.unknown(),
  grader: z.enum(GRADERS).optional(),
  category: z.string().optional(),
  /** Of a pattern. */
  flags: z
    .string()
    .regex(/^[imsu]*$/)
    .optional(),
  /** Where a query runs: statements that make the database, or a SQLite file beside this one. */
  script: z.string().optional(),
  database: z.string().min(1).optional(),
  stop: z.array(z.string().min(1)).optional(),
  max_new_tokens: z.int().positive().optional(),
  /** What the answer is likely to be, for the decoders that draft from it. */
  prediction: z.string().min(1).optional(),
});

type Question = z.output<typeof SCHEMA>;

export async function custom(options: CustomOptions): Promise<Task<CustomExample>> {
  const { path } = options;
  const format = promptFormat("custom", ["default", "chat"], options.promptFormat);
  let withIds: boolean | null = null;
  const examples = await readExamples(path, options.limit, (data, index): CustomExample => {
    const question = check(SCHEMA, data.fields, {
      what: data.where,
      code: "bad-input",
      nameOf: (key) => `${data.where}: ${key}`,
    });
    withIds ??= question.id !== undefined;
    if (withIds !== (question.id !== undefined)) {
      throw new CllmError(
        "bad-input",
        `${data.where}: some records have an id and some have none; give it to all or none`,
      );
    }
    const { turns, input } = promptOf(question, data, format === "chat");
    return {
      id: question.id === undefined ? String(index) : String(question.id),
      where: data.where,
      category: question.category ?? null,
      turns,
      input,
      reference: typeof question.reference === "string" ? question.reference : JSON.stringify(question.reference),
      stop: question.stop ?? [],
      maxNewTokens: question.max_new_tokens ?? options.maxNewTokens ?? 256,
      prediction: question.prediction,
      grade: graderOf(question, data, path, options.grader),
    };
  });
  return {
    name: "custom",
    settings: { file: basename(path), promptFormat: format, ...(options.grader && { grader: options.grader }) },
    examples,
    grade: async (example, [answer = ""]) => example.grade(finalAnswer(answer)),
    async [Symbol.asyncDispose]() {},
  };
}

const wrong = ({ where }: DataRecord, reason: string): CllmError => new CllmError("bad-input", `${where}: ${reason}`);

function promptOf(question: Question, data: DataRecord, chat: boolean): Pick<TaskExample, "turns" | "input"> {
  if ((question.prompt === undefined) === (question.messages === undefined))
    throw wrong(data, "give either prompt or messages");
  if (question.prompt !== undefined) return oneTurn(chat ? "chat" : "default", question.prompt);
  const input: PromptInput = { messages: question.messages };
  return { turns: 1, input: () => input };
}

function graderOf(
  question: Question,
  data: DataRecord,
  path: string,
  byDefault: GraderName | undefined,
): CustomExample["grade"] {
  const { reference } = question;
  const name = question.grader ?? byDefault;
  if (name === undefined) throw wrong(data, `grader is missing; give one of ${GRADERS.join(", ")}`);
  if (reference === undefined || reference === null) throw wrong(data, "reference is missing; give the right answer");
  switch (name) {
    case "exact": {
      const text = String(textOf(reference, data, name));
      return (answer) => gradeExact(text, answer);
    }
    case "number": {
      const number = typeof reference === "number" ? reference : lastNumberValue(textOf(reference, data, name));
      if (number === null) throw wrong(data, "reference must be a number, for the grader number");
      return (answer) => gradeNumberValue(number, answer);
    }
    case "regex": {
      const pattern = patternOf(textOf(reference, data, name), question.flags ?? "", data);
      return (answer) => gradeRegex(pattern, answer);
    }
    case "sql":
      return sqlGrader(question, textOf(reference, data, name), data, path);
    case "json": {
      const value = typeof reference === "string" ? jsonOf(reference, data) : reference;
      return (answer) => gradeJson(value, answer);
    }
  }
}

function textOf(reference: unknown, data: DataRecord, name: GraderName): string {
  if (typeof reference === "number" || typeof reference === "bigint") return String(reference);
  if (typeof reference === "string" && reference.trim() !== "") return reference;
  throw wrong(data, `reference must be a text that is not empty, for the grader ${name}`);
}

function patternOf(source: string, flags: string, data: DataRecord): RegExp {
  try {
    return new RegExp(source, flags);
  } catch (error) {
    throw wrong(data, `reference is no pattern (${(error as Error).message})`);
  }
}

function jsonOf(text: string, data: DataRecord): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw wrong(data, `reference is no JSON (${(error as Error).message}); a text goes in quotes within the quotes`);
  }
}

function sqlGrader(question: Question, gold: string, data: DataRecord, path: string): CustomExample["grade"] {
  const { script, database } = question;
  if ((script === undefined) === (database === undefined)) throw wrong(data, "give either script or database for SQL");
  return async (answer) => {
    const query = sqlOf(answer, question.stop ?? []);
    if (query === "") return { verdict: "no-answer", detail: "no query in the answer" };
    try {
      using sqlite = await openSqlite(
        script ?? (await readBytes(resolve(dirname(path), database!), MAX_DATABASE_BYTES)),
      );
      const { correct, reason, error, failure } = await gradeSql(sqlite, query, gold);
      if (failure !== null)
        return { verdict: failure === "empty" ? "no-answer" : failure, detail: excerpt(error ?? failure) };
      return { verdict: correct ? "right" : "wrong", detail: correct ? "the same rows" : `the ${reason} differ` };
    } catch (error) {
      return { verdict: "bad-data", detail: `${data.where}: ${(error as Error).message}` };
    }
  };
}
