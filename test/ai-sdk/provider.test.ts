/** The provider for the AI SDK: what `ai` does with a model of this process is what the library does. */
import { generateText, stepCountIs, streamText, tool } from "ai";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { createCllm } from "../../src/ai-sdk/index.ts";
import { messagesOf } from "../../src/ai-sdk/prompt.ts";
import { HERMES_TEMPLATE, type ScriptedOptions, scriptedLanguageModel } from "../generate/scripted-language-model.ts";

const CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>';
const ANSWER = `<think>\nHm.\n</think>\n\nI look. ${CALL}`;
const scripted = (more: ScriptedOptions = {}) =>
  scriptedLanguageModel({
    template: HERMES_TEMPLATE,
    contextLength: 4096,
    answers: (n) => (n > 3 ? "Sunny." : ANSWER),
    ...more,
  });
const weather = tool({
  description: "The weather of a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => ({ city, sky: "sunny" }),
});
const prompt = "How is the weather in Rome?";
const plain = { answers: () => "One, two, three." };

describe("the AI SDK in this process", () => {
  test("generates and streams what the library generates", async () => {
    const model = scripted(plain);
    const cllm = createCllm();
    const whole = await generateText({ model: cllm(model, { decoder: "jacobi" }), prompt, maxOutputTokens: 12 });
    const own = await model.generate({ messages: [{ role: "user", content: prompt }], maxNewTokens: 12 });
    expect([whole.text, whole.finishReason]).toEqual([own.text, own.finishReason]);
    expect(whole.usage).toMatchObject({ inputTokens: own.stats.promptTokens, outputTokens: own.stats.newTokens });
    expect(whole.providerMetadata?.["cllm"]).toMatchObject({ tokensPerForward: expect.any(Number) });
    const streamed = streamText({ model: cllm(model), prompt, maxOutputTokens: 12 });
    let text = "";
    for await (const piece of streamed.textStream) text += piece;
    expect([text, (await streamed.usage).outputTokens]).toEqual([own.text, own.stats.newTokens]);
  });

  test("runs tools in two steps, whole and streamed, with reasoning apart", async () => {
    const request = { tools: { weather }, prompt, stopWhen: stepCountIs(3) };
    const whole = await generateText({ model: createCllm()(scripted()), ...request });
    expect(whole.steps.map(({ finishReason }) => finishReason)).toEqual(["tool-calls", "stop"]);
    expect(whole.steps[0]!.toolResults).toMatchObject([
      { toolName: "weather", output: { city: "Rome", sky: "sunny" } },
    ]);
    expect([whole.steps[0]!.text, whole.steps[0]!.reasoningText, whole.text]).toEqual(["I look. ", "Hm.", "Sunny."]);

    const streamed = streamText({ model: createCllm()(scripted()), ...request });
    const types = new Set<string>();
    let input = "";
    for await (const part of streamed.fullStream) {
      types.add(part.type);
      if (part.type === "tool-input-delta") input += part.delta;
      if (part.type === "error") throw part.error;
    }
    expect(JSON.parse(input)).toEqual({ city: "Rome" });
    expect([...types]).toEqual(expect.arrayContaining(["reasoning-delta", "text-delta", "tool-call", "tool-result"]));
    expect(await streamed.text).toBe("Sunny.");
  });

  test("tells of options that it has no use for, and takes the library's own", async () => {
    const model = scripted(plain);
    const result = await generateText({
      model: createCllm()(model),
      prompt,
      temperature: 0.9,
      seed: 4,
      providerOptions: { cllm: { minP: 0.2, decoder: "lookahead" } },
    });
    const own = { temperature: 0.9, seed: 4, minP: 0.2, maxNewTokens: "context" } as const;
    expect(result.text).toBe((await model.generate({ messages: [{ role: "user", content: prompt }], ...own })).text);
    const wrong = { model: createCllm()(model), prompt, maxRetries: 0, providerOptions: { cllm: { minPee: 1 } } };
    await expect(generateText(wrong)).rejects.toThrow(/no minPee; did you mean minP\?/);
  });

  test("cancels: no further pass runs", async () => {
    const model = scripted({ answers: () => "word ".repeat(500) });
    const stop = new AbortController();
    const streamed = streamText({ model: createCllm()(model, { decoder: "ar" }), prompt, abortSignal: stop.signal });
    for await (const _ of streamed.textStream) stop.abort();
    await streamed.consumeStream();
    expect(model.opened[0]!.passes.length).toBeLessThan(100);
  });

  test("says what it has not: other kinds of models, models that are not there, files", async () => {
    const cllm = createCllm({ offline: true });
    expect(() => cllm.embeddingModel("x")).toThrow(/no embedding models/);
    await expect(generateText({ model: cllm("/none/such"), prompt, maxRetries: 0 })).rejects.toThrow(/none\/such/);
    const file = { type: "file", mediaType: "image/png", data: { type: "data", data: "" } } as const;
    expect(() => messagesOf([{ role: "user", content: [file] }])).toThrow(/a part of type file/);
    await cllm.dispose();
    await expect(generateText({ model: cllm("x"), prompt, maxRetries: 0 })).rejects.toThrow(/provider was disposed/);
  });
});
