/**
 * How many new tokens a request may write: what it asks for where that fits, or what the context leaves. Knows lengths only.
 */
import { CllmError } from "../error.ts";
import { requireInteger } from "./require.ts";

/** Most new tokens of a request: a number that must fit, or all that the context leaves. */
export type NewTokens = number | "context";

/** New tokens where a request names none; fewer where the context leaves fewer. */
export const DEFAULT_NEW_TOKENS = 256;

export interface BudgetOptions {
  /** Which prompt it is, for the error. Default: not said. */
  readonly prompt?: string;
  /** What to do about a prompt that does not fit, for the error. */
  readonly next?: string;
}

/**
 * New tokens for a prompt of `promptLength` tokens, at least 1. Throws before any work: `bad-input` for an empty prompt,
 * `usage` for a number below 1, `context-overflow` with how many tokens are too many.
 *
 * @example tokenBudget(prompt.length, "context", session.contextLength); // all that the context leaves
 */
export function tokenBudget(
  promptLength: number,
  wanted: NewTokens | undefined,
  contextLength: number,
  { prompt, next = "shorten the prompt or lower maxNewTokens" }: BudgetOptions = {},
): number {
  const named = prompt === undefined ? "the prompt" : `prompt ${prompt}`;
  if (promptLength === 0) throw new CllmError("bad-input", `${named} is empty; give it at least one token`);
  if (typeof wanted === "number") requireInteger("maxNewTokens", wanted, 1);
  const room = contextLength - promptLength;
  const least = typeof wanted === "number" ? wanted : 1;
  if (room >= least) {
    if (typeof wanted === "number") return wanted;
    return wanted === "context" ? room : Math.min(DEFAULT_NEW_TOKENS, room);
  }
  const asked = typeof wanted === "number" ? `and ${wanted} new ones do not fit` : "leave no room for a new one";
  const length = prompt === undefined ? `${promptLength} prompt tokens` : `${named}: ${promptLength} tokens`;
  throw new CllmError(
    "context-overflow",
    `${length} ${asked} in the context of ${contextLength}: ${least - room} too many; ${next}`,
  );
}
