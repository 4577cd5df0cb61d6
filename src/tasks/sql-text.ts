/**
 * What can be said of a query by its text alone, in one pass over its tokens: strings, quoted names and comments have no
 * words, parentheses hold what is further in. Knows no grammar beyond that and no database.
 */
import { codeBlocks, plainLines } from "./answer-text.ts";
import { cutAtStop } from "./task.ts";

/** How a query begins: behind comments, and never with the English word "with". */
const QUERY =
  /^(?:\s|--[^\n]*(?:\n|$)|\/\*(?:[^*]|\*(?!\/))*\*\/)*(?:SELECT\b|VALUES\b|WITH\s+(?:RECURSIVE\s+)?["`[]?\w+["`\]]?\s*(?:\(|AS\b))/i;
const STATEMENT =
  /^\s*(?:SELECT|VALUES|WITH|INSERT|UPDATE|DELETE|REPLACE|DROP|CREATE|ALTER|ATTACH|DETACH|PRAGMA|VACUUM)\b/i;

/**
 * The query in an answer: the first block of code that holds one, else what stands in quotes or begins like a query behind
 * some prose, else all of it. Up to a stop in every case.
 */
export function sqlOf(answer: string, stop: readonly string[]): string {
  const text = plainLines(answer);
  const blocks = codeBlocks(text);
  const block =
    blocks.find(({ code }) => QUERY.test(code)) ?? blocks.find(({ language }) => language.startsWith("sql"));
  const bare = (): string | null => (QUERY.test(text) ? withoutRemarks(text) : queryInProse(text));
  const sql = block?.code ?? bare() ?? blocks[0]?.code ?? text;
  return cutAtStop(sql.trim(), stop).trim();
}

/** A query in backticks or quotes, or from a line's start, behind a colon or in capitals; null where there is none. */
function queryInProse(text: string): string | null {
  const quoted = [...text.matchAll(/(`+|["'])(?=\s*(?:SELECT|WITH)\b)([^\n]*)\1/gi)].map(([, , inside]) => inside!);
  const whole = quoted.find((inside) => QUERY.test(inside));
  if (whole !== undefined) return whole;
  const lastFrom = text.toUpperCase().lastIndexOf("FROM");
  const starts = [...text.matchAll(/(?:^|:)[ \t]*(?=(?:SELECT|WITH)\b)/gim), ...text.matchAll(/(?=\bSELECT\b)/g)]
    .map(({ 0: before, index }) => index + before.length)
    .sort((a, b) => a - b)
    .filter((start) => start < lastFrom || text.startsWith("SELECT", start));
  const start = starts.find((index) => QUERY.test(text.slice(index)));
  return start === undefined ? null : withoutRemarks(text.slice(start));
}

/** A bare query without what is said about it behind its semicolon or behind a blank line. */
function withoutRemarks(text: string): string {
  const compact = text.trim().replace(/\n\s*\n/g, "\n\n");
  let end = 0;
  for (const [token] of compact.matchAll(TOKEN)) {
    if (token === ";" || token === "\n") {
      const rest = compact.slice(end + 1);
      const remark = token === ";" ? !STATEMENT.test(rest) && rest !== "" : /^\n[A-Z][a-z]*[ ,'\u2019]/.test(rest);
      if (remark) return compact.slice(0, end);
    }
    end += token.length;
  }
  return compact;
}

/** Opaque tokens, parentheses, words, and everything else one by one. */
const TOKEN = /'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\w+|[\s\S]/g;

const isOpaque = (token: string): boolean => /^(?:['"`[]|--|\/\*)/.test(token) && token.length > 1;

/** The query without what stands in parentheses, with blanks for strings, quoted names and comments. */
export function outermost(sql: string): string {
  const kept: string[] = [];
  let depth = 0;
  for (const [token] of sql.matchAll(TOKEN)) {
    if (token === ")") depth = Math.max(0, depth - 1);
    if (depth === 0) kept.push(isOpaque(token) || token === "(" || token === ")" ? " " : token);
    if (token === "(") depth++;
  }
  return kept.join("");
}

/** Whether a query orders its rows, rather than those of something in parentheses. */
export const hasTopLevelOrder = (sql: string): boolean => /\bORDER\s+BY\b/i.test(outermost(sql));

/** The word that says what a statement does, in capitals: behind comments and the tables that `WITH` names. */
export function verbOf(sql: string): string {
  const text = outermost(sql).trim();
  const word = /^WITH\b/i.test(text) ? /\b(?:SELECT|VALUES|INSERT|UPDATE|DELETE|REPLACE)\b/i : /^\w+/;
  return (word.exec(text)?.[0] ?? "").toUpperCase();
}

/** The query with every DISTINCT taken out, also those within `COUNT`. */
export function withoutDistinct(sql: string): string {
  return [...sql.matchAll(TOKEN)]
    .map(([token]) => token)
    .filter((token) => token.toUpperCase() !== "DISTINCT")
    .join("");
}
