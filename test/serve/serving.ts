/** A server's app over scripted models, in this process and without a port; and how to read what it says. */
import type { Hono } from "hono";
import { type AppOptions, createApp } from "../../src/serve/app.ts";
import { inThisProcess } from "../../src/serve/backend.ts";
import { createModels, type Models, type ModelsOptions } from "../../src/serve/models.ts";
import { type Scripted, type ScriptedOptions, scriptedLanguageModel } from "../generate/scripted-language-model.ts";

export interface Serving {
  readonly app: Hono;
  readonly models: Models;
  /** The model behind the name `scripted`. */
  readonly model: Scripted;
  /** What the server reported as its own fault. */
  readonly reported: unknown[];
}

export interface ServingOptions {
  readonly model?: ScriptedOptions;
  readonly models?: Partial<ModelsOptions>;
  readonly app?: Partial<AppOptions>;
}

export function serving({ model: scripted, models: limits, app: options }: ServingOptions = {}): Serving {
  const model = scriptedLanguageModel(scripted);
  const entries = [{ name: "scripted", start: async () => inThisProcess(model) }];
  const models = createModels(entries, { maxRunning: 4, maxWaiting: 64, ...limits });
  const reported: unknown[] = [];
  const app = createApp({ models, reportError: (error) => reported.push(error), ...options });
  return { app, models, model, reported };
}

export const CHAT = "/v1/chat/completions";
export const COMPLETION = "/v1/completions";

/** Posts a body; `more` is what else the request has. */
export function post(app: Hono, path: string, body: unknown, more: RequestInit = {}): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const headers = { "content-type": "application/json", ...(more.headers as Record<string, string> | undefined) };
  return Promise.resolve(app.request(path, { method: "POST", body: text, ...more, headers }));
}

// biome-ignore lint/suspicious/noExplicitAny: a stranger's JSON, of which each test looks at some
export type Json = any;

export async function ask(app: Hono, path: string, body: unknown): Promise<Json> {
  const response = await post(app, path, body);
  const json = (await response.json()) as Json;
  if (response.status !== 200) throw new Error(`${response.status}: ${JSON.stringify(json)}`);
  return json;
}

/** The objects of a stream, which must end with `[DONE]`. */
export async function eventsOf(response: Response): Promise<Json[]> {
  const text = await response.text();
  const lines = text.split("\n\n").filter((line) => line !== "");
  if (lines.some((line) => !line.startsWith("data: "))) throw new Error(`not a stream of events: ${text}`);
  const data = lines.map((line) => line.slice("data: ".length));
  if (data.pop() !== "[DONE]") throw new Error(`the stream ended without [DONE]: ${text.slice(-300)}`);
  return data.map((json) => JSON.parse(json) as Json);
}

/** The text that a stream's events make up, of one choice. */
export function textOf(events: readonly Json[], index = 0): string {
  return events
    .flatMap((event) => event.choices as Json[])
    .filter((choice) => choice.index === index)
    .map((choice) => choice.delta?.content ?? choice.text ?? "")
    .join("");
}
