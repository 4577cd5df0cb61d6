/** Chat templates: what the models' own templates need works, and hostile ones end with one clear error. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { TokenizerSource } from "../../src/checkpoint/tokenizer-source.ts";
import { type ChatMessage, createChatTemplate } from "../../src/text/chat.ts";
import { byteLevelSource, sentencePieceSource } from "./tiny-tokenizers.ts";

const hi: ChatMessage[] = [{ role: "user", content: "Hi" }];

function template(chatTemplate: string | null, limits = {}) {
  return createChatTemplate({ ...sentencePieceSource(), chatTemplate }, { limits });
}

function rendered(chatTemplate: string, messages: readonly ChatMessage[] = hi): string {
  return template(chatTemplate).render(messages);
}

describe("templates", () => {
  test("write special tokens from GGUF metadata and from tokenizer_config.json alike", () => {
    const chatTemplate = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token }}";
    const tokenizerConfig = { bos_token: "<s>", eos_token: { content: "</s>", lstrip: false }, pad_token: null };
    const source: TokenizerSource = { kind: "huggingface", tokenizerJson: {}, tokenizerConfig, chatTemplate };
    expect(createChatTemplate(source).render(hi)).toBe("<s>Hi</s>");
    expect(rendered(chatTemplate)).toBe("<s>Hi</s>");
    expect(createChatTemplate({ ...byteLevelSource(), chatTemplate }).render(hi)).toBe("<|begin|>Hi<|end|>");
  });

  test("open the assistant's turn unless told not to", () => {
    const chat = template("{% if add_generation_prompt %}A:{% endif %}");
    expect([chat.render(hi), chat.render(hi, { addGenerationPrompt: false })]).toEqual(["A:", ""]);
  });

  test("see tools and documents as none, and loop, macro, namespace and slices", () => {
    expect(rendered("{% if tools is none and documents is none %}{{ 'none' }}{% endif %}")).toBe("none");
    expect(
      rendered(
        "{% macro turn(m) %}[{{ m.role }}:{{ m.content | trim }}]{% endmacro %}{% set ns = namespace(n=0) %}" +
          "{% for m in messages[1:] %}{{ turn(m) }}{% set ns.n = ns.n + loop.index %}{% endfor %}{{ ns.n }}",
        [...hi, { role: "assistant", content: " a " }, { role: "user", content: "b" }],
      ),
    ).toBe("[assistant:a][user:b]3");
  });

  test("take the line break after a block and the indentation before it, as transformers has them do", () => {
    expect(rendered("{% for m in messages %}\n  {% if true %}\n{{ m.content }}\n  {% endif %}\n{% endfor %}\n")).toBe(
      "Hi\n",
    );
  });

  test("strip white space, or the characters they name", () => {
    const content = "\n  x \n";
    const written = (expression: string) => rendered(`{{ ${expression} }}`, [{ role: "user", content }]);
    const text = "messages[0].content";
    expect(written(`${text}.strip()`)).toBe("x");
    expect(written(`${text}.lstrip('\\n')`)).toBe("  x \n");
    expect(written(`${text}.rstrip('\\n')`)).toBe("\n  x ");
    expect(written(`${text}.strip(' \\nx') ~ '.'`)).toBe(".");
    expect(written(`${text}.split('x')[1].rstrip()`)).toBe("");
  });

  test("may ask for today's date, in English", () => {
    const now = new Date();
    expect(rendered("{{ strftime_now('%Y') }}")).toBe(String(now.getFullYear()));
    expect(rendered("{{ strftime_now('%-d') }}")).toBe(String(now.getDate()));
  });

  test("render range as Python does", () => {
    const bound = fc.integer({ min: -20, max: 20 });
    fc.assert(
      fc.property(bound, bound, bound, (start, stop, step) => {
        fc.pre(step !== 0);
        const numbers: number[] = [];
        for (let i = start; step > 0 ? i < stop : i > stop; i += step) numbers.push(i);
        expect(rendered(`{% for i in range(${start}, ${stop}, ${step}) %}{{ i }} {% endfor %}`)).toBe(
          numbers.map((n) => `${n} `).join(""),
        );
      }),
    );
    expect(rendered("{% for i in range(3) %}{{ i }}{% endfor %}")).toBe("012");
  });
});

const TURNS =
  "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
const begun: ChatMessage[] = [...hi, { role: "assistant", content: "Sure: " }];

describe("a last message of the assistant's", () => {
  test("is continued, unless a turn is asked for or ruled out", () => {
    const chat = template(TURNS);
    expect(chat.render(begun)).toBe("<user>Hi</><assistant>Sure: ");
    expect(chat.render(begun, { continueFinalMessage: true })).toBe("<user>Hi</><assistant>Sure: ");
    const closed = "<user>Hi</><assistant>Sure: </>";
    expect(chat.render(begun, { continueFinalMessage: false })).toBe(`${closed}<assistant>`);
    expect(chat.render(begun, { addGenerationPrompt: true })).toBe(`${closed}<assistant>`);
    expect(chat.render(begun, { addGenerationPrompt: false })).toBe(closed);
  });

  test("a user's message is continued on request only", () => {
    expect(rendered(TURNS)).toBe("<user>Hi</><assistant>");
    expect(template(TURNS).render(hi, { continueFinalMessage: true })).toBe("<user>Hi");
  });

  test("loses white space at its end where the template trims it", () => {
    expect(rendered(TURNS.replace("m.content", "m.content | trim"), begun)).toBe("<user>Hi</><assistant>Sure:");
  });

  test("may be empty, be in parts, or be calls of tools, which nothing can be added to", () => {
    const chat = template(TURNS.replace("m.content", "m.content if m.content is string else m.content[0].text"));
    expect(chat.render([...hi, { role: "assistant", content: "" }])).toBe("<user>Hi</><assistant>");
    const parts = [{ type: "text", text: "So" }, { type: "image" }];
    expect(chat.render([...hi, { role: "assistant", content: parts }])).toBe("<user>Hi</><assistant>So");
    const calls: ChatMessage[] = [...hi, { role: "assistant", content: null, tool_calls: [{}] }];
    expect(template("{{ add_generation_prompt }}").render(calls)).toBe("True");
    expect(() => chat.render(calls, { continueFinalMessage: true })).toThrow(/no text to continue/);
  });

  test("that the template hides or changes is an error, and so are contradictory options", () => {
    expect(() => rendered("{{ messages[0].content }}", begun)).toThrow(/does not write the last message/);
    const both = { continueFinalMessage: true, addGenerationPrompt: true };
    expect(() => template(TURNS).render(begun, both)).toThrow(
      expect.objectContaining({ code: "bad-input", message: expect.stringContaining("give one of") }),
    );
  });
});

describe("variables and named templates", () => {
  test("a rendering's variables win over the template's, and both over special tokens", () => {
    const source = { ...sentencePieceSource(), chatTemplate: "{{ bos_token }} {{ thinking }} {{ depth }}" };
    const chat = createChatTemplate(source, { templateOptions: { thinking: "no", depth: 2 } });
    expect(chat.render(hi)).toBe("<s> no 2");
    expect(chat.render(hi, { templateOptions: { thinking: "yes", bos_token: "^" } })).toBe("^ yes 2");
  });

  test("what a rendering sets itself is refused by the name of its option", () => {
    for (const name of ["messages", "add_generation_prompt", "continue_final_message"]) {
      const refusal = expect.objectContaining({
        code: "bad-input",
        message: expect.stringContaining(`set ${name}; use`),
      });
      expect(() => template("x").render(hi, { templateOptions: { [name]: true } })).toThrow(refusal);
    }
  });

  test("a template is chosen by its name; without a default, the error says which there are", () => {
    const namedTemplates = { tool_use: "T", rag: "R" };
    const source = { ...sentencePieceSource(), chatTemplate: null, namedTemplates };
    expect(createChatTemplate(source, { name: "rag" }).render(hi)).toBe("R");
    expect(createChatTemplate(source)).toMatchObject({ source: null, exists: true });
    expect(() => createChatTemplate(source).render(hi)).toThrow(/no default; there are tool_use, rag: .*--template/);
    expect(() => createChatTemplate(source, { name: "tols" })).toThrow(/named tols; there are tool_use, rag/);
    expect(() => createChatTemplate({ ...source, namedTemplates: {} }, { name: "x" })).toThrow(/no chat template/);
  });
});

describe("bad conversations and templates", () => {
  test("a missing template says to give a prompt", () => {
    expect(() => template(null).render(hi)).toThrow(
      expect.objectContaining({ code: "bad-template", message: expect.stringContaining("prompt") }),
    );
  });

  test("a template's own complaint reaches the user", () => {
    expect(() => rendered("{{ raise_exception('Roles must alternate') }}")).toThrow(
      expect.objectContaining({ code: "bad-input", message: expect.stringContaining("Roles must alternate") }),
    );
  });

  test.each([[[]], [[{ role: "user" }]], [[{ role: 1, content: "x" }]], [[null]], ["Hi"]])(
    "refuses messages %j",
    (messages) => {
      expect(() => template("x").render(messages as unknown as ChatMessage[])).toThrow(
        expect.objectContaining({ code: "bad-input" }),
      );
    },
  );

  const doubling = (what: string, times: number, end: string) =>
    `{% set ns = namespace(x=${what}) %}{% for i in range(${times}) %}{% set ns.x = ${end} %}{% endfor %}`;
  const hostile: Record<string, string> = {
    "counts without end": "{% for i in range(10**12) %}{% endfor %}",
    "counts to infinity": "{% for i in range(0, 10, 0) %}{% endfor %}",
    "nests loops": "{% for i in range(10**5) %}{% for j in range(10**5) %}{{ j }}{% endfor %}{% endfor %}",
    "nests empty loops": "{% for i in range(10**5) %}{% for j in range(10**5) %}{% endfor %}{% endfor %}",
    "calls itself": "{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}",
    "doubles a string": doubling("'aa'", 200, "ns.x ~ ns.x"),
    "doubles a list": doubling("[1]", 200, "ns.x + ns.x"),
    "doubles a tree": `${doubling("[1]", 60, "[ns.x, ns.x]")}{{ ns.x }}`,
    "doubles a tree as JSON": `${doubling("[1]", 60, "[ns.x, ns.x]")}{{ ns.x | tojson }}`,
    "replaces each letter by many": `${doubling("'a'", 20, "ns.x ~ ns.x")}{{ ns.x | replace('a', ns.x) }}`,
    "is too long": "x".repeat((1 << 20) + 1),
    "opens brackets": `{{ ${"(".repeat(100_000)}1${")".repeat(100_000)} }}`,
    "does not close": "{% if x %}",
    "breaks outside a loop": "{% break %}",
    "calls nothing": "{{ nothing() }}",
    "reaches for the engine": "{{ ''.constructor.constructor('return process')() }}",
  };
  test.each(Object.entries(hostile))("a template that %s ends with an error", (_, chatTemplate) => {
    const chat = template(chatTemplate, { timeoutMs: 300 });
    expect(() => chat.render(hi)).toThrow(expect.objectContaining({ code: "bad-template" }));
  });

  test("work is bounded by counting, whatever the clock says", () => {
    const chat = template("{% for i in range(10**5) %}{{ i }}{% endfor %}", { maxSteps: 1_000, timeoutMs: 60_000 });
    expect(() => chat.render(hi)).toThrow(expect.objectContaining({ message: expect.stringContaining("1000 steps") }));
  });

  test("values are bounded in size, whatever the clock says", () => {
    const message = expect.stringContaining("at most 1000 are allowed");
    for (const source of [
      doubling("'aa'", 20, "ns.x ~ ns.x"),
      doubling("[1]", 20, "ns.x + ns.x"),
      "{{ range(1001) | list }}",
    ]) {
      const chat = template(source, { maxSize: 1_000, timeoutMs: 60_000 });
      expect(() => chat.render(hi)).toThrow(expect.objectContaining({ code: "bad-template", message }));
    }
  });

  test("long conversations are no hostile ones", () => {
    const messages = Array.from({ length: 2_000 }, () => ({ role: "user", content: "x".repeat(500) }));
    expect(rendered("{% for m in messages %}{{ m['content'] }}{% endfor %}", messages).length).toBe(1_000_000);
  });

  test("any text either renders or is a bad template", () => {
    const parts = [
      "{{",
      "}}",
      "{%",
      "%}",
      " for ",
      "m",
      " in ",
      "messages",
      "endfor",
      "if",
      "|",
      "'",
      ".",
      "(",
      ")",
      "[",
      "0",
    ];
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...parts), fc.string({ maxLength: 3 })), { maxLength: 12 }),
        (pieces) => {
          try {
            expect(typeof rendered(pieces.join(""))).toBe("string");
          } catch (error) {
            expect(error).toMatchObject({ name: "CllmError", code: "bad-template" });
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
