/** What the server refuses, and how: always in OpenAI's shape, with a status that is the client's fault, and soon. */
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { CHAT, COMPLETION, eventsOf, type Json, post, serving } from "./serving.ts";

const { app, reported } = serving({ app: { maxBodyBytes: 200_000 } });
const chat = { model: "scripted", messages: [{ role: "user", content: "hi" }], max_tokens: 2 };
const completion = { model: "scripted", prompt: "hi", max_tokens: 2 };
afterAll(() => expect(reported).toEqual([]));

const jsonSchema = (schema: object): object => ({ type: "json_schema", json_schema: { name: "x", schema } });
const call = (id: string, written: string = "{}"): object => ({
  ...{ id, type: "function" },
  function: { name: "f", arguments: written },
});
const calling = (...tool_calls: object[]): object => ({ role: "assistant", content: null, tool_calls });
const result = (tool_call_id: string): object => ({ role: "tool", content: "1", tool_call_id });

const isError = {
  error: { message: expect.any(String), type: expect.any(String), code: expect.any(String) },
};

async function refused(path: string, body: unknown, more: RequestInit = {}): Promise<Json> {
  const response = await post(app, path, body, more);
  const json = (await response.json()) as Json;
  expect(json).toMatchObject(isError);
  return { status: response.status, headers: response.headers, ...json.error };
}

describe("a field", () => {
  test.each<[path: string, field: string, value: unknown, message: RegExp]>([
    [CHAT, "tools", [{ type: "function" }], /tools\[0\]\.function is missing/],
    [CHAT, "tools", [{ type: "function", function: {} }], /tools\[0\]\.function\.name is missing/],
    [CHAT, "tools", [{ type: "function", function: { name: "a b" } }], /tools\[0\]\.name must be up to 128 letters/],
    [CHAT, "functions", [{ name: "f" }], /functions must be left out: give tools/],
    [CHAT, "response_format", { type: "xml" }, /response_format\.type must be one of text, json_object, json_schema/],
    [CHAT, "response_format", { type: "json_schema" }, /response_format\.json_schema is missing/],
    [CHAT, "response_format", jsonSchema({ type: "none" }), /^response_format: .*none/],
    [CHAT, "guided_regex", "(", /^guided_regex: /],
    [CHAT, "top_logprobs", 2, /top_logprobs needs logprobs/],
    [CHAT, "messages", [], /messages must be a list that is not empty/],
    [CHAT, "messages", undefined, /messages is missing/],
    [CHAT, "model", undefined, /model is missing/],
    [CHAT, "n", 17, /n must be at most 16, not 17/],
    [CHAT, "seed", -2, /seed must be at least -1/],
    [CHAT, "top_k", -2, /top_k must be at least -1/],
    [CHAT, "temperature", 3, /temperature must be at most 2, not 3/],
    [CHAT, "max_tokens", 0, /max_tokens must be at least 1/],
    [CHAT, "max_tokens", "5", /max_tokens must be at least 1, or -1 .*, not "5"/],
    [CHAT, "decoder", "jacoby", /decoder must be one of auto, ar, jacobi/],
    [CHAT, "block_size", 1000, /block_size must be at most 256/],
    [CHAT, "repetition_penalty", 0, /repetition_penalty must be more than 0/],
    [CHAT, "guided_json", "{", /guided_json is a text and no JSON/],
    [CHAT, "tool_choice", "some", /tool_choice must be auto, none, required, or/],
    [CHAT, "tool_choice", "required", /tool_choice asks for a call and there are no tools/],
    [CHAT, "reasoning_effort", "high", /reasoning_effort must be left out: .*chat_template_kwargs/],
    [CHAT, "chat_template_kwargs", [], /chat_template_kwargs must be/],
    [CHAT, "frequency_penalty", 3, /frequency_penalty must be at most 2/],
    [CHAT, "logit_bias", { a: 1 }, /logit_bias\.a must be token ids as keys/],
    [CHAT, "stop", 5, /stop must be a text or a list of up to 16/],
    [CHAT, "stream_options", { include_usage: 1 }, /stream_options.include_usage must be true or false/],
    [COMPLETION, "prompt", [[1, 2]], /prompt must be a text or a list of up to 16; token ids are not taken/],
    [COMPLETION, "echo", true, /echo must be left out/],
  ])("%s: %s of %j", async (path, field, value, message) => {
    const error = await refused(path, { ...(path === CHAT ? chat : completion), [field]: value });
    expect(error).toMatchObject({ status: 400, type: "invalid_request_error" });
    expect(error.param.split(".")[0]).toBe(field);
    expect(error.message).toMatch(message);
  });

  test("of a list is named by its place", async () => {
    expect(await refused(CHAT, { ...chat, stop: ["a", ""] })).toMatchObject({ status: 400, param: "stop.1" });
    const strange = [...chat.messages, { role: "function", content: "x", name: "f" }];
    expect(await refused(CHAT, { ...chat, messages: strange })).toMatchObject({
      ...{ status: 400, param: "messages.1.role" },
      message: expect.stringMatching(/messages\[1\].role must be one of system, developer, user, assistant, tool/),
    });
    const nothing = [{ role: "user", content: null }];
    expect(await refused(CHAT, { ...chat, messages: nothing })).toMatchObject({ param: "messages.0.content" });
    const image = [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }];
    expect(await refused(CHAT, { ...chat, messages: image })).toMatchObject({ param: "messages.0.content" });
  });

  test.each<[what: string, messages: object[], param: string, message: RegExp]>([
    [
      "a call without a function",
      [calling({ id: "1", type: "function" })],
      "messages.1.tool_calls.0.function",
      /missing/,
    ],
    [
      "a call whose arguments are no JSON",
      [calling(call("1", "{a}"))],
      "messages.1.tool_calls.0.function.arguments",
      /not JSON/,
    ],
    [
      "a call whose arguments are a list",
      [calling(call("1", "[]"))],
      "messages.1.tool_calls.0.function.arguments",
      /object/,
    ],
    [
      "a call that is not answered",
      [calling(call("1"))],
      "messages.1.tool_calls",
      /calls f \(1\) and no tool message answers/,
    ],
    ["a result of no call", [result("1")], "messages.1.tool_call_id", /answers the call 1, which/],
    [
      "a result that is late",
      [calling(call("1")), ...chat.messages, result("1")],
      "messages.1.tool_calls",
      /no tool message/,
    ],
    [
      "nothing said and nothing called",
      [{ role: "assistant" }],
      "messages.1.content",
      /neither content nor tool_calls/,
    ],
  ])("of messages that has %s", async (_, more, param, message) => {
    const error = await refused(CHAT, { ...chat, messages: [...chat.messages, ...more] });
    expect(error).toMatchObject({ status: 400, param, message: expect.stringMatching(message) });
  });

  test("of a tool's schema is named by the tool, and a form that is asked for twice by both names", async () => {
    const tool = {
      type: "function",
      function: { name: "f", parameters: { type: "object", properties: { a: { type: "x" } } } },
    };
    const error = await refused(CHAT, { ...chat, max_tokens: 50, tools: [tool] });
    expect(error).toMatchObject({ status: 400, param: "tools.0.function.parameters" });
    expect(error.message).toMatch(/^tools\[0\]\.parameters, of f: /);
    const named = { type: "function", function: { name: "g" } };
    const { param, message } = await refused(CHAT, {
      ...chat,
      tools: [{ type: "function", function: { name: "f" } }],
      tool_choice: named,
    });
    expect([param, message]).toEqual(["tool_choice.function.name", expect.stringMatching(/no g.*f/)]);
    const twice = { response_format: { type: "json_object" }, guided_regex: "a" };
    expect(await refused(CHAT, { ...chat, ...twice })).toMatchObject({
      param: "guided_regex",
      message: expect.stringMatching(/both say/),
    });
    const long = await refused(CHAT, { ...chat, response_format: jsonSchema({ type: "string", minLength: 50 }) });
    expect(long.param).toBe("response_format");
    expect(long.message).toMatch(
      /^response_format: the shortest text that it allows takes \d+ tokens, and max_tokens is 2/,
    );
  });

  test("that contradicts another", async () => {
    const error = await refused(CHAT, { ...chat, max_completion_tokens: 3 });
    expect(error).toMatchObject({ status: 400, param: "max_tokens", message: /both given, 2 and 3/ });
    const many = { ...completion, prompt: ["a", "b", "c"], n: 6 };
    expect(await refused(COMPLETION, many)).toMatchObject({ status: 400, param: "n" });
  });
});

describe("a strict server", () => {
  const { app } = serving({ app: { strict: true } });
  test.each<[path: string, more: object, param: string, message: RegExp]>([
    [CHAT, { max_token: 5 }, "max_token", /the request takes no max_token; did you mean max_tokens\?/],
    [CHAT, { prompt: "hi" }, "prompt", /the request takes no prompt/],
    [COMPLETION, { messages: [] }, "messages", /the request takes no messages/],
    [CHAT, { metadata: {} }, "metadata", /takes no metadata/],
    [
      CHAT,
      { stream_options: { usage: true } },
      "stream_options.usage",
      /stream_options takes no usage; there are include_usage/,
    ],
    [
      ...([CHAT, { messages: [...chat.messages, { role: "user", content: "x", name: "y" }] }] as const),
      ...(["messages.1.name", /messages\[1\] takes no name; there are role, content/] as const),
    ],
    [
      ...([CHAT, { messages: [{ role: "user", content: [{ type: "text", text: "x", cache_control: {} }] }] }] as const),
      ...(["messages.0.content.0.cache_control", /messages\[0\]\.content\[0\] takes no cache_control/] as const),
    ],
  ])("%s: %j", async (path, more, param, message) => {
    const response = await post(app, path, { ...(path === CHAT ? chat : completion), ...more });
    expect(response.status).toBe(400);
    expect(((await response.json()) as Json).error).toMatchObject({ param, message: expect.stringMatching(message) });
  });

  test("takes what it knows", async () => {
    const more = { stream_options: { include_usage: true }, chat_template_kwargs: {}, refusal: undefined };
    expect((await post(app, CHAT, { ...chat, ...more })).status).toBe(200);
  });
});

test("errors name the request's fields, not the library's", async () => {
  const error = await refused(CHAT, { ...chat, max_tokens: 5000 });
  expect(error.message).toMatch(/lower max_tokens$/);
  expect((await refused(CHAT, { ...chat, stop_token_ids: [99_999] })).message).toMatch(/^stop_token_ids: 99999/);
  const both = { continue_final_message: true, add_generation_prompt: true };
  expect((await refused(CHAT, { ...chat, ...both })).message).toMatch(
    /continue_final_message and add_generation_prompt/,
  );
  const own = { chat_template_kwargs: { messages: [] } };
  expect((await refused(CHAT, { ...chat, ...own })).message).toMatch(/^chat_template_kwargs cannot set messages/);
});

test("a model that is not there", async () => {
  const error = await refused(CHAT, { ...chat, model: "../../etc/passwd" });
  expect(error).toMatchObject({ status: 404, code: "model_not_found" });
  expect(error.message).toMatch(/there are|scripted/);
});

test("a prompt that does not fit the context", async () => {
  const long = "word ".repeat(600);
  const error = await refused(COMPLETION, { ...completion, prompt: long });
  expect(error).toMatchObject({ status: 400, code: "context_length_exceeded" });
  expect(error.message).toMatch(/in the context of 512: \d+ too many/);
  expect(await refused(COMPLETION, { ...completion, prompt: long, stream: true })).toMatchObject({ status: 400 });
});

test("a model without a chat template", async () => {
  const { app } = serving({ model: { chat: false } });
  const response = await post(app, CHAT, chat);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ error: { code: "chat_template", message: /no chat template/ } });
});

describe("a body", () => {
  test("that is too large, by its length or as it comes", async () => {
    const large = JSON.stringify({ ...chat, user: "x".repeat(200_000) });
    expect(await refused(CHAT, large)).toMatchObject({ status: 413 });
    const chunks = new ReadableStream({
      pull: (controller) => controller.enqueue(new TextEncoder().encode(" ".repeat(50_000))),
    });
    const response = await app.request(CHAT, {
      ...{ method: "POST", body: chunks, headers: { "content-type": "application/json" }, duplex: "half" },
    } as RequestInit);
    expect(response.status).toBe(413);
  });

  test("in parts is read as one", async () => {
    const parts = new Blob([JSON.stringify(completion)]).stream();
    const init = { method: "POST", body: parts, headers: { "content-type": "application/json" }, duplex: "half" };
    expect((await app.request(COMPLETION, init as RequestInit)).status).toBe(200);
  });

  test("that is no JSON", async () => {
    expect(await refused(CHAT, '{"model": ')).toMatchObject({ status: 400, message: /the body is not JSON/ });
    expect(await refused(CHAT, "")).toMatchObject({ status: 400 });
  });

  test("packed in a way that is not known, packed wrongly, or that unpacks to too much", async () => {
    const send = async (encoding: string, body: Uint8Array): Promise<Json> => {
      const headers = { "content-type": "application/json", "content-encoding": encoding };
      const response = await app.request(CHAT, { method: "POST", headers, body: new Uint8Array(body) });
      return { status: response.status, ...((await response.json()) as Json).error };
    };
    const text = JSON.stringify(chat);
    for (const encoding of ["br", "zstd", "gzip, gzip"])
      expect(await send(encoding, Buffer.from(text))).toMatchObject({ status: 415, message: /or with gzip/ });
    expect(await send("gzip", Buffer.from(text))).toMatchObject({ status: 400, message: /is not gzip/ });
    expect(await send("gzip", gzipSync(text).subarray(0, 40))).toMatchObject({ status: 400 });
    const bomb = gzipSync(Buffer.alloc(50_000_000, " "));
    expect(bomb.length).toBeLessThan(100_000);
    expect(await send("gzip", bomb)).toMatchObject({ status: 413 });
  });

  test("that a page of another site could send without being asked", async () => {
    const error = await refused(CHAT, chat, { headers: { "content-type": "text/plain" } });
    expect(error).toMatchObject({ status: 415, message: /must be application\/json/ });
  });
});

test("a path or a method that is none", async () => {
  const lost = await app.request("/v2/chat");
  expect([lost.status, await lost.json()]).toMatchObject([404, isError]);
  const wrong = await app.request(CHAT);
  expect([wrong.status, await wrong.json()]).toMatchObject([405, { error: { code: "method_not_allowed" } }]);
});

describe("malformed bodies", () => {
  const anything = fc.anything({ maxDepth: 4, values: [fc.jsonValue(), fc.double(), fc.string({ unit: "binary" })] });
  const bent = fc
    .tuple(
      fc.constantFrom<[string, object]>([CHAT, chat], [COMPLETION, completion]),
      fc.dictionary(
        fc.oneof(
          fc.constantFrom("model", "messages", "prompt", "stop", "seed", "n", "stream", "stream_options", "tools"),
          fc.constantFrom("temperature", "top_p", "max_tokens", "logit_bias", "response_format", "__proto__", "user"),
          fc.string(),
        ),
        anything,
      ),
    )
    .map(([[path, body], bends]) => [path, JSON.stringify({ ...body, ...bends })] as const);
  const garbage = fc.tuple(fc.constantFrom(CHAT, COMPLETION), fc.oneof(fc.json(), fc.string({ unit: "binary" })));

  test("are answered or refused, never a failure of the server", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(bent, garbage), async ([path, body]) => {
        const response = await post(app, path, body);
        expect(response.status).toBeLessThan(500);
        if (response.status >= 400) expect(await response.json()).toMatchObject(isError);
        else if (response.headers.get("content-type")?.startsWith("text/event-stream")) await eventsOf(response);
        else expect(await response.json()).toMatchObject({ choices: expect.any(Array) });
      }),
      { numRuns: 250 },
    );
  });

  test("as deep as they may be", async () => {
    const depth = 90_000;
    const nested = `${"[".repeat(depth)}${"]".repeat(depth)}`;
    expect(await refused(CHAT, nested)).toMatchObject({ status: 400 });
    for (const field of ["messages", "tools", "stop", "model", "chat_template_kwargs"]) {
      const body = `{"model":"scripted","messages":[{"role":"user","content":"hi"}],"${field}":${field === "chat_template_kwargs" ? `{"a":${nested}}` : nested}}`;
      expect(await refused(CHAT, body)).toMatchObject({ status: 400 });
    }
    const ignored = `{"model":"scripted","messages":[{"role":"user","content":"hi"}],"max_tokens":1,"foo":${nested}}`;
    expect((await post(app, CHAT, ignored)).status).toBe(200);
  });
});
