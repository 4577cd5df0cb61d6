/**
 * What can be said of a query by its text alone, in one pass over its tokens: strings, quoted names and comments have no
 * words, parentheses hold what is further in. Knows no grammar beyond that and no database.
 */
import { cutAtStop } from "./task.ts";

/** The query in an answer: a fenced block where there is one, else all of it; up to a stop in either case. */
export function sqlOf(answer: string, stop: readonly string[]): string {
  const fenced = /```(?:sql(?:ite)?)?[ \t]*\n([\s\S]*?)(?:```|$)/i.exec(answer);
  return cutAtStop((fenced?.[1] ?? answer).trim(), stop).trim();
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
