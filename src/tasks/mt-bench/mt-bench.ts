/**
 * MT-bench: eighty conversations of two questions, where the second refers to the answer of the first (Zheng et al.,
 * arXiv:2306.05685). There is no right or wrong: a judge rates both answers, or they are written to a file for one.
 * Knows no model.
 */
import { randomUUID } from "node:crypto";
import type { DataRecord } from "../../data/records.ts";
import { CllmError } from "../../error.ts";
import { writeWhole } from "../../files/write-whole.ts";
import type { Message, PromptInput } from "../../generate/types.ts";
import { finalAnswer } from "../answer-text.ts";
import {
  type PromptFormat,
  promptFormat,
  type Task,
  type TaskExample,
  type TaskOptions,
  type Verdict,
} from "../task.ts";
import { dataFile, hubFiles, idField, knownSplit, readExamples } from "../task-data.ts";
import type { Judge } from "./judge.ts";

export interface MtBenchOptions extends TaskOptions {
  /** Default: none, and every conversation is `ungraded`. */
  readonly judge?: Judge | undefined;
}

export interface MtBenchExample extends TaskExample {
  readonly questions: readonly string[];
  readonly references: readonly string[];
}

/** How the released chat weights were asked: Vicuna's template, version 1.1. */
const VICUNA =
  "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and " +
  "polite answers to the user's questions.";

export async function mtBench(options: MtBenchOptions): Promise<Task<MtBenchExample>> {
  const { dataDir, judge } = options;
  const format = promptFormat("mt-bench", ["default", "chat", "paper"], options.promptFormat);
  const split = knownSplit("mt-bench", ["test"], options.split);
  const files = ["mt_bench/question.jsonl", ...hubFiles("mt_bench", "train", "mt_bench_prompts")];
  const examples = await readExamples(dataFile(dataDir, files), options.limit, (record): MtBenchExample => {
    const hub = Object.hasOwn(record.fields, "prompt"); // the hub's names of the same fields
    const questions = texts(record, hub ? "prompt" : "turns") ?? [];
    if (questions.length === 0 || questions.some((question) => question.trim() === "")) {
      const name = hub ? "prompt" : "turns";
      throw new CllmError("bad-input", `${record.where}: ${name} must be a list of questions, none of them empty`);
    }
    const { category } = record.fields;
    return {
      id: idField(record, hub ? "prompt_id" : "question_id"),
      where: record.where,
      category: typeof category === "string" ? category : null,
      turns: questions.length,
      input: (answers) => conversation(format, questions, answers),
      reference: null,
      stop: format === "paper" ? ["</s>", "USER:"] : [],
      maxNewTokens: options.maxNewTokens ?? 1024,
      questions,
      references: texts(record, "reference") ?? [],
    };
  });
  return {
    name: "mt-bench",
    settings: { split, promptFormat: format, ...(judge && { judge: judge.model }) },
    examples,
    grade: (example, answers) => grade(judge, example, answers),
    async [Symbol.asyncDispose]() {},
  };
}

function texts({ fields }: DataRecord, name: string): string[] | null {
  const value = fields[name];
  return Array.isArray(value) && value.every((text) => typeof text === "string") ? value : null;
}

/** All questions up to the next one, with the answers between. */
function conversation(format: PromptFormat, questions: readonly string[], answers: readonly string[]): PromptInput {
  const asked = questions.slice(0, answers.length + 1);
  if (format === "paper") {
    const turns = asked.map((question, turn) => {
      const answer = turn < answers.length ? ` ${answers[turn]!.trim()}</s>` : "";
      return `USER: ${question} ASSISTANT:${answer}`;
    });
    return { prompt: `${VICUNA} ${turns.join("")}` };
  }
  const messages = asked.flatMap((content, turn): Message[] => [
    { role: "user", content },
    ...(turn < answers.length ? [{ role: "assistant" as const, content: answers[turn]! }] : []),
  ]);
  return { messages };
}

async function grade(judge: Judge | undefined, example: MtBenchExample, texts: readonly string[]): Promise<Verdict> {
  const { questions, references } = example;
  const answers = texts.map(finalAnswer);
  const empty = questions.findIndex((_, turn) => (answers[turn] ?? "").trim() === "");
  if (empty >= 0) return { verdict: "no-answer", detail: `turn ${empty + 1} has no answer` };
  if (judge === undefined) return { verdict: "ungraded", detail: "no judge is given" };
  const measures: Record<string, number> = {};
  for (let turn = 0; turn < questions.length; turn++) {
    const upTo = turn + 1;
    const judgement = await judge.rate({
      questions: questions.slice(0, upTo),
      answers: answers.slice(0, upTo),
      references: references.slice(0, upTo),
    });
    if (judgement.kind !== "rated") {
      const verdict = judgement.kind === "silent" ? "judge-silent" : "judge-nonsense";
      return { verdict, detail: `turn ${upTo}: ${judgement.reason}` };
    }
    measures[`turn${upTo}`] = judgement.rating;
  }
  const ratings = Object.values(measures);
  const rating = ratings.reduce((sum, one) => sum + one, 0) / ratings.length;
  return { verdict: "rated", detail: ratings.join(" and "), measures: { rating, ...measures } };
}

/** A model's answers to one conversation. */
export interface AnsweredConversation {
  readonly id: string;
  readonly answers: readonly string[];
}

/** Writes answers, without drafts, as JSON Lines in the form that FastChat's judges read. Throws `disk` where that fails. */
export async function writeAnswers(
  path: string,
  model: string,
  answered: Iterable<AnsweredConversation>,
  { now = Date.now() }: { readonly now?: number } = {},
): Promise<void> {
  const lines = [...answered].map(({ id, answers }) => {
    const record = {
      question_id: /^\d{1,15}$/.test(id) ? Number(id) : id,
      answer_id: randomUUID(),
      model_id: model,
      choices: [{ index: 0, turns: answers.map(finalAnswer) }],
      tstamp: now / 1000,
    };
    return `${JSON.stringify(record)}\n`;
  });
  await writeWhole(path, (handle) => handle.appendFile(lines.join("")));
}
