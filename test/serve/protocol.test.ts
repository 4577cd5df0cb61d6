/** The laws of the protocol: answers are those of the library, streams add up to whole answers, fields mean what they say. */
import { deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { GenerateOptions } from "../../src/generate/types.ts";
import { PLAIN_DECODERS } from "../../src/generate/types.ts";
import { ask, CHAT, COMPLETION, eventsOf, type Json, post, serving, textOf } from "./serving.ts";

const { app, model } = serving();
const messages = [{ role: "user", content: "What is a prime number?" }] as const;
const chat = { model: "scripted", messages, max_tokens: 24 };
const completion = { model: "scripted", prompt: "once upon a time", max_tokens: 24 };

const settings = fc.record(
  {
    decoder: fc.constantFrom(...PLAIN_DECODERS),
    block_size: fc.integer({ min: 1, max: 24 }),
    max_tokens: fc.integer({ min: 1, max: 48 }),
    temperature: fc.constantFrom(0, 0.5, 1, 2),
    top_p: fc.constantFrom(0.3, 0.9, 1),
    top_k: fc.constantFrom(0, 5),
    min_p: fc.constantFrom(0, 0.05),
    seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    stop: fc.oneof(fc.constantFrom("a", "th", "zz"), fc.constant(["in", "on"])),
  },
  { requiredKeys: ["seed"] },
);

/** The same settings as the library has them. */
function asOptions(given: Json): GenerateOptions {
  return {
    decoder: given.decoder,
    blockSize: given.block_size,
    maxNewTokens: given.max_tokens ?? "context",
    temperature: given.temperature,
    topP: given.top_p,
    topK: given.top_k,
    minP: given.min_p,
    seed: given.seed,
    stop: typeof given.stop === "string" ? [given.stop] : given.stop,
  };
}

describe("an answer", () => {
  test("is the library's with the same settings, whole and as a stream", async () => {
    const prompts = fc.string({ minLength: 1, maxLength: 40, unit: "grapheme" });
    await fc.assert(
      fc.asyncProperty(settings, prompts, fc.boolean(), async (given, prompt, isChat) => {
        const input = isChat ? { messages: [{ role: "user" as const, content: prompt }] } : { prompt };
        const path = isChat ? CHAT : COMPLETION;
        const expected = await model.generate({ ...asOptions(given), ...input });
        const body = { model: "scripted", ...input, ...given };
        const whole = await ask(app, path, body);
        const [choice] = whole.choices;
        expect(isChat ? choice.message.content : choice.text).toBe(expected.text);
        expect(choice.finish_reason).toBe(expected.finishReason);
        expect(whole.usage).toMatchObject({
          prompt_tokens: expected.stats.promptTokens,
          completion_tokens: expected.stats.newTokens,
          total_tokens: expected.stats.promptTokens + expected.stats.newTokens,
        });
        const response = await post(app, path, { ...body, stream: true, stream_options: { include_usage: true } });
        expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
        const events = await eventsOf(response);
        expect(textOf(events)).toBe(expected.text);
        expect(events.at(-1).choices).toEqual([]);
        expect(events.at(-1).usage).toMatchObject({ completion_tokens: expected.stats.newTokens });
        expect(events.at(-2).choices[0].finish_reason).toBe(expected.finishReason);
        expect(events.slice(0, -2).every((event) => event.choices[0].finish_reason === null)).toBe(true);
        expect(new Set(events.map((event) => event.id)).size).toBe(1);
      }),
      { numRuns: 25 },
    );
  });

  test("of n choices: the i-th is what seed + i writes by itself, and the prompt counts once", async () => {
    const body = { ...chat, temperature: 1, seed: 2 ** 32 - 2, n: 3 };
    const whole = await ask(app, CHAT, body);
    const alone = [];
    for (const seed of [2 ** 32 - 2, 2 ** 32 - 1, 0]) alone.push(await ask(app, CHAT, { ...body, n: 1, seed }));
    expect(whole.choices.map((choice: Json) => choice.message.content)).toEqual(
      alone.map((answer) => answer.choices[0].message.content),
    );
    expect(new Set(alone.map((answer) => answer.choices[0].message.content)).size).toBeGreaterThan(1);
    expect(whole.usage.prompt_tokens).toBe(alone[0].usage.prompt_tokens);
    const tokens = alone.map((answer) => answer.usage.completion_tokens as number);
    expect(whole.usage.completion_tokens).toBe(tokens.reduce((sum, each) => sum + each));
    const events = await eventsOf(await post(app, CHAT, { ...body, stream: true }));
    for (const [i, answer] of alone.entries()) expect(textOf(events, i)).toBe(answer.choices[0].message.content);
  });

  test("of several prompts has their choices in order", async () => {
    const prompt = ["one", "two words"];
    const whole = await ask(app, COMPLETION, { ...completion, prompt, n: 2 });
    const alone = [];
    for (const each of prompt) alone.push(await ask(app, COMPLETION, { ...completion, prompt: each }));
    const texts = alone.map((answer) => answer.choices[0].text as string);
    expect(whole.choices.map((choice: Json) => choice.text)).toEqual([texts[0], texts[0], texts[1], texts[1]]);
    expect(whole.usage.prompt_tokens).toBe(alone[0].usage.prompt_tokens + alone[1].usage.prompt_tokens);
  });

  test("of the same prompt twice counts it twice", async () => {
    const alone = await ask(app, COMPLETION, completion);
    const twice = await ask(app, COMPLETION, { ...completion, prompt: [completion.prompt, completion.prompt], n: 2 });
    expect(twice.usage).toMatchObject({
      prompt_tokens: 2 * alone.usage.prompt_tokens,
      completion_tokens: 4 * alone.usage.completion_tokens,
    });
  });

  test("is as long as the context allows unless it is told", async () => {
    const { app, model } = serving({ model: { contextLength: 400, predictability: 1 } });
    for (const more of [{}, { max_tokens: -1 }, { max_tokens: null }]) {
      const body = { model: "scripted", prompt: "once upon a time", ignore_eos: true, ...more };
      const { usage, choices } = await ask(app, COMPLETION, body);
      expect([usage.total_tokens, choices[0].finish_reason]).toEqual([400, "length"]);
    }
    const { text } = await model.generate({ ...{ prompt: "once upon a time" }, maxNewTokens: "context" });
    expect((await ask(app, COMPLETION, { model: "scripted", prompt: "once upon a time" })).choices[0].text).toBe(text);
  });

  test("goes on with a last message of the assistant's, or opens a new turn", async () => {
    const history = [...messages, { role: "assistant" as const, content: "A prime number is" }];
    for (const [fields, options] of [
      [{}, {}],
      [{ continue_final_message: true }, { continueFinalMessage: true }],
      [{ add_generation_prompt: true }, { addGenerationPrompt: true }],
    ]) {
      const expected = await model.generate({ messages: history, maxNewTokens: 24, ...options });
      const { choices, usage } = await ask(app, CHAT, { ...chat, messages: history, ...fields });
      expect(choices[0].message.content).toBe(expected.text);
      expect(usage.prompt_tokens).toBe(expected.stats.promptTokens);
    }
  });

  test("sampled without a seed says which one was drawn, and that one gives it again", async () => {
    const drawn = await ask(app, CHAT, { ...chat, temperature: 1 });
    const again = await ask(app, CHAT, { ...chat, temperature: 1, seed: drawn.cllm.seed });
    expect(again.choices).toEqual(drawn.choices);
    const { cllm } = await ask(app, CHAT, chat);
    expect(cllm).toBeUndefined();
  });

  test("says by what it was ended: a stop string, or nothing that was asked for", async () => {
    const { text } = await model.generate({ messages, maxNewTokens: 24 });
    const stop = [...text].slice(3, 5).join("");
    const whole = await ask(app, CHAT, { ...chat, stop });
    expect(whole.choices[0]).toMatchObject({ finish_reason: "stop", stop_reason: stop });
    const events = await eventsOf(await post(app, CHAT, { ...chat, stop, stream: true }));
    expect(events.at(-1).choices[0]).toMatchObject({ finish_reason: "stop", stop_reason: stop });
    expect((await ask(app, CHAT, { ...chat, max_tokens: 1 })).choices[0]).toMatchObject({
      finish_reason: "length",
      stop_reason: null,
    });
  });

  test("is the same with a decoder's own options, which are checked", async () => {
    const plain = await ask(app, CHAT, chat);
    const other = await ask(app, CHAT, { ...chat, decoder: { name: "lookahead", window: 3, ngram: 4 } });
    expect(other.choices).toEqual(plain.choices);
    const response = await post(app, CHAT, { ...chat, decoder: { name: "lookahead", widow: 3 } });
    expect(response.status).toBe(400);
    expect(((await response.json()) as Json).error.message).toContain("decoder lookahead takes no decoder.widow");
  });

  test("says how many tokens a pass wrote", async () => {
    const { stats } = await model.generate({ messages, maxNewTokens: 24, decoder: "prompt-lookup" });
    const { usage } = await ask(app, CHAT, { ...chat, decoder: "prompt-lookup" });
    const { forwards, tokensPerForward: tokens_per_forward } = stats;
    expect(usage.completion_tokens_details).toMatchObject({ forwards, tokens_per_forward });
  });

  test("says the same as the library of a model whose first draft rides in the prompt's pass, of all choices together", async () => {
    const mostlyTheFirst = (ids: Int32Array): number => ids[0]! + Number(ids.length % 5 === 0);
    const { app, model } = serving({ model: { leadingDraft: true, next: mostlyTheFirst } });
    const prompts = ["x".repeat(7), "y".repeat(9)];
    const accepted: number[] = [];
    let leading = 0;
    for (const prompt of prompts) {
      const { stats } = await model.generate({ prompt, decoder: "jacobi", maxNewTokens: 24, ignoreEos: false });
      accepted.push(...stats.accepted);
      leading += stats.prefillTokens - 1;
    }
    expect(leading).toBeGreaterThan(0); // or the test would show nothing
    const { usage } = await ask(app, COMPLETION, {
      ...{ model: "scripted", prompt: prompts, decoder: "jacobi", max_tokens: 24 },
    });
    const decoded = accepted.reduce((sum, count) => sum + count, 0);
    expect(usage.completion_tokens_details).toMatchObject({
      forwards: accepted.length,
      tokens_per_forward: decoded / accepted.length,
    });
  });

  test("finds what it shares with the one before in the cache", async () => {
    const { app } = serving();
    const first = await ask(app, CHAT, chat);
    const history = [...messages, first.choices[0].message, { role: "user", content: "And a composite one?" }];
    const second = await ask(app, CHAT, { ...chat, messages: history });
    expect(second.usage.prompt_tokens_details.cached_tokens).toBeGreaterThanOrEqual(first.usage.prompt_tokens - 1);
  });
});

test("content in parts, the developer's role and neutral values mean the same as without", async () => {
  const plain = await ask(app, CHAT, { ...chat, messages: [{ role: "system", content: "ab" }, ...messages] });
  const parts = [
    { type: "text", text: "a" },
    { type: "text", text: "b" },
  ];
  const other = await ask(app, CHAT, {
    ...{ ...chat, max_tokens: null, max_completion_tokens: 24, stop: null, n: 1, logprobs: false, logit_bias: {} },
    ...{ response_format: { type: "text" }, tools: [], frequency_penalty: 0, presence_penalty: 0, user: "someone" },
    messages: [{ role: "developer", content: parts }, ...messages],
  });
  expect(other.choices).toEqual(plain.choices);
});

describe("what asks for nothing is taken, and what is not known is ignored", () => {
  const echoed = { role: "assistant", content: "ab", refusal: null, tool_calls: [], annotations: [], audio: null };
  test.each<[what: string, more: object]>([
    ["tools that are not to be called", { tools: [{ type: "function" }], tool_choice: "none" }],
    ["a seed, top_k that are none", { seed: -1, top_k: -1, repetition_penalty: 1, min_tokens: 0 }],
    ["keys for caches and safety", { prompt_cache_key: "k", safety_identifier: "s", metadata: { a: "b" } }],
    ["stream_options without a stream", { stream_options: { include_usage: true, include_obfuscation: false } }],
    ["empty values", { chat_template_kwargs: {}, logit_bias: {}, functions: [], documents: null, guided_json: "" }],
    [
      "a message's name, type and cache_control",
      {
        messages: [{ type: "text", name: "ann", reasoning_content: "…", ...messages[0], cache_control: {} }],
      },
    ],
    [
      "a part's cache_control",
      {
        messages: [{ role: "user", content: [{ type: "text", text: messages[0].content, cache_control: {} }] }],
      },
    ],
  ])("%s", async (_, more) => {
    const expected = await ask(app, CHAT, chat);
    expect((await ask(app, CHAT, { ...chat, ...more })).choices).toEqual(expected.choices);
  });

  test("messages as answers carry them", async () => {
    const history = [...messages, { role: "assistant", content: "ab" }, { role: "user", content: "And?" }];
    const sent = [...messages, echoed, { role: "user", content: "And?" }];
    expect((await ask(app, CHAT, { ...chat, messages: sent })).choices).toEqual(
      (await ask(app, CHAT, { ...chat, messages: history })).choices,
    );
    const empty = await ask(app, CHAT, { ...chat, messages: [...messages, { ...echoed, content: null }, ...messages] });
    expect(empty.choices).toHaveLength(1);
  });

  test("and whoever runs the server is told of each field once, however many there are", async () => {
    const notes: string[] = [];
    const { app } = serving({ app: { note: (line) => void notes.push(line) } });
    const named = [
      { ...messages[0], name: "a" },
      { ...messages[0], name: "b" },
    ];
    for (let i = 0; i < 3; i++) await ask(app, CHAT, { ...chat, messages: named, metadata: {} });
    expect(notes).toEqual(['ignored in a request: "messages[].name","metadata"; --strict refuses such fields']);
    for (let i = 0; i < 200; i++) await ask(app, CHAT, { ...chat, max_tokens: 1, [`field${i}\n`]: 1 });
    expect(notes.length).toBeLessThan(60);
    for (const note of notes) expect(note).not.toMatch(/\n/);
  });
});

test("paths with a slash at the end, and gzipped bodies, mean the same", async () => {
  const expected = await ask(app, CHAT, chat);
  expect((await ask(app, `${CHAT}/`, chat)).choices).toEqual(expected.choices);
  expect((await app.request("/v1/models/")).status).toBe(200);
  const text = JSON.stringify(chat);
  for (const [encoding, body] of [
    ["gzip", gzipSync(text)],
    ["deflate", deflateSync(text)],
    ["identity", Buffer.from(text)],
  ] as const) {
    const headers = { "content-type": "application/json", "content-encoding": encoding };
    const response = await app.request(CHAT, { method: "POST", headers, body: new Uint8Array(body) });
    expect([encoding, response.status]).toEqual([encoding, 200]);
    expect(((await response.json()) as Json).choices).toEqual(expected.choices);
  }
});

describe("a stream with passes", () => {
  test("has an event for each: its tokens add up to the answer, its guesses are what jacobi has in flight", async () => {
    const body = { ...chat, decoder: "jacobi", block_size: 8, stream: true };
    const events = await eventsOf(await post(app, CHAT, { ...body, stream_options: { include_passes: true } }));
    const expected = await model.generate({ messages, maxNewTokens: 24, decoder: "jacobi", blockSize: 8 });
    const passes = events.flatMap(({ cllm }) => (cllm === undefined ? [] : [cllm]));
    expect(textOf(events)).toBe(expected.text);
    expect(passes.map(({ prefill }) => prefill)).toEqual(passes.map((_, i) => i === 0));
    expect(passes.flatMap(({ accepted }) => accepted.map(({ id }: Json) => id))).toEqual([...expected.tokens]);
    expect(passes.slice(1).map(({ accepted }) => accepted.length)).toEqual([...expected.stats.accepted]);
    expect(passes.slice(1, -1).every(({ guesses, rows }) => guesses.length < rows && rows <= 8)).toBe(true);
    expect(passes.some(({ guesses }) => guesses.length > 0)).toBe(true);
    expect(passes[1].accepted[0].text).toBe(model.tokenizer.tokenText(passes[1].accepted[0].id));
    expect(passes.every(({ ms }) => ms >= 0)).toBe(true);
  });

  test("and one without has no event that says nothing", async () => {
    const events = await eventsOf(await post(app, CHAT, { ...chat, stream: true }));
    const deltas = events.slice(1, -1).map((event) => event.choices[0].delta.content);
    expect(deltas.every((text) => text !== "")).toBe(true);
    expect(events.every((event) => event.cllm === undefined && event.usage === undefined)).toBe(true);
  });
});

test("models are listed, and found by name", async () => {
  const list = (await (await app.request("/v1/models")).json()) as Json;
  expect(list.data.map(({ id }: Json) => id)).toEqual(["scripted"]);
  expect(await (await app.request("/v1/models/scripted")).json()).toEqual(list.data[0]);
  const missing = await app.request("/v1/models/scriptd");
  expect(missing.status).toBe(404);
  expect(await missing.json()).toMatchObject({ error: { code: "model_not_found", message: /did you mean/ } });
});

describe("predicted outputs", () => {
  const body = { ...chat, decoder: "auto" };
  const said = { model: { answers: () => "the cat and the dog sat on the mat, and the dog said nothing" } };

  test("change no text, and usage says how many of their tokens it has", async () => {
    const plain = await ask(serving(said).app, CHAT, body);
    const { content } = plain.choices[0].message;
    for (const given of [content, [{ type: "text", text: content }], "something else"]) {
      const whole = await ask(serving(said).app, CHAT, { ...body, prediction: { type: "content", content: given } });
      expect(whole.choices[0].message.content).toBe(content);
      const { accepted_prediction_tokens: accepted, rejected_prediction_tokens: rejected } =
        whole.usage.completion_tokens_details;
      if (given === "something else") expect(rejected).toBeGreaterThan(0);
      else expect(accepted).toBeGreaterThan(rejected);
      if (given === content)
        expect(whole.usage.completion_tokens_details.forwards).toBeLessThan(
          plain.usage.completion_tokens_details.forwards,
        );
    }
  });

  test.each([
    [{ type: "tokens", content: "x" }, "prediction.type"],
    [{ type: "content", content: 7 }, "prediction.content"],
    ["x", "prediction"],
  ])("of another form are refused by name: %j", async (prediction, param) => {
    const response = await post(serving().app, CHAT, { ...body, prediction });
    expect(response.status).toBe(400);
    expect(((await response.json()) as Json).error.param).toBe(param);
  });
});

describe("earlier answers", () => {
  const forwards = async (of: ReturnType<typeof serving>["app"], key: string): Promise<number> => {
    const headers = { authorization: `Bearer ${key}` };
    const whole = (await (await post(of, CHAT, { ...chat, decoder: "suffix" }, { headers })).json()) as Json;
    return whole.usage.completion_tokens_details.forwards;
  };

  test("are drafted from for the same key alone, unless they are shared", async () => {
    const { app: apart } = serving();
    const first = await forwards(apart, "one");
    expect(await forwards(apart, "one")).toBeLessThan(first);
    expect(await forwards(apart, "two")).toBe(first);
    const { app: shared } = serving({ app: { shareAnswers: true } });
    expect(await forwards(shared, "one")).toBe(first);
    expect(await forwards(shared, "two")).toBeLessThan(first);
  });
});
