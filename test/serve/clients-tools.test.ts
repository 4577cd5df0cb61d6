/**
 * Structured output and two-step conversations with tools, by real clients as they are, over a listening server. The models write
 * noise, or calls that they were told to write: what is valid is so because the server sees to it.
 */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI } from "@langchain/openai";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { createCllm } from "../../src/ai-sdk/index.ts";
import { inThisProcess } from "../../src/serve/backend.ts";
import { createModels } from "../../src/serve/models.ts";
import { listen, type RunningServer } from "../../src/serve/server.ts";
import { HERMES_TEMPLATE, scriptedLanguageModel } from "../generate/scripted-language-model.ts";

const noise = scriptedLanguageModel({ contextLength: 2048, predictability: 0.3 });
const CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>';
const caller = scriptedLanguageModel({
  ...{ template: HERMES_TEMPLATE, contextLength: 4096 },
  answers: (turns) => (turns > 3 ? "It is sunny in Rome." : CALL),
});
const weather = z.object({ city: z.string() });
const verdict = z.object({ score: z.int().min(0).max(9), good: z.boolean(), kind: z.enum(["a", "b"]) });
const question = "How is the weather in Rome?";
const maxOutputTokens = 300;

let server: RunningServer;
let baseURL: string;
const reported: unknown[] = [];

beforeAll(async () => {
  const entries = [
    { name: "noise", start: async () => inThisProcess(noise) },
    { name: "caller", start: async () => inThisProcess(caller) },
  ];
  const models = createModels(entries, { maxRunning: 2, maxWaiting: 8 });
  server = await listen({ host: "127.0.0.1", port: 0, models, reportError: (error) => reported.push(error) });
  baseURL = `${server.url}/v1`;
});
afterAll(async () => {
  await server.drain();
  expect(reported).toEqual([]);
});

describe("openai", () => {
  const client = (): OpenAI => new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
  const tools: OpenAI.ChatCompletionFunctionTool[] = [
    { type: "function", function: { name: "weather", parameters: z.toJSONSchema(weather), strict: true } },
  ];

  test("structured output: json_schema and json_object, whole and streamed", async () => {
    const request = {
      ...{ model: "noise", max_completion_tokens: maxOutputTokens, temperature: 1, seed: 5 },
      messages: [{ role: "user" as const, content: question }],
      response_format: {
        type: "json_schema" as const,
        json_schema: { name: "verdict", strict: true, schema: z.toJSONSchema(verdict) },
      },
    };
    const parsed = await client().chat.completions.parse(request);
    verdict.parse(JSON.parse(parsed.choices[0]!.message.content!));
    const streamed = await client().chat.completions.stream(request).finalContent();
    expect(streamed).toBe(parsed.choices[0]!.message.content);
    const object = await client().chat.completions.create({
      ...{ ...request, response_format: { type: "json_object" }, max_completion_tokens: 1500 },
    });
    const [choice] = object.choices;
    if (choice!.finish_reason === "stop") expect(JSON.parse(choice!.message.content!)).toBeTypeOf("object");
    else expect(choice!.finish_reason).toBe("length");
  });

  test("two steps with a tool, whole and streamed", async () => {
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: question }];
    const first = await client().chat.completions.create({ model: "caller", messages, tools });
    const [choice] = first.choices;
    expect(choice!.finish_reason).toBe("tool_calls");
    const [call] = choice!.message.tool_calls!;
    if (call?.type !== "function") throw new Error("no call of a function");
    expect([call.function.name, JSON.parse(call.function.arguments)]).toEqual(["weather", { city: "Rome" }]);
    messages.push(choice!.message, { role: "tool", tool_call_id: call.id, content: "sunny" });
    const second = await client().chat.completions.create({ model: "caller", messages, tools });
    expect(second.choices[0]!.message.content).toBe("It is sunny in Rome.");

    const helper = client().chat.completions.stream({ model: "caller", messages: messages.slice(0, 1), tools });
    const final = await helper.finalChatCompletion();
    expect(final.choices[0]!.message.tool_calls).toMatchObject([{ function: call.function }]);
  });

  test("a call that has to be made is made, and fits its schema, even by a model that writes noise", async () => {
    const request = {
      model: "noise",
      messages: [{ role: "user" as const, content: question }],
      tools,
      max_tokens: 400,
    };
    for (const tool_choice of ["required", { type: "function", function: { name: "weather" } }] as const) {
      const { choices } = await client().chat.completions.create({
        ...{ ...request, tool_choice, parallel_tool_calls: false, temperature: 1, seed: 2 },
      });
      const { finish_reason, message } = choices[0]!;
      if (finish_reason === "length") continue; // a city that long
      expect(finish_reason).toBe("tool_calls");
      const [call] = message.tool_calls!;
      weather.parse(JSON.parse((call as OpenAI.ChatCompletionMessageFunctionToolCall).function.arguments));
    }
  });

  test("log probabilities, biases and penalties", async () => {
    const messages = [{ role: "user" as const, content: question }];
    const request = { model: "noise", messages, max_tokens: 6, logprobs: true, top_logprobs: 2 };
    const { choices } = await client().chat.completions.create(request);
    const content = choices[0]!.logprobs!.content!;
    expect(content.length).toBeGreaterThan(0);
    for (const { logprob, top_logprobs } of content) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top_logprobs).toHaveLength(2);
      expect(top_logprobs[0]!.logprob).toBe(logprob); // greedy
    }
    const [id] = noise.tokenizer.encode(content[0]!.token, { addSpecialTokens: false });
    const biased = await client().chat.completions.create({ ...request, logit_bias: { [id!]: -100 } });
    expect(biased.choices[0]!.logprobs!.content![0]!.token).not.toBe(content[0]!.token);
    const { choices: completed } = await client().completions.create({
      model: "noise",
      prompt: "a",
      max_tokens: 3,
      logprobs: 1,
    });
    expect(completed[0]!.logprobs!.tokens).toHaveLength(completed[0]!.logprobs!.token_logprobs!.length);
    await client().chat.completions.create({ ...request, frequency_penalty: 1, presence_penalty: 0.5 });
  });
});

describe("LangChain", () => {
  const chat = (model: string): ChatOpenAI =>
    new ChatOpenAI({
      model,
      apiKey: "none",
      configuration: { baseURL },
      maxRetries: 0,
      maxTokens: maxOutputTokens,
      temperature: 0,
    });

  test("withStructuredOutput", async () => {
    const structured = chat("noise").withStructuredOutput(verdict, { method: "jsonSchema", strict: true });
    verdict.parse(await structured.invoke(question));
    const called = chat("noise").withStructuredOutput(verdict, { name: "verdict", method: "functionCalling" });
    verdict.parse(await called.invoke(question));
  });

  test("bindTools in two steps", async () => {
    const model = chat("caller").bindTools([{ name: "weather", description: "The weather", schema: weather }]);
    const first = await model.invoke([["human", question]]);
    expect(first.tool_calls).toMatchObject([{ name: "weather", args: { city: "Rome" } }]);
    const second = await model.invoke([
      { role: "user", content: question },
      first,
      { role: "tool", content: "sunny", tool_call_id: first.tool_calls![0]!.id! },
    ]);
    expect(second.content).toBe("It is sunny in Rome.");
  });
});

const sky = tool({ description: "The weather", inputSchema: weather, execute: async () => "sunny" });
describe.each([
  [
    "the AI SDK over the server",
    (name: string) => createOpenAICompatible({ name: "cllm", baseURL, supportsStructuredOutputs: true })(name),
  ],
  ["the AI SDK in this process", (name: string) => createCllm()(name === "noise" ? noise : caller)],
] as const)("%s", (_, modelOf) => {
  test("structured output, whole and streamed", async () => {
    const request = { prompt: question, maxOutputTokens, output: Output.object({ schema: verdict }) };
    const { output } = await generateText({ model: modelOf("noise"), ...request });
    verdict.parse(output);
    const streamed = streamText({ model: modelOf("noise"), ...request });
    await streamed.consumeStream();
    expect(await streamed.output).toEqual(output);
  });

  test("two steps with a tool, whole and streamed", async () => {
    const request = { tools: { weather: sky }, prompt: question, stopWhen: stepCountIs(3) };
    const { text, steps } = await generateText({ model: modelOf("caller"), ...request });
    expect([text, steps.length]).toEqual(["It is sunny in Rome.", 2]);
    expect(steps[0]!.toolResults).toMatchObject([{ toolName: "weather", input: { city: "Rome" }, output: "sunny" }]);
    const streamed = streamText({ model: modelOf("caller"), ...request });
    expect([await streamed.text, (await streamed.steps).length]).toEqual(["It is sunny in Rome.", 2]);
  });

  test("a call that has to be made", async () => {
    const request = { tools: { weather: sky }, prompt: question, maxOutputTokens: 400, stopWhen: stepCountIs(1) };
    const { toolCalls, finishReason } = await generateText({
      model: modelOf("caller"),
      ...request,
      toolChoice: "required",
    });
    expect([finishReason, toolCalls[0]!.input]).toEqual(["tool-calls", { city: "Rome" }]);
  });
});
