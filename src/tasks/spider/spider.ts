/**
 * Spider: questions over databases that the model never saw, graded by what its query gives (Yu et al., EMNLP 2018). The
 * rules are those of the official `test-suite-sql-eval`: order matters where the gold query has ORDER BY, columns may
 * stand in any order, rows count as often as they occur. DISTINCT counts too, unless `distinct` says `dropped`, which is
 * that program's default. Databases are copies in memory, so nothing a query does can last. Knows no model.
 */
import { join } from "node:path";
import type { DataRecord } from "../../data/records.ts";
import { CllmError } from "../../error.ts";
import { readBytes } from "../../files/binary-file.ts";
import { finalAnswer } from "../answer-text.ts";
import { sqlOf, withoutDistinct } from "../sql-text.ts";
import {
  MAX_DATABASE_BYTES,
  openSqlite,
  QUERY_TIMEOUT_MS,
  type QueryFailure,
  type QueryLimits,
  type Sqlite,
} from "../sqlite.ts";
import {
  excerpt,
  oneTurn,
  type PromptFormat,
  promptFormat,
  type Task,
  type TaskExample,
  type TaskOptions,
  type Verdict,
  type VerdictName,
} from "../task.ts";
import { dataFile, hubFiles, knownSplit, readExamples, textField } from "../task-data.ts";
import { sameResult } from "./official-match.ts";
import { readSchemas, type SpiderSchema, schemaLines, schemaSentence } from "./schema.ts";

export interface SpiderOptions extends TaskOptions {
  /** Whether DISTINCT stays in both queries, or is taken out of both. Default: `kept`, the stricter one. */
  readonly distinct?: "kept" | "dropped" | undefined;
  /** For the model's queries; gold queries have ten times as much. Default: those of `Sqlite`. */
  readonly limits?: QueryLimits | undefined;
}

export interface SpiderExample extends TaskExample {
  readonly database: string;
  readonly question: string;
  /** The gold query. */
  readonly reference: string;
}

/** Ends of an answer: what a base model writes next, and how the released weights end. */
const STOP = ["\n\n", "\nQuestion:", "<|EOT|>", "</s>", "<|im_end|>"];
const CHAT_STOP = ["<|EOT|>", "</s>", "<|im_end|>"];

export async function spider(options: SpiderOptions): Promise<Task<SpiderExample>> {
  const { dataDir, distinct = "kept", limits = {} } = options;
  const format = promptFormat("spider", ["default", "chat", "paper"], options.promptFormat);
  if (distinct !== "kept" && distinct !== "dropped") {
    throw new CllmError("usage", `distinct must be kept or dropped, not ${String(distinct)}`);
  }
  const split = knownSplit("spider", ["dev", "train"], options.split);
  const hubSplit = split === "dev" ? "validation" : split;
  const path = dataFile(dataDir, [join("spider", `${split}.json`), ...hubFiles("spider", hubSplit, "spider")]);
  const tables = join(dataDir, "spider/tables.json");
  const schemas = await readSchemas(tables);
  const examples = await readExamples(path, options.limit, (record, index) => {
    const database = textField(record, "db_id");
    const schema = schemas.get(database);
    if (schema === undefined || !isName(database)) throw unknownDatabase(record, database, tables);
    const maxNewTokens = options.maxNewTokens ?? 256;
    return { ...toExample(record, format, schema, database), id: `${split}/${index}`, maxNewTokens };
  });
  const databases = new Databases(join(dataDir, "spider/database"));
  return {
    name: "spider",
    settings: { split, promptFormat: format, distinct, timeoutMs: limits.timeoutMs ?? QUERY_TIMEOUT_MS },
    examples,
    grade: (example, [answer = ""]) => grade(databases, example, answer, distinct === "dropped", limits),
    async [Symbol.asyncDispose]() {
      await databases.close();
    },
  };
}

/** A database's name becomes a path, which must not lead out of the folder. */
const isName = (database: string): boolean => /^\w[\w .-]*$/.test(database);

function unknownDatabase(record: DataRecord, database: string, tables: string): CllmError {
  const reason = isName(database) ? `which ${tables} lacks` : "which is no name of a database";
  return new CllmError(
    "bad-input",
    `${record.where}: db_id is ${excerpt(database)}, ${reason}; give both of one release`,
  );
}

function toExample(record: DataRecord, format: PromptFormat, schema: SpiderSchema, database: string) {
  return {
    where: record.where,
    category: database,
    database,
    question: textField(record, "question"),
    ...oneTurn(format, spiderPrompt(format, schema, textField(record, "question"))),
    reference: textField(record, "query"),
    stop: format === "chat" ? CHAT_STOP : STOP,
  };
}

/** The default is also how `spider` trains by name; the paper's is that of the original CLLM code. */
export function spiderPrompt(format: PromptFormat, schema: SpiderSchema, question: string): string {
  if (format === "paper") {
    const task = "Could you translate the following question into SQL. Please only generate SQL, ";
    const instruction = `${task}don't include explanation in the answer. ${schemaSentence(schema)}Question: ${question}`;
    return `### Instruction:\n${instruction.trim()}\n### Response:\n`;
  }
  const rest = `${schemaLines(schema)}\nQuestion: ${question}\nSQL:`;
  return format === "chat"
    ? `Answer the question with one SQLite query over these tables, and nothing else.\n${rest}`
    : rest;
}

const VERDICT_OF: Readonly<Record<QueryFailure, VerdictName>> = {
  empty: "no-answer",
  error: "error",
  refused: "refused",
  limit: "limit",
  timeout: "timeout",
};

async function grade(
  databases: Databases,
  example: SpiderExample,
  answer: string,
  dropDistinct: boolean,
  limits: QueryLimits,
): Promise<Verdict> {
  const query = sqlOf(finalAnswer(answer), example.stop);
  if (query === "") return { verdict: "no-answer", detail: "no query in the answer" };
  const database = await databases.get(example.database);
  if (database instanceof CllmError) return { verdict: "bad-data", detail: database.message };
  const ready = (sql: string): string => (dropDistinct ? withoutDistinct(tidied(sql)) : tidied(sql));
  const gold = await database.query(ready(example.reference), { ...limits, maxRows: 1e5, timeoutMs: 20_000 });
  if (!gold.ok) return { verdict: "bad-data", detail: `the gold query does not run: ${gold.error}` };
  const predicted = await database.query(ready(query), limits);
  if (!predicted.ok) return { verdict: VERDICT_OF[predicted.failure], detail: excerpt(predicted.error) };
  const same = sameResult(gold.rows, predicted.rows, /order by/i.test(example.reference));
  if (same === null) return { verdict: "limit", detail: "too many look-alike columns to compare" };
  const sizes = `${count(predicted.rows.length, "row")} of ${count(predicted.columns.length, "column")}`;
  const expected = `${count(gold.rows.length, "row")} of ${count(gold.columns.length, "column")}`;
  const measures = { goldRows: gold.rows.length };
  return same
    ? { verdict: "right", detail: sizes, measures }
    : { verdict: "wrong", detail: `${sizes}, expected ${expected}: ${excerpt(query)}`, measures };
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;

/** What the official evaluation puts right in both queries: split operators and MySQL's present year. */
const tidied = (sql: string): string =>
  sql.replace(/([><!]) =/g, "$1=").replace(/\bYEAR\s*\(\s*CURDATE\s*\(\s*\)\s*\)/gi, "2020");

/** Databases by name, opened when first asked for. For one that cannot be opened there is the error that says why. */
class Databases {
  readonly #folder: string;
  readonly #opened = new Map<string, Promise<Sqlite | CllmError>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  get(name: string): Promise<Sqlite | CllmError> {
    const opened = this.#opened.get(name) ?? open(join(this.#folder, name, `${name}.sqlite`));
    this.#opened.set(name, opened);
    return opened;
  }

  async close(): Promise<void> {
    const opened = await Promise.all(this.#opened.values());
    this.#opened.clear();
    for (const database of opened) if (!(database instanceof CllmError)) database[Symbol.dispose]();
  }
}

async function open(path: string): Promise<Sqlite | CllmError> {
  try {
    return await openSqlite(await readBytes(path, MAX_DATABASE_BYTES));
  } catch (error) {
    return new CllmError("bad-file", `${path} cannot be opened: ${(error as Error).message}`, { cause: error });
  }
}
