/**
 * Questions that training never saw as a file of JSON lines. Writes and reads it; runs no query and no model.
 */

import { CllmError } from "../../error.ts";
import { parseJson } from "../../files/json.ts";
import { readText } from "../../files/text.ts";
import { writeWhole } from "../../files/write-whole.ts";
import { textToSqlExample } from "./example.ts";
import { databaseScript } from "./schema.ts";
import type { Split } from "./words.ts";

export interface HeldOutQuestion {
  /** What the model reads. */
  readonly prompt: string;
  /** The gold query. */
  readonly sql: string;
  /** The statements that make the database in SQLite. */
  readonly database: string;
  /** The kind of question, for statistics. */
  readonly kind: string;
}

export interface HeldOutOptions {
  /** Default: 400. */
  readonly count?: number;
  /** Other seeds give other questions. Default: 0. */
  readonly seed?: number;
  /** Schemas of words that training knows, or of words that it never saw. Default: `held-out`. */
  readonly split?: Exclude<Split, "train">;
}

const FIELDS = ["prompt", "sql", "database", "kind"] as const;
const MAX_BYTES = 256 << 20;

export function heldOutQuestions({
  count = 400,
  seed = 0,
  split = "held-out",
}: HeldOutOptions = {}): HeldOutQuestion[] {
  return Array.from({ length: count }, (_, i) => {
    const { prompt, sql, database, kind } = textToSqlExample(seed + i, split);
    return { prompt, sql, database: databaseScript(database), kind };
  });
}

/** Writes `heldOutQuestions` to a file, whole or not at all. */
export async function writeHeldOut(path: string, options?: HeldOutOptions): Promise<void> {
  const lines = heldOutQuestions(options).map((question) => `${JSON.stringify(question)}\n`);
  await writeWhole(path, async (file) => {
    await file.writeFile(lines.join(""));
  });
}

/** Reads such a file. Throws `bad-file` with the line where one is not a question. */
export async function readHeldOut(path: string): Promise<HeldOutQuestion[]> {
  const lines = (await readText(path, MAX_BYTES)).split("\n");
  const questions = lines.flatMap((line, i) =>
    line.trim() === "" ? [] : [parseQuestion(line, `${path}, line ${i + 1},`)],
  );
  if (questions.length > 0) return questions;
  throw new CllmError("bad-file", `${path} has no questions; write it again, or name another file`);
}

function parseQuestion(line: string, where: string): HeldOutQuestion {
  const value = parseJson(line, where) as Record<string, unknown> | null;
  for (const field of FIELDS) {
    if (typeof value?.[field] === "string") continue;
    throw new CllmError("bad-file", `${where} has no text "${field}"; each question needs ${FIELDS.join(", ")}`);
  }
  const { prompt, sql, database, kind } = value as unknown as HeldOutQuestion;
  return { prompt, sql, database, kind };
}
