/**
 * A judge: a model behind any OpenAI-compatible endpoint that reads a conversation and rates its last answer from 1 to 10
 * as `[[n]]` (Zheng et al., arXiv:2306.05685, single-answer grading). A judge that does not reply, or whose reply holds
 * no rating, is a value that says so. Knows no data set.
 */
import { setTimeout as wait } from "node:timers/promises";
import { CllmError } from "../../error.ts";
import type { Message } from "../../generate/types.ts";
import { finalAnswer } from "../answer-text.ts";
import { excerpt } from "../task.ts";
import { type JudgedConversation, judgeMessages } from "./judge-prompts.ts";

export interface JudgeOptions {
  /** Up to and with the version: `http://localhost:8080/v1`. */
  readonly baseUrl: string;
  readonly model: string;
  /** Sent as bearer token. Default: none. */
  readonly apiKey?: string | undefined;
  /** For one request, its whole reply included. Default: 120,000. */
  readonly timeoutMs?: number | undefined;
  /** Further tries where the endpoint is busy, fails or does not answer. Default: 3. */
  readonly retries?: number | undefined;
  /** Before the second try; doubled each time. Default: 1,000. */
  readonly retryDelayMs?: number | undefined;
  /** Default: 2,048. */
  readonly maxTokens?: number | undefined;
  /** What the judge is told. Default: this project's own wording. */
  readonly messages?: ((conversation: JudgedConversation) => readonly Message[]) | undefined;
}

export type Judgement =
  | { readonly kind: "rated"; readonly rating: number; readonly text: string }
  | { readonly kind: "silent" | "nonsense"; readonly reason: string };

export interface Judge {
  readonly model: string;
  rate(conversation: JudgedConversation): Promise<Judgement>;
}

const MAX_REPLY_BYTES = 4 << 20;
const MAX_WAIT_MS = 60_000;

/**
 * Throws `usage` for an invalid address or a limit that is not a number. Sends nothing.
 *
 * @example
 * const judge = createJudge({ baseUrl: "http://localhost:8000/v1", model: "judge" });
 * const judgement = await judge.rate({ questions: ["1 + 1?"], answers: ["2"], references: [] });
 */
export function createJudge(options: JudgeOptions): Judge {
  const address = endpoint(options.baseUrl);
  const { retries = 3, timeoutMs = 120_000, retryDelayMs = 1_000, maxTokens = 2_048 } = options;
  for (const [name, value] of Object.entries({ retries, timeoutMs, retryDelayMs, maxTokens })) {
    if (Number.isInteger(value) && value >= 0) continue;
    throw new CllmError("usage", `the judge's ${name} must be a whole number from 0, not ${value}`);
  }
  const messages = options.messages ?? judgeMessages;
  const ask = async (conversation: JudgedConversation): Promise<Judgement> => {
    const body = { model: options.model, messages: messages(conversation), temperature: 0, max_tokens: maxTokens };
    let reason = "";
    for (let tries = 0; tries <= retries; tries++) {
      const reply = await request(address, options.apiKey, JSON.stringify(body), timeoutMs);
      if ("text" in reply) return readRating(reply.text);
      reason = reply.reason;
      if (!reply.again) break;
      const delay = Math.min(MAX_WAIT_MS, reply.waitMs ?? retryDelayMs * 2 ** tries);
      if (tries < retries) await wait(delay);
    }
    return { kind: "silent", reason };
  };
  return { model: options.model, rate: ask };
}

function endpoint(baseUrl: string): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : null;
  if (url !== null && ["http:", "https:"].includes(url.protocol)) {
    return `${url.href.replace(/\/+$/, "")}/chat/completions`;
  }
  throw new CllmError("usage", `the judge's address must be like http://localhost:8080/v1, not ${excerpt(baseUrl)}`);
}

type Reply = { text: string } | { reason: string; again: boolean; waitMs?: number | undefined };

async function request(address: string, apiKey: string | undefined, body: string, timeoutMs: number): Promise<Reply> {
  const headers = { "content-type": "application/json", ...(apiKey && { authorization: `Bearer ${apiKey}` }) };
  try {
    const response = await fetch(address, { method: "POST", headers, body, signal: AbortSignal.timeout(timeoutMs) });
    const text = await readText(response);
    if (response.ok) return { text: contentOf(text) };
    const again = response.status === 408 || response.status === 429 || response.status >= 500;
    const seconds = Number(response.headers.get("retry-after") ?? "none");
    const waitMs = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : undefined;
    return { reason: `the judge's endpoint answers ${response.status}: ${excerpt(text)}`, again, waitMs };
  } catch (error) {
    if ((error as Error).name === "TimeoutError") {
      return { reason: `the judge does not reply within ${timeoutMs} ms`, again: true };
    }
    const cause = (error as Error).cause;
    const what = cause instanceof Error ? cause.message : (error as Error).message;
    return { reason: `the judge cannot be reached: ${what}`, again: true };
  }
}

/** A reply's text, cut behind `MAX_REPLY_BYTES`. */
async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_REPLY_BYTES) break;
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** What the judge says in a reply of the protocol; a reply of another form is all that it says. */
function contentOf(text: string): string {
  try {
    const content: unknown = JSON.parse(text)?.choices?.[0]?.message?.content;
    return typeof content === "string" ? content : "";
  } catch {
    return "";
  }
}

/** The rating in a judge's text, behind its draft. Two different ones are none: one may be quoted from what is judged. */
export function readRating(reply: string): Judgement {
  const text = finalAnswer(reply);
  const found = [...text.matchAll(/\[\[\s*(?:rating:?\s*)?(\d{1,3}(?:\.\d+)?)\s*(?:\/\s*10\s*)?\]\]/gi)];
  const ratings = new Set(found.map(([, rating]) => Number(rating)));
  const [rating] = ratings;
  if (text.trim() === "") return { kind: "nonsense", reason: "the judge's reply has no text" };
  if (rating === undefined) return { kind: "nonsense", reason: `the judge gives no [[rating]]: ${excerpt(text)}` };
  if (ratings.size > 1)
    return { kind: "nonsense", reason: `the judge gives several ratings: ${[...ratings].join(", ")}` };
  if (rating < 1 || rating > 10) return { kind: "nonsense", reason: `the judge rates ${rating}, not from 1 to 10` };
  return { kind: "rated", rating, text };
}
