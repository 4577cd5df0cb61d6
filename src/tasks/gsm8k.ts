/**
 * GSM8K: word problems whose answer is a number (Cobbe et al., arXiv:2110.14168). Prompts, stop strings and the two ways
 * to find the number in an answer are those of lm-evaluation-harness, task `gsm8k` version 3: `strict` takes the first
 * `#### number`, `flexible` the last thing that looks like a number; both compare it with the reference as text, without
 * commas, dollar signs and a trailing dot. That is stricter than arithmetic: 18.00 is not 18. Knows no model.
 */
import { join } from "node:path";
import { readRecords } from "../data/records.ts";
import { CllmError } from "../error.ts";
import { finalAnswer } from "./answer-text.ts";
import {
  cutAtStop,
  excerpt,
  oneTurn,
  type PromptFormat,
  promptFormat,
  type Task,
  type TaskExample,
  type TaskOptions,
  type Verdict,
} from "./task.ts";
import { dataFile, hubFiles, knownSplit, readExamples, textField } from "./task-data.ts";

export interface Gsm8kOptions extends TaskOptions {
  /** Solved problems of the training split before the question: 0 to 8. Default: 8, or 0 with the paper's prompt. */
  readonly shots?: number | undefined;
  /** Which number counts. Default: `strict` after shots or in the paper's prompt, which teach the form, else `flexible`. */
  readonly extraction?: Extraction | undefined;
}

export type Extraction = "strict" | "flexible";

export interface Gsm8kExample extends TaskExample {
  readonly reference: string;
}

/** Records of the training split that stand before every question, by their place in the file. */
const SHOTS = [0, 1, 4, 8, 12, 13, 14, 16] as const;

const STOP = ["Question:", "</s>", "<|im_end|>"];

export async function gsm8k(options: Gsm8kOptions): Promise<Task<Gsm8kExample>> {
  const format = promptFormat("gsm8k", ["default", "chat", "paper"], options.promptFormat);
  const shots = checkShots(options.shots ?? (format === "paper" ? 0 : SHOTS.length), format);
  const extraction = options.extraction ?? (shots > 0 || format === "paper" ? "strict" : "flexible");
  if (extraction !== "strict" && extraction !== "flexible") {
    throw new CllmError("usage", `extraction must be strict or flexible, not ${String(extraction)}`);
  }
  const split = knownSplit("gsm8k", ["test", "train"], options.split);
  const path = splitFile(options.dataDir, split);
  const before = shots === 0 ? "" : await solvedProblems(options.dataDir, shots);
  const maxNewTokens = options.maxNewTokens ?? (format === "paper" ? 1024 : 256);
  const examples = await readExamples(path, options.limit, (record, index): Gsm8kExample => {
    const answer = textField(record, "answer");
    if (strictNumber(answer) === null) {
      throw new CllmError("bad-input", `${record.where}: answer has no "#### number"; give the data set's own answers`);
    }
    return {
      id: `${split}/${index}`,
      where: record.where,
      category: null,
      ...oneTurn(format, question(format, before, textField(record, "question"))),
      reference: answer,
      stop: STOP,
      maxNewTokens,
    };
  });
  return {
    name: "gsm8k",
    settings: { split, promptFormat: format, shots, extraction },
    examples,
    grade: async ({ reference }, [answer = ""]) => gradeNumber(reference, answer, extraction),
    async [Symbol.asyncDispose]() {},
  };
}

function checkShots(shots: number, format: PromptFormat): number {
  const most = format === "paper" ? 0 : SHOTS.length;
  if (Number.isInteger(shots) && shots >= 0 && shots <= most) return shots;
  const why = format === "paper" ? "the paper's prompt has no room for solved problems" : "so many are chosen";
  throw new CllmError("usage", `shots must be a whole number from 0 to ${most}, not ${shots}: ${why}`);
}

function splitFile(dataDir: string, split: string): string {
  return dataFile(dataDir, [join("gsm8k", `${split}.jsonl`), ...hubFiles("gsm8k", split, "main")]);
}

async function solvedProblems(dataDir: string, count: number): Promise<string> {
  const path = splitFile(dataDir, "train");
  const solved = new Map<number, string>();
  const wanted = SHOTS.slice(0, count);
  let index = 0;
  for await (const record of readRecords(path)) {
    if (wanted.some((shot) => shot === index)) {
      solved.set(index, `Question: ${textField(record, "question")}\nAnswer: ${textField(record, "answer")}\n\n`);
    }
    if (index++ === wanted.at(-1)) break;
  }
  if (solved.size === wanted.length) return wanted.map((shot) => solved.get(shot)).join("");
  throw new CllmError(
    "bad-input",
    `${path} has ${index} records, and record ${wanted.at(-1)} is to be shown: ask for no shots`,
  );
}

function question(format: PromptFormat, before: string, text: string): string {
  if (format === "paper") return `Question:\n${text}\nAnswer:\nLet's think step by step.\n`;
  return `${before}Question: ${text}\nAnswer:`;
}

/** Grades one way and tells of both. A draft before the answer does not count. */
export function gradeNumber(reference: string, answer: string, extraction: Extraction): Verdict {
  const text = cutAtStop(finalAnswer(answer), STOP);
  const expected = strictNumber(reference);
  const found = { strict: strictNumber(text), flexible: lastNumber(text) };
  const measures = {
    strict: Number(found.strict !== null && found.strict === expected),
    flexible: Number(found.flexible !== null && found.flexible === expected),
  };
  const number = found[extraction];
  if (number === null) return { verdict: "no-answer", detail: `no number in: ${excerpt(text)}`, measures };
  const verdict = measures[extraction] === 1 ? "right" : "wrong";
  return { verdict, detail: verdict === "right" ? number : `${number}, not ${expected}`, measures };
}

/** The number after the first `#### `, or null. */
export function strictNumber(text: string): string | null {
  const match = /#### (-?[0-9.,]+)/.exec(text);
  return match === null ? null : bare(match[1]!);
}

/** The last run of digits, dots, commas and dollar signs, or null. It may hold no digit, as in the harness. */
export function lastNumber(text: string): string | null {
  const match = text.match(/-?[$0-9.,]{2,}|-?[0-9]+/g)?.at(-1);
  return match === undefined ? null : bare(match);
}

const bare = (number: string): string => number.replace(/[,$]/g, "").replace(/\.$/, "");
