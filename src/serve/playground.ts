/**
 * The playground's routes: the files of the page, from a list that is read once at the start, and for a model of the
 * demonstration its database, to look at and to ask. A path from a client is looked up in the list, never on the disk.
 */
import { readFileSync } from "node:fs";
import type { Context, Hono } from "hono";
import * as z from "zod";
import { CllmError } from "../error.ts";
import { check } from "../generate/check.ts";
import { DEMONSTRATION, DEMONSTRATION_QUESTIONS } from "../tasks/text-to-sql/demonstration.ts";
import { sqlOfCompletion, textToSqlPrompt } from "../tasks/text-to-sql/schema.ts";
import { RequestError } from "./http-error.ts";
import { readJson } from "./json-body.ts";
import type { AskDatabase } from "./query.ts";

/** The page's files in `web/`. The first is the page itself, at `/`; the others are below `/playground/`. */
export const PAGE_FILES = [
  "index.html",
  "colors.css",
  "style.css",
  "icon.svg",
  "main.js",
  "client.js",
  "events.js",
  "form.js",
  "link.js",
  "pane.js",
  "race.js",
  "run.js",
  "sql.js",
] as const;
export const DATABASE_PATH = "/playground/database";
export const SQL_PATH = "/playground/sql";

const FOLDER = new URL("../../web/", import.meta.url);
const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};
const POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";
const MAX_SQL = 4_000; // characters
const querySchema = z.strictObject({ sql: z.string().max(MAX_SQL) });

/** Serves the page. Throws `bad-file` where one of its files is not there. */
export function mountPage(app: Hono): void {
  for (const name of PAGE_FILES) {
    const body = readPageFile(name);
    const headers = {
      "Content-Type": TYPES[name.slice(name.lastIndexOf(".") + 1)]!,
      "Content-Security-Policy": POLICY,
      "X-Content-Type-Options": "nosniff",
      "Referrer-Policy": "no-referrer",
      "Cache-Control": "no-cache",
    };
    app.get(name === "index.html" ? "/" : `/playground/${name}`, (c) => c.body(body, 200, headers));
  }
}

function readPageFile(name: string): string {
  try {
    return readFileSync(new URL(name, FOLDER), "utf8");
  } catch (cause) {
    const message = `web/${name}, a file of the playground, cannot be read; install the package again`;
    throw new CllmError("bad-file", message, { cause });
  }
}

/** Serves what the database holds, and the rows of one SELECT. */
export function mountDatabase(
  app: Hono,
  ask: AskDatabase,
  { maxBodyBytes, timeoutMs }: { readonly maxBodyBytes: number; readonly timeoutMs: number },
): void {
  const mark = "\u0000";
  const [before, after] = textToSqlPrompt(DEMONSTRATION.tables, mark).split(mark);
  const described = {
    tables: DEMONSTRATION.tables.map(({ name, columns, rows }) => ({
      name,
      columns: columns.map((column) => ({ name: column.name, references: column.references ?? null })),
      rows,
    })),
    questions: DEMONSTRATION_QUESTIONS.map(({ question }) => question),
    prompt: { before, after },
  };
  app.get(DATABASE_PATH, (c) => c.json(described));
  app.post(SQL_PATH, async (c: Context) => {
    const deadline = performance.now() + timeoutMs;
    const body = await readJson(c.req.raw, { maxBytes: maxBodyBytes, deadline });
    const sql = sqlOfCompletion(readQuery(body));
    return c.json({ sql, ...(await ask(sql, c.req.raw.signal)) });
  });
}

function readQuery(body: unknown): string {
  try {
    return check(querySchema, body, { what: "the request" }).sql;
  } catch (error) {
    if (error instanceof CllmError) throw new RequestError("usage", error.message, { param: "sql" });
    throw error;
  }
}
