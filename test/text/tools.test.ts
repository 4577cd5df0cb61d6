/** Tool calls and reasoning in text: read as it streams, the same however it is cut; what is no call is text, and says why. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createAnswerReader } from "../../src/text/answer.ts";
import { endsInReasoning, reasoningTagsOf } from "../../src/text/reasoning.ts";
import { TOOL_FORMS, toolFormOf } from "../../src/text/tools/forms.ts";
import { hermes } from "../../src/text/tools/hermes.ts";
import { json } from "../../src/text/tools/json.ts";
import { llama3 } from "../../src/text/tools/llama3.ts";
import { mistral } from "../../src/text/tools/mistral.ts";
import type { AnswerPart, ToolForm } from "../../src/text/tools/types.ts";

const names = new Set(["weather", "add"]);
const THINK = { open: "<think>", close: "</think>" };

/** The pieces of an answer that comes in these chunks, those of one kind united. */
function read(chunks: readonly string[], form: ToolForm | null, thinks: boolean = false): AnswerPart[] {
  let ids = 0;
  const reader = createAnswerReader({
    calls: form && { form, names },
    reasoning: thinks ? { ...THINK, inside: false } : null,
    newId: () => `id${ids++}`,
  });
  const parts: AnswerPart[] = [];
  for (const part of [...chunks.flatMap((chunk) => reader.push(chunk)), ...reader.end()]) {
    const last = parts.at(-1);
    const joins = last !== undefined && "text" in last && "text" in part && last.type === part.type;
    if (joins) parts[parts.length - 1] = { ...last, text: last.text + (part as { text: string }).text } as AnswerPart;
    else parts.push(part);
  }
  return parts;
}

const callsIn = (parts: readonly AnswerPart[]) =>
  parts.flatMap((part) => (part.type === "called" ? [[part.call.name, part.call.arguments]] : []));
const textIn = (parts: readonly AnswerPart[]): string =>
  parts.map((part) => (part.type === "text" ? part.text : "")).join("");
const brokenIn = (parts: readonly AnswerPart[]) => parts.flatMap((part) => (part.type === "broken" ? [part] : []));

/** Calls as a model writes them in a form. */
function written(form: ToolForm, calls: readonly (readonly [name: string, values: object])[], template = ""): string {
  const each = calls.map(([name, values]) => {
    const { begin, head, end } = form.written(name, template);
    return `${begin}${head}${JSON.stringify(values)}${end}`;
  });
  return each.join("\n");
}

/** A text in pieces. */
const cut = (text: string, at: readonly number[]): string[] => {
  const places = [...new Set(at.map((share) => Math.floor(share * text.length)))].sort((a, b) => a - b);
  return [...places, text.length].map((place, i) => text.slice(places[i - 1] ?? 0, place));
};
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });
const values = fc
  .dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 })
  .map((value) => JSON.parse(JSON.stringify(value)) as object);
const someCalls = fc.array(fc.tuple(fc.constantFrom("weather", "add"), values), { minLength: 1, maxLength: 3 });
const marks = ["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "{", "}", '"name": "add"', '"arguments": {'];
const noise = fc
  .array(
    fc.oneof(
      fc.constantFrom(...marks, "\n", ", ", '"', "[", "]", "<|python_tag|>", ";", "😀"),
      fc.string({ maxLength: 4 }),
    ),
    {
      maxLength: 12,
    },
  )
  .map((pieces) => pieces.join(""));

describe.each(TOOL_FORMS.map((form) => [form.name, form] as const))("calls in the form of %s", (_, form) => {
  test("are read, however the text is cut", () => {
    fc.assert(
      fc.property(someCalls, cuts, (calls, at) => {
        const text = written(form, calls);
        const parts = read(cut(text, at), form);
        expect(callsIn(parts)).toEqual(calls);
        expect([textIn(parts), brokenIn(parts)]).toEqual(["", []]);
        expect(parts).toEqual(read([text], form));
      }),
      { numRuns: 60 },
    );
  });

  test("noise gives the same pieces, however it is cut, and loses nothing", () => {
    fc.assert(
      fc.property(noise, cuts, (text, at) => {
        const parts = read(cut(text, at), form);
        expect(parts).toEqual(read([...text], form));
        if (callsIn(parts).length === 0) expect(textIn(parts).trim()).toBe(text.trim());
      }),
      { numRuns: 150 },
    );
  });

  test("the arguments come as they are written, and are those of the call", () => {
    const text = written(form, [["add", { a: [1, 2], b: { c: "}" } }]]);
    const parts = read([...text], form);
    expect(parts.map(({ type }) => type)).toEqual(["begun", "arguments", "called"]);
    const [begun, streamed, called] = parts as [AnswerPart, AnswerPart, AnswerPart];
    expect(begun).toEqual({ type: "begun", index: 0, id: "id0", name: "add" });
    expect(called).toMatchObject({ call: { id: "id0", argumentsText: (streamed as { text: string }).text } });
    expect(JSON.parse((streamed as { text: string }).text)).toEqual({ a: [1, 2], b: { c: "}" } });
  });

  test("a call that the text ends in is text, and unfinished; one of a tool that is none is text, too", () => {
    const text = written(form, [["add", { a: "long enough" }]]);
    const short = text.slice(0, text.indexOf("enough"));
    const parts = read([short], form);
    expect(textIn(parts)).toBe(short);
    expect(brokenIn(parts)).toMatchObject([{ index: 0, broken: { name: "add", reason: "unfinished", text: short } }]);
    const unknown = written(form, [["rm", {}]]);
    expect(brokenIn(read([unknown], form))).toMatchObject([{ index: null, broken: { reason: "unknown-tool" } }]);
    expect(textIn(read([unknown], form))).toContain('"rm"');
  });
});

test("text before Hermes' calls and behind them is text, and a call that is no JSON is malformed", () => {
  const call = written(hermes, [["add", { a: 1 }]]);
  const parts = read([`I add.\n${call}\n\nDone <b>.`], hermes);
  expect([callsIn(parts), textIn(parts)]).toEqual([[["add", { a: 1 }]], "I add.\n\n\nDone <b>."]);
  const bad = '<tool_call>{"name": "add", "arguments": {"a": }}</tool_call>';
  expect(brokenIn(read([bad], hermes))).toMatchObject([{ index: 0, broken: { reason: "malformed" } }]);
  expect(textIn(read([bad], hermes))).toBe(bad);
});

test("other ways to write a call that models have", () => {
  expect(callsIn(read(['<tool_call>{"arguments": "{\\"a\\": 1}", "name": "add"}'], hermes))).toEqual([
    ["add", { a: 1 }],
  ]);
  expect(callsIn(read(['<|python_tag|>{"type": "function", "name": "add", "parameters": {}}'], llama3))).toEqual([
    ["add", {}],
  ]);
  expect(callsIn(read(['{"type": "function", "function": {"name": "add", "arguments": {"a": 2}}}'], llama3))).toEqual([
    ["add", { a: 2 }],
  ]);
  const list = '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}}, {"name": "weather", "arguments": {}}]';
  expect(callsIn(read([...list], mistral))).toEqual([
    ["add", { a: 1 }],
    ["weather", {}],
  ]);
  expect(callsIn(read([written(mistral, [["add", { a: 1 }]], "[ARGS]")], mistral))).toEqual([["add", { a: 1 }]]);
  expect(callsIn(read(['{"name": "add", "parameters": {}}; {"name": "weather"}'], llama3))).toHaveLength(2);
  const named = '[TOOL_CALLS]add[CALL_ID]abc123456[ARGS]{"a": 1}[TOOL_CALLS]weather{"b": 2}';
  expect(callsIn(read([...named], mistral))).toEqual([
    ["add", { a: 1 }],
    ["weather", { b: 2 }],
  ]);
  expect(callsIn(read(['\n{"name": "add"}'], json))).toEqual([["add", {}]]);
});

test("a bare call may stand behind a text", () => {
  const parts = read([`I add. ${written(json, [["add", { a: 1 }]])}`], json);
  expect([textIn(parts), callsIn(parts)]).toEqual(["I add. ", [["add", { a: 1 }]]]);
  const name = 'Ann is {"name": "Ann", "age": 3}.';
  const unknown = read([name], json);
  expect([textIn(unknown), callsIn(unknown)]).toEqual([name, []]);
  expect(brokenIn(unknown)).toMatchObject([{ broken: { name: "Ann", reason: "unknown-tool" } }]);
});

test("an answer in JSON that names no tool is text, and nothing broke", () => {
  const answer = '{"city": "Rome"}';
  const parts = read([answer], json);
  expect([textIn(parts), callsIn(parts), brokenIn(parts)]).toEqual([answer, [], []]);
});

test("the form is that of the template; one that knows no tools gets plain JSON", () => {
  const forms: [template: string, form: string][] = [
    ["{% if tools %}<tool_call>{% endif %}", "hermes"],
    ["{% if tools %}[TOOL_CALLS]{% endif %}", "mistral"],
    ['<|start_header_id|>{% if tools %}{"name": , "parameters": }', "llama3"],
    ["{% if tools %}<tool_call><function=f></function>{% endif %}", "json"],
    ["{{ messages }}", "json"],
  ];
  for (const [template, form] of forms) expect([template, toolFormOf(template).name]).toEqual([template, form]);
});

describe("reasoning", () => {
  test("stands at the beginning, and is split off however the text is cut", () => {
    const body = fc.constantFrom("", "Hm.", "a\nb\n", "<thin", "</thin", "\n\n", "1 < 2");
    fc.assert(
      fc.property(body, body, cuts, (thought, answer, at) => {
        const text = `<think>\n${thought}\n</think>\n\n${answer}`;
        const parts = read(cut(text, at), null, true);
        const reasoning = parts.map((part) => (part.type === "reasoning" ? part.text : "")).join("");
        expect([reasoning, textIn(parts)]).toEqual([thought.replace(/^\n+|\n+$/g, ""), answer.replace(/^\n+/, "")]);
      }),
    );
    expect(textIn(read(["An answer with <think>.</think>"], null, true))).toBe("An answer with <think>.</think>");
  });

  test("may be opened by the prompt, and comes before calls", () => {
    const reader = createAnswerReader({
      reasoning: { ...THINK, inside: true },
      calls: { form: hermes, names },
      newId: () => "x",
    });
    const text = `Let me add.</think>\n${written(hermes, [["add", { a: 1 }]])}`;
    const parts = [...reader.push(text), ...reader.end()];
    expect(parts[0]).toEqual({ type: "reasoning", text: "Let me add." });
    expect(callsIn(parts)).toEqual([["add", { a: 1 }]]);
    expect([endsInReasoning("<think>\n", THINK), endsInReasoning("<think></think>", THINK)]).toEqual([true, false]);
  });

  test("is there where the template marks it", () => {
    expect(reasoningTagsOf("{{ '<think>' }}")).toEqual(THINK);
    expect(reasoningTagsOf("{{ messages }}")).toBe(null);
  });
});
