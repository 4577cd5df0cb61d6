/** Tools in requests of the library: written for the template, read from the answer, the same by every decoder. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { conversationFault } from "../../src/generate/conversation.ts";
import { type Message, PLAIN_DECODERS } from "../../src/generate/types.ts";
import { HERMES_TEMPLATE, type ScriptedOptions, scriptedLanguageModel } from "./scripted-language-model.ts";

const weather = {
  name: "weather",
  description: "The weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const question: Message[] = [{ role: "user", content: "How is the weather in Rome?" }];
const CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>';
const model = (answer: string, more: ScriptedOptions = {}) =>
  scriptedLanguageModel({ template: HERMES_TEMPLATE, answers: () => answer, contextLength: 2048, ...more });

describe("a request with tools", () => {
  test("gives the same calls, text and reasoning by every decoder, whole and as it comes", async () => {
    const answer = `<think>\nWhich city?\n</think>\n\nI look.\n${CALL}\n${CALL.replace("Rome", "Oslo")}`;
    for (const decoder of PLAIN_DECODERS) {
      const stream = model(answer).stream({ messages: question, tools: [weather], decoder });
      let [text, reasoning] = ["", ""];
      for await (const chunk of stream) {
        text += chunk.text;
        for (const part of chunk.parts ?? []) if (part.type === "reasoning") reasoning += part.text;
      }
      const { toolCalls, brokenCalls, finishReason, ...whole } = await stream.result;
      expect([decoder, text, reasoning]).toEqual([decoder, "I look.\n", "Which city?"]);
      expect([whole.text, whole.reasoning, finishReason, brokenCalls]).toEqual([text, reasoning, "tool-calls", []]);
      expect(toolCalls.map(({ name, arguments: values }) => [name, values])).toEqual([
        ["weather", { city: "Rome" }],
        ["weather", { city: "Oslo" }],
      ]);
    }
  });

  test("ends with the first call where only one is wanted, and calls nothing where none is", async () => {
    const answer = `${CALL}\n${CALL}`;
    const one = await model(answer).generate({ messages: question, tools: [weather], parallelToolCalls: false });
    expect([one.toolCalls.length, one.finishReason]).toEqual([1, "tool-calls"]);
    const none = await model(answer).generate({ messages: question, tools: [weather], toolChoice: "none" });
    expect([none.text, none.toolCalls, none.finishReason]).toEqual([answer, [], "stop"]);
  });

  test("whose budget ends inside a call has no call and says so", async () => {
    const request = { messages: question, tools: [weather], maxNewTokens: 30 };
    const { text, toolCalls, brokenCalls, finishReason } = await model(CALL).generate(request);
    expect([finishReason, toolCalls]).toEqual(["length", []]);
    expect(brokenCalls).toMatchObject([{ reason: "unfinished", text }]);
    expect(CALL.startsWith(text)).toBe(true);
  });

  test("tells the model of its tools and of earlier calls, as its template does", async () => {
    const talk: Message[] = [
      ...question,
      {
        role: "assistant",
        content: "",
        toolCalls: [{ id: "abcdefghi", name: "weather", arguments: { city: "Rome" } }],
      },
      { role: "tool", content: "sunny", toolCallId: "abcdefghi" },
    ];
    const { promptIds, tokenizer } = model("Sunny.");
    const text = tokenizer.decode(promptIds({ messages: talk, tools: [weather] }));
    expect(text).toContain(`<tools>{"type": "function", "function": {"name": "weather"`);
    expect(text).toContain('<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>');
    expect(text).toContain("tool\nsunny");
    const { text: answer } = await model("Sunny.").generate({ messages: talk, tools: [weather] });
    expect(answer).toBe("Sunny.");
  });

  test("works where the template knows no tools: they are told in a system message, and results are the user's", async () => {
    const call = '{"name": "weather", "arguments": {"city": "Rome"}}';
    const plain = scriptedLanguageModel({ answers: (turns) => (turns > 3 ? "Sunny." : call), contextLength: 2048 });
    const first = await plain.generate({ messages: question, tools: [weather] });
    expect(first.toolCalls).toMatchObject([
      { name: "weather", arguments: { city: "Rome" }, argumentsText: '{"city": "Rome"}' },
    ]);
    const talk: Message[] = [
      ...question,
      { role: "assistant", content: "", toolCalls: first.toolCalls },
      { role: "tool", content: "sunny", toolCallId: first.toolCalls[0]!.id },
    ];
    const text = plain.tokenizer.decode(plain.promptIds({ messages: talk, tools: [weather] }));
    expect(text).toContain('{"name":"weather","description":"The weather of a city"');
    expect(text).toContain('assistant\n{"name":"weather","arguments":{"city":"Rome"}}');
    expect(text).toContain("user\nResult of weather:\nsunny");
    expect((await plain.generate({ messages: talk, tools: [weather] })).text).toBe("Sunny.");
  });

  test("begins inside the reasoning where the template has opened it", async () => {
    const request = { messages: question, templateOptions: { enable_thinking: true } };
    const { reasoning, text } = await model("<think>\nHm.\n</think>\n\nSunny.").generate(request);
    expect([reasoning, text]).toEqual(["Hm.", "Sunny."]);
  });

  test.each([
    ["a name with a space", { tools: [{ name: "my tool" }] }, /tools\[0\]\.name must be up to 128 letters/],
    ["no name", { tools: [{}] }, /tools\[0\]\.name is missing/],
    ["two tools of one name", { tools: [weather, weather] }, /two tools of one name/],
    ["tools with a prompt", { tools: [weather], messages: undefined, prompt: "x" }, /tools needs messages/],
  ])("is refused with %s", async (_, request, message) => {
    const asked = model("").generate({ messages: question, ...(request as object) });
    await expect(asked).rejects.toThrow(expect.objectContaining({ message: expect.stringMatching(message) }));
  });
});

describe("calls that have to be made", () => {
  const add = {
    name: "add",
    parameters: {
      type: "object",
      properties: { a: { type: "integer", minimum: 0, maximum: 99 }, b: { type: "boolean" } },
      required: ["a", "b"],
    },
  };
  const noise = (template?: string, seed = 1) =>
    scriptedLanguageModel({
      ...(template !== undefined && { template }),
      seed,
      contextLength: 1024,
      predictability: 0.3,
    });
  const forms: [form: string, template: string | undefined][] = [
    ["hermes", HERMES_TEMPLATE.replaceAll("think>", "thought>")],
    [
      "mistral",
      HERMES_TEMPLATE.replaceAll("think>", "thought>").replace("<tool_call><|im_end|>", "[TOOL_CALLS]<|im_end|>"),
    ],
    ["json", undefined],
  ];

  test.each(forms)("are whole and fit the schema, even of a model that writes noise: %s", async (_, template) => {
    for (const decoder of PLAIN_DECODERS)
      for (const temperature of [0, 1]) {
        const request = { messages: question, tools: [add], decoder, temperature, seed: 3, maxNewTokens: 200 };
        const { toolCalls, brokenCalls, finishReason, tokens } = await noise(template).generate({
          ...request,
          toolChoice: "required",
          parallelToolCalls: false,
        });
        expect([decoder, finishReason, brokenCalls]).toEqual([decoder, "tool-calls", []]);
        expect(toolCalls).toMatchObject([
          { name: "add", arguments: { a: expect.any(Number), b: expect.any(Boolean) } },
        ]);
        const named = await noise(template).generate({
          ...request,
          tools: [weather, add],
          toolChoice: { name: "add" },
        });
        expect(named.toolCalls.map(({ name }) => name)).toEqual(["add"]);
        const { tokens: plain } = await noise(template).generate({
          ...request,
          ...{ decoder: "ar", toolChoice: "required", parallelToolCalls: false },
        });
        expect(tokens).toEqual(plain);
      }
  });

  test("a call that has begun is held to its schema, and so is an answer that calls nothing", async () => {
    const begun = '<tool_call>\n{"name": "add", "arguments": {"c": 1}}\n</tool_call>';
    const held = await model(begun).generate({ messages: question, tools: [add], maxNewTokens: 200 });
    expect(held.brokenCalls).toEqual([]);
    expect(held.toolCalls).toMatchObject([
      { name: "add", arguments: { a: expect.any(Number), b: expect.any(Boolean) } },
    ]);
    const format = { type: "json_schema", schema: { enum: ["yes", "no"] } } as const;
    const either = { messages: question, tools: [add], format, maxNewTokens: 100 };
    const answer = await model('"yes"').generate(either);
    expect([answer.text, answer.parsed, answer.toolCalls]).toEqual(['"yes"', "yes", []]);
    const called = await model('<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": true}}\n</tool_call>').generate(
      either,
    );
    expect([called.toolCalls.length, called.parsed]).toEqual([1, null]);
  });

  test("a format comes behind reasoning that the prompt has opened", async () => {
    const thinking = model('<think>\nHm, yes.\n</think>\n\n"yes"');
    const format = { type: "json_schema", schema: { enum: ["yes", "no"] } } as const;
    const templateOptions = { enable_thinking: true };
    const { reasoning, parsed } = await thinking.generate({
      messages: question,
      templateOptions,
      format,
      maxNewTokens: 100,
    });
    expect([reasoning, parsed]).toEqual(["Hm, yes.", "yes"]);
  });

  test.each([
    ["a schema that is none", { tools: [{ name: "f", parameters: { type: "x" } }] }, /tools\[0\]\.parameters, of f: /],
    ["no tools", { toolChoice: "required" }, /toolChoice asks for a call/],
    ["a tool that is none", { tools: [add], toolChoice: { name: "ad" } }, /tools has no ad; did you mean add\?/],
    [
      "a budget that no call fits in",
      { tools: [add], toolChoice: "required", maxNewTokens: 5 },
      /toolChoice: the shortest call/,
    ],
  ])("%s is refused before any pass", async (_, more, message) => {
    const scripted = model("");
    const asked = scripted.generate({ messages: question, ...(more as object) });
    await expect(asked).rejects.toThrow(expect.objectContaining({ message: expect.stringMatching(message) }));
    expect(scripted.opened).toEqual([]);
  });
});

describe("the order of calls and results", () => {
  const call = (id: string) => ({ id, name: "f", arguments: {} });
  const calling = (...ids: string[]): Message => ({ role: "assistant", content: "", toolCalls: ids.map(call) });
  const result = (toolCallId?: string): Message => ({ role: "tool", content: "1", ...(toolCallId && { toolCallId }) });

  test("results stand right behind their calls, in any order, each once", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 4 }), (ids) => {
        const whole = [...question, calling(...ids), ...ids.toReversed().map(result), ...question];
        expect(conversationFault(whole)).toBe(null);
        expect(conversationFault(whole.toSpliced(2, 1))).toMatchObject({ path: [1, "toolCalls"] });
      }),
      { numRuns: 30 },
    );
  });

  test.each<[what: string, messages: Message[], message: RegExp]>([
    ["a result without a call", [...question, result("a")], /messages\[1\] answers the call a, which/],
    ["a result twice", [...question, calling("a"), result("a"), result("a")], /messages\[3\] answers/],
    ["a result of no call", [...question, calling("a"), result()], /does not say which call/],
    ["a call without a result", [...question, calling("a")], /messages\[1\] calls f \(a\) and no tool message/],
    ["two calls with one id", [...question, calling("a", "a")], /two calls with the id a/],
    ["calls of the user's", [{ ...question[0]!, toolCalls: [call("a")] }], /messages\[0\] has calls of tools/],
  ])("%s is an error that names the place", (_, messages, message) => {
    expect(conversationFault(messages)?.message).toMatch(message);
    expect(() => model("").promptIds({ messages })).toThrow(message);
  });
});
