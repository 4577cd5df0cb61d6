/** Tools and reasoning over HTTP: OpenAI's shapes, whole and as events, which add up to the same. */
import { expect, test } from "vitest";
import { HERMES_TEMPLATE } from "../generate/scripted-language-model.ts";
import { ask, CHAT, eventsOf, type Json, post, serving } from "./serving.ts";

const CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>';
const ANSWER = `<think>\nWhich city?\n</think>\n\nI look. ${CALL}\n${CALL.replace("Rome", "Oslo")}`;
const tools = [
  {
    type: "function",
    function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
  },
];
const model = { template: HERMES_TEMPLATE, answers: () => ANSWER, contextLength: 2048 };
const { app } = serving({ model });
const chat = { model: "scripted", messages: [{ role: "user", content: "Rome?" }], tools };

/** What the deltas of a stream add up to. */
function assembled(events: readonly Json[]): Json {
  const message: Json = { role: "assistant", content: "", reasoning_content: "", tool_calls: [] };
  for (const { delta } of events.flatMap((event) => event.choices as Json[])) {
    message.content += delta.content ?? "";
    message.reasoning_content += delta.reasoning_content ?? "";
    for (const { index, id, type, function: part } of delta.tool_calls ?? []) {
      message.tool_calls[index] ??= { id, type, function: { name: part.name, arguments: "" } };
      message.tool_calls[index].function.arguments += part.arguments;
    }
  }
  return message;
}
const withoutIds = ({ refusal: _, ...message }: Json): Json => ({
  ...message,
  tool_calls: message.tool_calls.map(({ id, ...call }: Json) => {
    expect(id).toMatch(/^\w{9}$/);
    return call;
  }),
});

test("an answer has its calls, text and reasoning apart, whole and as events", async () => {
  for (const decoder of ["ar", "jacobi", "auto"]) {
    const { choices } = await ask(app, CHAT, { ...chat, decoder });
    expect(choices[0].finish_reason).toBe("tool_calls");
    expect(withoutIds(choices[0].message)).toEqual({
      ...{ role: "assistant", content: "I look. ", reasoning_content: "Which city?" },
      tool_calls: ["Rome", "Oslo"].map((city) => ({
        ...{ type: "function", function: { name: "weather", arguments: `{"city": "${city}"}` } },
      })),
    });
    const events = await eventsOf(await post(app, CHAT, { ...chat, decoder, stream: true }));
    expect(withoutIds(assembled(events))).toEqual(withoutIds(choices[0].message));
    expect(events.at(-1).choices[0].finish_reason).toBe("tool_calls");
  }
});

test("the content is null where there are only calls, and one call is all where no more are wanted", async () => {
  const only = serving({ model: { ...model, answers: () => `${CALL}\n${CALL}` } });
  const { choices } = await ask(only.app, CHAT, { ...chat, parallel_tool_calls: false });
  expect(choices[0]).toMatchObject({ finish_reason: "tool_calls", message: { content: null } });
  expect(choices[0].message.tool_calls.length).toBe(1);
  const none = await ask(only.app, CHAT, { ...chat, tool_choice: "none" });
  expect(none.choices[0]).toMatchObject({ finish_reason: "stop", message: { content: `${CALL}\n${CALL}` } });
});

test("a budget that ends inside a call gives no call: its text is the content", async () => {
  const request = { ...chat, max_tokens: 85 };
  const { choices } = await ask(app, CHAT, request);
  expect(choices[0]).toMatchObject({ finish_reason: "length" });
  expect(choices[0].message.tool_calls).toBe(undefined);
  expect(choices[0].message.content).toContain("<tool_call>");
});

test("templates get tools, documents and their variables", async () => {
  const template =
    "{{ tools | length }} {{ documents[0].title }} {{ enable_thinking }} {# <tool_call> #}<|im_start|>assistant{{ '\\n' }}";
  const echo = serving({ model: { template, answers: () => "ok", contextLength: 2048 } });
  const more = { documents: [{ title: "T", text: "x" }], chat_template_kwargs: { enable_thinking: false } };
  const { usage } = await ask(echo.app, CHAT, { ...chat, ...more });
  const { tokenizer } = echo.model;
  const text = "1 T False <|im_start|>assistant\n";
  expect(usage.prompt_tokens).toBe(tokenizer.encode(text, { addSpecialTokens: false }).length);
});

test("a conversation goes on from its calls and uses the cache", async () => {
  const talk = serving({ model: { ...model, answers: (turns) => (turns > 3 ? "Sunny." : CALL) } });
  const first = await ask(talk.app, CHAT, chat);
  const messages = [
    ...chat.messages,
    first.choices[0].message,
    { role: "tool", tool_call_id: first.choices[0].message.tool_calls[0].id, content: "sunny" },
  ];
  const second = await ask(talk.app, CHAT, { ...chat, messages });
  expect(second.choices[0]).toMatchObject({ finish_reason: "stop", message: { content: "Sunny." } });
  expect(second.usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(first.usage.prompt_tokens - 10);
});
