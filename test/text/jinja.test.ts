/**
 * The template engine writes what Jinja2 writes, as recorded by `fixtures/make-jinja.py`; nothing of JavaScript shows
 * through, and whatever a template does ends within its limits.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TemplateLimitError, type TemplateLimits } from "../../src/text/jinja/budget.ts";
import { JinjaError } from "../../src/text/jinja/error.ts";
import { parseTemplate } from "../../src/text/jinja/template.ts";
import { strftime } from "../../src/text/strftime.ts";

interface Case {
  readonly template: string;
  readonly output?: string;
  readonly error?: string;
}
interface Fixture {
  readonly "made with": string;
  readonly variables: Record<string, unknown>;
  readonly cases: readonly Case[];
  readonly dates: readonly { readonly date: string; readonly format: string; readonly output: string }[];
}
const fixture = JSON.parse(readFileSync(join(import.meta.dirname, "fixtures/jinja.json"), "utf8")) as Fixture;

const functions = {
  raise_exception: (reason: string): never => {
    throw new JinjaError("runtime", reason);
  },
};

function render(template: string, variables: Record<string, unknown> = {}, limits: TemplateLimits = {}): string {
  return parseTemplate(template, limits).render(variables, functions);
}

describe(`what ${fixture["made with"]} writes`, () => {
  const written = fixture.cases.filter((one) => one.output !== undefined);
  const refused = fixture.cases.filter((one) => one.error !== undefined);

  test("is enough to compare", () => {
    expect([written.length > 1000, refused.length > 200, fixture.dates.length > 90]).toEqual([true, true, true]);
  });

  test.each(written)("is written: $template", ({ template, output }) => {
    expect(render(template, fixture.variables)).toBe(output);
  });

  test.each(refused)("is refused: $template ($error)", ({ template }) => {
    expect(() => render(template, fixture.variables)).toThrow(JinjaError);
  });

  test("dates too, field by field", () => {
    const ours = fixture.dates.map((one) => ({ ...one, output: strftime(new Date(one.date), one.format) }));
    expect(ours).toEqual(fixture.dates);
  });
});

describe("values", () => {
  const json = fc.jsonValue({ noUnicodeString: false }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);

  test("of variables come out as JSON again", () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(JSON.parse(render("{{ v | tojson }}", { v: value }))).toEqual(value);
      }),
    );
  });

  test("are equal to themselves and to their copies, and are found in a list of them", () => {
    const template = "{{ a == b }} {{ a in [b] }} {{ [a] == [b] }} {{ {'k': a} == {'k': b} }} {{ a != b }}";
    fc.assert(
      fc.property(json, (value) => {
        expect(render(template, { a: value, b: structuredClone(value) })).toBe("True True True True False");
      }),
    );
  });

  test("that are whole numbers follow Python's laws of division and never lose a digit", () => {
    const whole = fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n });
    fc.assert(
      fc.property(whole, whole, (a, b) => {
        fc.pre(b !== 0n);
        const [quotient, rest] = render(`{{ (${a}) // (${b}) }} {{ (${a}) % (${b}) }}`).split(" ").map(BigInt);
        expect(quotient! * b + rest!).toBe(a);
        expect(rest === 0n || rest! < 0n === b < 0n).toBe(true);
        expect(render(`{{ (${a}) * (${b}) - (${a}) }}`)).toBe(String(a * b - a));
      }),
    );
  });

  test("that are floats are read back as the same number", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (x) => {
        expect(Number(render("{{ x * 1.0 }}", { x })) === x).toBe(true);
      }),
    );
  });

  test("that are texts are split and joined without loss, and reversed twice are the same", () => {
    const text = fc.string({ unit: "grapheme" });
    fc.assert(
      fc.property(text, fc.string({ unit: "grapheme", minLength: 1, maxLength: 3 }), (t, cut) => {
        expect(render("{{ cut.join(t.split(cut)) }}|{{ t[::-1][::-1] }}|{{ t|list|join }}", { t, cut })).toBe(
          `${t}|${t}|${t}`,
        );
        expect(render("{{ t.find(cut) == -1 }}", { t, cut })).toBe(t.includes(cut) ? "False" : "True");
      }),
    );
  });

  test("that are long are found in linear time, wherever they are", () => {
    const t = `${"a".repeat(100_000)}b${"a".repeat(70_000)}`;
    const cut = `b${"a".repeat(60_000)}`;
    expect(render("{{ t.find(cut) }} {{ cut ~ 'c' in t }} {{ t.count(cut) }}", { t, cut })).toBe("100000 False 1");
  });
});

describe("a template", () => {
  const double = (what: string, times: number, end: string) =>
    `{% set ns = namespace(x=${what}) %}{% for i in range(${times}) %}{% set ns.x = ${end} %}{% endfor %}`;
  const hostile: Record<string, string> = {
    "writes millions of digits": "{{ 10 ** 2000000 }}",
    "multiplies its way there": `${double("10", 40, "ns.x * ns.x")}{{ ns.x }}`,
    "shifts a number out": "{{ (2 ** 30000) ** 30000 }}",
    "writes many texts": "{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}",
    "writes what it wrote": `${double("'ab'", 60, "ns.x ~ ns.x")}{{ ns.x }}`,
    "repeats a text": "{{ 'x' * 10 ** 12 }}",
    "repeats a list": "{{ [1] * 10 ** 9 }}",
    "fills a text up": "{{ 'x'.center(10 ** 10) }}",
    "fills a format up": "{{ '%1000000000d' % 1 }}",
    "asks for a precision": "{{ '%.1000000000f' % 1 }}",
    "fills a field up": "{{ '{:1000000000}'.format(1) }}",
    "indents a lot": `${double("'\\n'", 20, "ns.x ~ ns.x")}{{ ns.x | indent(10 ** 6, blank=true) }}`,
    "doubles a tree": `${double("[1]", 60, "[ns.x, ns.x]")}{{ ns.x }}`,
    "doubles a tree as JSON": `${double("[1]", 60, "[ns.x, ns.x]")}{{ ns.x | tojson }}`,
    "compares doubled trees": `${double("[1]", 60, "[ns.x, ns.x]")}{% set a = ns.x %}${double("[1]", 60, "[ns.x, ns.x]")}{{ ns.x == a }}`,
    "builds a deep tree": `${double("[1]", 90000, "[ns.x]")}{{ ns.x }}`,
    "sorts and sorts": "{% for i in range(1000) %}{{ range(100000) | sort(reverse=true) | first }}{% endfor %}",
    "replaces each letter by many": `${double("'a'", 20, "ns.x ~ ns.x")}{{ ns.x | replace('a', ns.x) }}`,
    "loops in a loop": "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "writes its block in itself": "{% block a %}{{ self.a() }}{% endblock %}",
    "recurses in a loop": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "strips tags of tags": `${double("'<>'", 20, "ns.x ~ ns.x")}{{ ns.x | striptags }}`,
    "opens brackets": `{{ ${"(".repeat(100_000)}1${")".repeat(100_000)} }}`,
    "denies a lot": `{{ ${"not ".repeat(100_000)}1 }}`,
    "is one long sum": `{{ 1${" + 1".repeat(200_000)} }}`,
    "opens blocks": "{% if 1 %}".repeat(50_000),
    "is too long": "x".repeat((1 << 20) + 1),
  };

  test.each(Object.entries(hostile))("that %s ends within its limits", (_, template) => {
    expect(() => render(template, {}, { timeoutMs: 500 })).toThrow(
      expect.toSatisfy((error) => error instanceof TemplateLimitError || error instanceof JinjaError),
    );
  });

  test("is bounded by counting, whatever the clock says", () => {
    const limits = { maxSteps: 1_000, maxSize: 1_000, timeoutMs: 1e9 };
    expect(() => render("{% for i in range(10**5) %}{{ i }}{% endfor %}", {}, limits)).toThrow("1000 steps");
    const sizes = ["{{ 'x' * 1001 }}", "{% for i in range(300) %}{{ 'xxxx' }}{% endfor %}", "{{ [0] * 1001 }}"];
    for (const template of sizes) {
      expect(() => render(template, {}, { ...limits, maxSteps: 1e6 })).toThrow("at most 1000 are allowed");
    }
  });

  test("that is slow and not long is stopped by the clock", () => {
    const slow = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}";
    expect(() => render(slow, {}, { timeoutMs: 20, maxSteps: 1e15 })).toThrow("20 ms");
  });

  test("that is blank for a megabyte, or has as many tags, is read at once", () => {
    expect(render(`x${" ".repeat(1_000_000)}x`).length).toBe(1_000_002);
    expect(render("{% if 0 %}{% endif %}".repeat(45_000))).toBe("");
    expect(render(`{{ '${"%(".repeat(200_000)}' is string }}`)).toBe("True");
    expect(render("{% macro m(a) %}{% endmacro %}".repeat(30_000))).toBe("");
  });

  test("gets no functions, and no variables that nest without end", () => {
    expect(() => render("x", { f: () => 1 })).toThrow("a variable is a function");
    const circle: Record<string, unknown> = {};
    circle["self"] = circle;
    expect(() => render("x", { circle })).toThrow(TemplateLimitError);
  });

  test("reaches nothing of JavaScript by any name", () => {
    const names = Reflect.ownKeys(Object.prototype)
      .concat(Reflect.ownKeys(Function.prototype), Reflect.ownKeys(Array.prototype), Reflect.ownKeys(Map.prototype))
      .filter((name): name is string => typeof name === "string");
    const python = [
      "index",
      "copy",
      "get",
      "keys",
      "values",
      "items",
      "pop",
      "reverse",
      "sort",
      "clear",
      "name",
      "arguments",
      "caller",
    ];
    const owners = [
      "''",
      "[]",
      "{}",
      "1",
      "range(1)",
      "range",
      "namespace()",
      "''.upper",
      "('a'|safe)",
      "absent_of_all",
    ];
    for (const name of names.filter((one) => !python.includes(one))) {
      for (const owner of owners.slice(0, -1)) {
        const found = render(`{{ (${owner}).${name} is defined }}{{ (${owner})['${name}'] is defined }}`);
        const isPython = render(`{{ ''.${name} is defined }}`) === "True"; // split, replace, ...
        if (!isPython) expect([owner, name, found]).toEqual([owner, name, "FalseFalse"]);
      }
    }
    expect(render("{{ constructor }}{{ __proto__ }}{{ toString }}{{ globalThis }}{{ process }}")).toBe("");
    expect(() => render("{{ 1 | constructor }}")).toThrow("no filter");
    expect(() => render("{{ 1 is toString }}")).toThrow("no test");
  });

  test("of any text is rendered or refused", () => {
    const pieces = [
      "{{",
      "}}",
      "{%",
      "%}",
      "{#",
      "#}",
      "-",
      " for ",
      "x",
      " in ",
      "endfor",
      "if",
      "raw",
      "set",
      "macro",
    ].concat([
      "|",
      "'",
      ".",
      "(",
      ")",
      "[",
      "]",
      "{",
      "}",
      ":",
      "0",
      "**",
      "%",
      "~",
      " is ",
      " not ",
      "\n",
      "\\",
      "loop",
      "😀",
    ]);
    const piece = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...pieces) }, fc.string({ maxLength: 3 }));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 15 }), (parts) => {
        try {
          expect(typeof render(parts.join(""), { x: ["a", 1] })).toBe("string");
        } catch (error) {
          expect(error instanceof JinjaError || error instanceof TemplateLimitError).toBe(true);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

test("the engine needs nothing of Node and nothing outside of its folder", () => {
  const folder = join(import.meta.dirname, "../../src/text/jinja");
  const imports = readdirSync(folder).flatMap((name) =>
    [...readFileSync(join(folder, name), "utf8").matchAll(/^(?:import|\}) .*from "([^"]+)";$/gm)].map(
      ([, from]) => from!,
    ),
  );
  expect(imports.length).toBeGreaterThan(50);
  expect(imports.filter((from) => !/^\.\/[a-z-]+\.ts$/.test(from))).toEqual([]);
});
