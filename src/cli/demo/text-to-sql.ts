/**
 * The demonstration of the CLLM that comes with the package: questions to a small database, the query as autoregressive
 * decoding and as parallel decoding write it, what SQLite answers, and the table. For people; with --json for programs.
 */
import { quantile } from "../../eval/statistics.ts";
import type { Generation, LanguageModel } from "../../generate/types.ts";
import { gradeSql } from "../../tasks/sql-grader.ts";
import { openSqlite, type QueryResult, type Sqlite } from "../../tasks/sqlite.ts";
import { DEMONSTRATION, DEMONSTRATION_QUESTIONS } from "../../tasks/text-to-sql/demonstration.ts";
import { databaseScript, schemaText, sqlOfCompletion, textToSqlPrompt } from "../../tasks/text-to-sql/schema.ts";
import { decoderTable } from "../decoder-table.ts";
import { formatDuration, formatPasses, formatTable } from "../format.ts";
import { machineName } from "../machine.ts";
import { type Measurement, measure, summarize, warmUp } from "../measure.ts";
import { conditionsOf } from "../model.ts";
import { textByPass } from "../passes.ts";
import type { Terminal } from "../terminal.ts";
import { type Replayed, replay } from "./replay.ts";

interface Asked {
  readonly question: string;
  readonly prompt: string;
  /** The query that is right; null if it is not known. */
  readonly sql: string | null;
}

const DECODERS = ["ar", "jacobi", "auto"] as const;
const RUNS = 3;
/** What the slower one of a pair takes on the screen. */
const REPLAY_MS = 450;
const MAX_ROWS = 4;

/** Asks the demonstration's questions, or one's own. */
export async function demonstrateTextToSql(
  model: LanguageModel,
  own: readonly string[],
  maxNewTokens: number,
  terminal: Terminal,
): Promise<void> {
  const asked: readonly Asked[] =
    own.length === 0
      ? DEMONSTRATION_QUESTIONS
      : own.map((question) => ({ question, prompt: textToSqlPrompt(DEMONSTRATION.tables, question), sql: null }));
  using database = await openSqlite(databaseScript(DEMONSTRATION));
  const { colors } = terminal;
  const say = (text: string): void => {
    if (!terminal.json) terminal.write(text);
  };
  say(`${colors.bold(model.name)}, ${conditionsOf(model)}, greedy  ${colors.dim(machineName())}\n`);
  say(`${colors.dim(schemaText(DEMONSTRATION.tables))}`);

  const measurements = await measured(model, asked, maxNewTokens, terminal);
  const answers = asked.map((_, index) => pairOf(measurements, index));
  const slowdown = slowdownOf(answers.map(({ ar }) => ar));
  const replayed = terminal.interactive ? `, replayed ${slowdown} times slower` : "";
  const together = colors.isColorSupported ? "one colour: tokens of one pass" : "bars: between passes";
  say(colors.dim(`each question through both decoders, median of ${RUNS} runs${replayed}; ${together}\n`));

  const results: object[] = [];
  for (const [index, { question, sql: gold }] of asked.entries()) {
    const { ar, auto } = answers[index]!;
    const sql = sqlOfCompletion(auto.text);
    const [rows, right] = [await database.query(sql), gold === null ? null : await isRight(database, sql, gold)];
    results.push({ question, sql, gold, right, result: rows, arMs: decodeMs(ar), cllmMs: decodeMs(auto) });
    if (terminal.json) continue;
    say(`\n${colors.bold(`> ${question}`)}\n`);
    await replay([lineOf("AR", ar, null, model), lineOf("CLLM", auto, ar, model)], slowdown, terminal);
    say(answerText(rows, right, terminal));
  }
  const summaries = summarize(measurements, DECODERS);
  say(`\n${decoderTable(summaries, colors)}`);
  if (terminal.json) {
    const { name, precision } = model;
    const report = { model: name, precision, machine: machineName(), maxNewTokens, runs: RUNS };
    terminal.write(`${JSON.stringify({ ...report, questions: results, decoders: summaries })}\n`);
  }
}

async function measured(
  model: LanguageModel,
  asked: readonly Asked[],
  maxNewTokens: number,
  terminal: Terminal,
): Promise<Measurement[]> {
  const inputs = asked.map(({ prompt }) => ({ prompt }));
  const shared = { maxNewTokens, signal: terminal.signal };
  for await (const progress of warmUp(model, inputs, DECODERS, shared)) terminal.progress(progress);
  const measurements: Measurement[] = [];
  const total = inputs.length * DECODERS.length * RUNS;
  for await (const event of measure(model, inputs, DECODERS, RUNS, shared)) {
    if (event.kind === "refused") throw event.error;
    if (event.kind !== "measured") continue;
    measurements.push(event.measurement);
    terminal.progress({ stage: "ask", what: "", done: measurements.length, total, unit: "runs" });
  }
  terminal.endProgress();
  return measurements;
}

/** Of a question's runs, the one whose time is the median, of each decoder that is shown. */
function pairOf(measurements: readonly Measurement[], prompt: number): { ar: Generation; auto: Generation } {
  const middle = (decoder: string): Generation => {
    const runs = measurements.filter((each) => each.prompt === prompt && each.decoder === decoder);
    const sorted = runs.map(({ generation }) => generation).sort((a, b) => decodeMs(a) - decodeMs(b));
    return sorted[Math.floor(sorted.length / 2)]!;
  };
  return { ar: middle("ar"), auto: middle("auto") };
}

const decodeMs = ({ stats }: Generation): number => stats.decodeMs;

function slowdownOf(generations: readonly Generation[]): number {
  return Math.max(1, Math.round(REPLAY_MS / Math.max(1, quantile(generations.map(decodeMs), 0.5))));
}

function lineOf(label: string, generation: Generation, ar: Generation | null, model: LanguageModel): Replayed {
  const { forwards, decodeMs: milliseconds } = generation.stats;
  const speedup = ar === null || milliseconds === 0 ? "" : `, ${(decodeMs(ar) / milliseconds).toFixed(1)}x`;
  return {
    label,
    texts: textByPass(generation, model.tokenizer),
    milliseconds,
    verdict: `${formatPasses(forwards)}, ${formatDuration(milliseconds)}${speedup}`,
    byPass: ar !== null,
  };
}

async function isRight(database: Sqlite, sql: string, gold: string): Promise<boolean> {
  return (await gradeSql(database, sql, gold)).correct;
}

/** The rows, the first ones where they are many, or what is wrong with the query. */
function answerText(result: QueryResult, right: boolean | null, { colors }: Terminal): string {
  const wrong = right === false ? `${colors.red("not the rows of the right query")}\n` : "";
  if (!result.ok) return `${indented(colors.red(result.error))}${indented(wrong)}`;
  if (result.rows.length === 0) return indented(`${colors.dim("no rows")}\n${wrong}`);
  const shown = result.rows.slice(0, MAX_ROWS).map((row) => row.map(cellText));
  const more = result.rows.length - shown.length;
  const rest = more > 0 ? `${colors.dim(`and ${more} more`)}\n` : "";
  return indented(`${formatTable(result.columns, shown, colors)}${rest}${wrong}`);
}

function cellText(value: unknown): string {
  if (value === null) return "NULL";
  return typeof value === "number" && !Number.isInteger(value) ? value.toFixed(2) : String(value);
}

const indented = (text: string): string =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => (line === "" ? "" : `        ${line}\n`))
    .join("");
