/**
 * Examples of the text-to-SQL task: a database, a question about it and the query that answers it, each a pure function
 * of a seed and a split. Trains, tokenizes and runs nothing.
 */
import { CllmError } from "../../error.ts";
import { type Blanks, drawBlanks } from "./blanks.ts";
import { chooseAlternatives, fillBlanks, plural, verb, withArticle } from "./english.ts";
import type { QuestionKind } from "./kinds.ts";
import { ONE_TABLE_KINDS } from "./one-table-kinds.ts";
import { Random } from "./random.ts";
import { drawDatabase } from "./rows.ts";
import { type Database, drawSchema, textToSqlCompletion, textToSqlPrompt } from "./schema.ts";
import { TWO_TABLE_KINDS } from "./two-table-kinds.ts";
import type { Split } from "./words.ts";

export interface TextToSqlQuestion {
  /** The name of its kind, for statistics. */
  readonly kind: string;
  readonly question: string;
  /** One SELECT without a semicolon. */
  readonly sql: string;
}

export interface TextToSqlExample extends TextToSqlQuestion {
  /** Schema and question up to `sql:`. A space and the query follow, then end of sequence. */
  readonly prompt: string;
  readonly database: Database;
}

export const QUESTION_KINDS: readonly QuestionKind[] = [...ONE_TABLE_KINDS, ...TWO_TABLE_KINDS];

const TOTAL_WEIGHT = QUESTION_KINDS.reduce((sum, { weight }) => sum + weight, 0);

/** The example of a seed. The splits share no schema. */
export function textToSqlExample(seed: number, split: Split): TextToSqlExample {
  return textToSqlExamples(seed, split, 1)[0]!;
}

const STREAMS: Readonly<Record<Split, number>> = { train: 1, "new-words": 2, "held-out": 3 };

/** Several questions about the database of one seed, so that a trainer can share the prompt's first lines. */
export function textToSqlExamples(seed: number, split: Split, count: number): TextToSqlExample[] {
  checkWhole("seed", seed);
  checkWhole("count", count);
  const random = new Random(seed, STREAMS[split]);
  const database = drawDatabase(random.split(1), drawSchema(random.split(0), split), split);
  return Array.from({ length: count }, (_, i) => {
    const drawn = drawQuestion(random.split(2 + i), database);
    return { ...drawn, prompt: textToSqlPrompt(database.tables, drawn.question), database };
  });
}

function checkWhole(what: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw new CllmError("usage", `the ${what} is ${value}; give a whole number from 0 to 2^53 - 1`);
}

/** A question that the database can answer. Every database can be counted, so that the search ends. */
export function drawQuestion(random: Random, database: Database): TextToSqlQuestion {
  for (;;) {
    const kind = drawKind(random);
    const blanks = drawBlanks(random, database, kind.blanks);
    if (blanks) return { kind: kind.name, question: questionText(random, kind, blanks), sql: queryText(kind, blanks) };
  }
}

function drawKind(random: Random): QuestionKind {
  let left = (random.below(2 ** 32) / 2 ** 32) * TOTAL_WEIGHT;
  for (const kind of QUESTION_KINDS) {
    left -= kind.weight;
    if (left < 0) return kind;
  }
  return QUESTION_KINDS[0]!;
}

function questionText(random: Random, kind: QuestionKind, blanks: Blanks): string {
  const template = chooseAlternatives(random, random.pick(kind.questions));
  return fillBlanks(template, (name) => {
    const words = blanks.get(name.replace(/[+~!]$/, ""))!.words;
    if (name.endsWith("+")) return plural(words);
    if (name.endsWith("~")) return withArticle(words);
    return name.endsWith("!") ? verb(words) : words;
  });
}

function queryText(kind: QuestionKind, blanks: Blanks): string {
  return fillBlanks(kind.sql, (name) => blanks.get(name)!.sql);
}

/** What a tokenizer for the task is trained on: whole examples of the training split. */
export function textToSqlCorpus(count: number, seed: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const { prompt, sql } = textToSqlExample(seed + i, "train");
    return prompt + textToSqlCompletion(sql);
  });
}
