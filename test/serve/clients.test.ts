/** Real clients against a listening server: what people have works as it is. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI, OpenAI as LangChainCompletions } from "@langchain/openai";
import { generateText, streamText } from "ai";
import OpenAI, { APIError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Message } from "../../src/generate/types.ts";
import type { Session } from "../../src/runtime/session.ts";
import { inThisProcess } from "../../src/serve/backend.ts";
import { createModels, type Models } from "../../src/serve/models.ts";
import { listen, type RunningServer } from "../../src/serve/server.ts";
import { scriptedLanguageModel } from "../generate/scripted-language-model.ts";

const model = scriptedLanguageModel();
const apiKey = "sesame";
const messages: { role: "system" | "user"; content: string }[] = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "What is a prime number?" },
];
const maxNewTokens = 40;

/** A session whose passes take a few milliseconds. */
function slowly(session: Session): Session {
  const forward: Session["forward"] = async (tokens, forest) => {
    await new Promise((resolve) => setTimeout(resolve, 2));
    return session.forward(tokens, forest);
  };
  return Object.create(session, { forward: { value: forward } });
}

let models: Models;
let server: RunningServer;
let baseURL: string;
let expected: string;

beforeAll(async () => {
  models = createModels([{ name: "org/scripted", start: async () => inThisProcess(model) }], {
    maxRunning: 2,
    maxWaiting: 8,
  });
  server = await listen({ host: "127.0.0.1", port: 0, models, apiKey });
  baseURL = `${server.url}/v1`;
  expected = (await model.generate({ messages, maxNewTokens })).text;
});
afterAll(() => server.drain());

describe("openai", () => {
  const client = (): OpenAI => new OpenAI({ baseURL, apiKey, maxRetries: 0 });
  const chat = { model: "org/scripted", messages, max_completion_tokens: maxNewTokens } as const;

  test("lists models", async () => {
    const listed = await client().models.list();
    expect(listed.data.map(({ id }) => id)).toEqual(["org/scripted"]);
    expect((await client().models.retrieve("org/scripted")).id).toBe("org/scripted");
  });

  test("chats, and goes on with the answer", async () => {
    const first = await client().chat.completions.create(chat);
    expect(first.choices[0]!.message.content).toBe(expected);
    expect(first.usage!.total_tokens).toBe(first.usage!.prompt_tokens + first.usage!.completion_tokens);
    const history = [...messages, first.choices[0]!.message, { role: "user", content: "And?" } as const];
    const second = await client().chat.completions.create({ ...chat, messages: history });
    const told = [
      ...messages,
      { role: "assistant", content: expected },
      { role: "user", content: "And?" },
    ] as Message[];
    expect(second.choices[0]!.message.content).toBe((await model.generate({ messages: told, maxNewTokens })).text);
  });

  test("streams, with usage, and with its own helper", async () => {
    const options = { ...chat, stream: true, stream_options: { include_usage: true } } as const;
    let text = "";
    let usage: unknown = null;
    for await (const chunk of await client().chat.completions.create(options)) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(expected);
    expect(usage).toMatchObject({ completion_tokens: expect.any(Number) });
    const helped = client().chat.completions.stream(chat);
    expect(await helped.finalContent()).toBe(expected);
  });

  test("completes", async () => {
    const prompt = "once upon a time";
    const { choices } = await client().completions.create({ model: "org/scripted", prompt, max_tokens: 20 });
    expect(choices[0]!.text).toBe((await model.generate({ prompt, maxNewTokens: 20 })).text);
  });

  test("goes away: what it asked for is not written to its end", async () => {
    const slow = scriptedLanguageModel({ contextLength: 4096, wrap: slowly });
    const entries = [{ name: "slow", start: async () => inThisProcess(slow) }];
    const models = createModels(entries, { maxRunning: 1, maxWaiting: 8 });
    const reported: unknown[] = [];
    const reportError = (error: unknown): void => void reported.push(error);
    const server = await listen({ host: "127.0.0.1", port: 0, models, reportError });
    const openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
    const idle = async (): Promise<number> => {
      const busy = (): boolean => models.status().some(({ running, waiting }) => running + waiting > 0);
      while (busy()) await new Promise((resolve) => setTimeout(resolve, 5));
      return slow.opened.reduce((sum, { passes }) => sum + passes.length, 0);
    };
    const long = { ...chat, model: "slow", max_completion_tokens: 3000, decoder: "ar", stop: "\u0000" };
    for await (const _ of await openai.chat.completions.create({ ...long, stream: true })) break; // aborts the request
    const afterStream = await idle();
    const controller = new AbortController();
    const aborted = openai.chat.completions.create(long, { signal: controller.signal });
    while (models.status()[0]!.running === 0) await new Promise(setImmediate);
    controller.abort();
    await expect(aborted).rejects.toThrow(/abort/i);
    const afterBoth = await idle();
    expect(afterStream).toBeLessThan(1500);
    expect(afterBoth - afterStream).toBeLessThan(1500);
    await server.drain();
    expect(reported).toEqual([]);
  });

  test.each<[what: string, body: object, status: number, code: string, param: string | null]>([
    ["a field that is not supported", { functions: [{ name: "f" }] }, 400, "invalid_request", "functions"],
    ["a model that is none", { model: "gpt-4" }, 404, "model_not_found", null],
    [
      "a prompt that is too long",
      { messages: [{ role: "user", content: "word ".repeat(600) }] },
      400,
      "context_length_exceeded",
      null,
    ],
  ])("is told of %s", async (_, body, status, code, param) => {
    const error = await client()
      .chat.completions.create({ ...chat, ...body })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({ status, code, param, type: "invalid_request_error" });
  });

  test("is told of a wrong key", async () => {
    const wrong = new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0 }).models.list();
    await expect(wrong).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  });
});

describe("the AI SDK", () => {
  const provider = () => createOpenAICompatible({ name: "cllm", baseURL, apiKey, includeUsage: true });
  const settings = { system: "Be brief.", prompt: "What is a prime number?", maxOutputTokens: maxNewTokens };

  test("generateText", async () => {
    const { text, finishReason, usage } = await generateText({ model: provider()("org/scripted"), ...settings });
    expect([text, finishReason]).toEqual([expected, expect.stringMatching(/stop|length/)]);
    expect(usage.outputTokens).toBeGreaterThan(0);
  });

  test("streamText", async () => {
    const result = streamText({ model: provider()("org/scripted"), ...settings, temperature: 0.7, seed: 3 });
    let text = "";
    for await (const part of result.textStream) text += part;
    expect(text).toBe((await model.generate({ messages, maxNewTokens, temperature: 0.7, seed: 3 })).text);
    expect((await result.usage).outputTokens).toBeGreaterThan(0);
  });

  test("is told what is wrong", async () => {
    const missing = generateText({ model: provider()("none"), ...settings, maxRetries: 0 });
    await expect(missing).rejects.toThrow(/no model none/);
  });
});

describe("LangChain", () => {
  const settings = () => ({ model: "org/scripted", apiKey, configuration: { baseURL }, maxRetries: 0 });

  test("invokes and streams a chat model", async () => {
    const chat = new ChatOpenAI({ ...settings(), maxTokens: maxNewTokens, temperature: 0 });
    const turns: [string, string][] = [
      ["system", "Be brief."],
      ["human", "What is a prime number?"],
    ];
    expect((await chat.invoke(turns)).content).toBe(expected);
    let text = "";
    for await (const chunk of await chat.stream(turns)) text += chunk.content as string;
    expect(text).toBe(expected);
  });

  test("invokes a completion model", async () => {
    const completions = new LangChainCompletions({ ...settings(), maxTokens: 20, temperature: 0 });
    const wanted = await model.generate({ prompt: "once upon a time", maxNewTokens: 20 });
    expect(await completions.invoke("once upon a time")).toBe(wanted.text);
  });
});
