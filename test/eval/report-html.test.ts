/** The page: whatever models, data and settings say stays text, and every run has one, also one of no or of one question. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contendersOf } from "../../src/eval/contenders.ts";
import { publishedResults } from "../../src/eval/published.ts";
import { reportHtml } from "../../src/eval/report-html.ts";
import { summarizeEvaluation } from "../../src/eval/summary.ts";
import { type MadeUpAnswer, madeUpEvaluation } from "./made-up.ts";

interface Texts {
  readonly models: readonly [string, string];
  readonly question: string;
  readonly token: string;
  readonly setting: string;
  readonly measure: string;
}

const PLAIN: Texts = { models: ["target", "cllm"], question: "q", token: "the", setting: "value", measure: "strict" };

const answers = (count: number, accepted: readonly number[], measure: string): MadeUpAnswer[] =>
  Array.from({ length: count }, (_, i) => ({
    verdict: i % 2 === 0 ? "right" : "wrong",
    accepted,
    measures: { [measure]: 1 },
  }));

function pageOf(
  texts: Texts,
  count = 3,
  task = "gsm8k",
  accepted = [
    [1, 1],
    [2, 3],
    [4, 1],
  ],
): string {
  const contenders = contendersOf(texts.models, ["jacobi"], [8, 16]);
  const block = [
    [1, 9, 9],
    [1, 2, 3],
  ];
  const blocks = [block, block];
  const traces = texts.models.map(
    (model) =>
      ({
        kind: "trajectory",
        model,
        question: texts.question,
        blockSize: 3,
        completion: [1, 2, 3, 1, 2, 3],
        blocks,
      }) as const,
  );
  const evaluation = madeUpEvaluation(
    contenders,
    contenders.map((_, i) => answers(count, accepted[i % 3]!, texts.measure)),
    { traces: count === 0 ? [] : traces, question: (index) => `${texts.question}${index}` },
  );
  const tokenText = (_: string, id: number): string => `${id}${texts.token}`;
  return reportHtml({
    ...{
      task,
      summary: summarizeEvaluation(evaluation, tokenText),
      settings: { said: texts.setting },
      traces: evaluation.traces,
    },
    ...{ tokenText, published: publishedResults(task), made: texts.setting },
  });
}

test("says what is left without answers that the budget ended, where there are such", () => {
  const contenders = contendersOf(["target", "cllm"], [], []);
  const page = (cutOff: boolean): string => {
    const answer: MadeUpAnswer = { verdict: "right", accepted: [1, 1] };
    const evaluation = madeUpEvaluation(contenders, [
      [answer, answer],
      [answer, { ...answer, cutOff }],
    ]);
    const tokenText = String;
    const summary = summarizeEvaluation(evaluation, tokenText);
    return reportHtml({
      ...{ task: "gsm8k", summary, settings: {}, traces: [] },
      ...{ tokenText, published: [], made: "now" },
    });
  };
  expect(page(false)).not.toContain("Answers that end by themselves");
  expect(page(true)).toMatch(/Answers that end by themselves[\s\S]*over the\n1 questions/);
});

const TAG = /^<(\/?)([a-z0-9]+)((?:\s+[a-zA-Z][\w-]*(?:="[^"<>]*")?)*)\s*(\/?)>/;
const VOID = ["meta", "input"];

/** The page's tags with the names of their attributes, in order. Throws for a bracket that opens none, and for unclosed ones. */
function tagsOf(html: string): string[] {
  const text = html
    .replace("<!doctype html>", "")
    .replace(/<style>[^<]*<\/style>/, "<style></style>")
    .replace(/<script>[^<]*<\/script>/, "<script></script>");
  const tags: string[] = [];
  const open: string[] = [];
  for (let at = text.indexOf("<"); at >= 0; at = text.indexOf("<", at + 1)) {
    const match = TAG.exec(text.slice(at));
    if (match === null) throw new Error(`no tag: ${text.slice(at, at + 80)}`);
    const [, close, name, attributes = "", self] = match;
    if (close) expect(open.pop()).toBe(name);
    else if (!self && !VOID.includes(name!)) open.push(name!);
    tags.push(
      `${close}${name} ${[...attributes.matchAll(/\s([a-zA-Z][\w-]*)(?:="[^"]*")?/g)].map(([, key]) => key).join()}`,
    );
  }
  expect(open).toEqual([]);
  return tags;
}

const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "<script>alert(1)</script>",
        "</style>",
        "</script>",
        "<!--",
        "]]>",
        '"',
        "'",
        "&lt;",
        "&#60;",
        "<",
      ),
      fc.constantFrom('" onload="x', "<img src=x onerror=y>", "\u202e", "\0", "\n", "\ud800", "=", "`", "${", "</svg>"),
      fc.string(),
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) => parts.join(""));

describe("hostile text", () => {
  const texts: fc.Arbitrary<Texts> = fc.record({
    models: fc.tuple(hostile, hostile).map(([one, two]) => [`1${one}`, `2${two}`] as const),
    ...{ question: hostile, token: hostile, setting: hostile, measure: hostile.map((text) => `m${text}`) },
  });
  const harmless = (text: string): string => "x".repeat([...text].length);

  test("never opens a tag, an attribute or a comment", () => {
    fc.assert(
      fc.property(texts, (given) => {
        const { models, question, token, setting, measure } = given;
        const plain: Texts = {
          models: [`1${harmless(models[0]).slice(1)}`, `2${harmless(models[1]).slice(1)}`],
          ...{
            question: harmless(question),
            token: harmless(token),
            setting: harmless(setting),
            measure: harmless(measure),
          },
        };
        expect(tagsOf(pageOf(given))).toEqual(tagsOf(pageOf(plain)));
      }),
      { numRuns: 25 },
    );
  });

  test("keeps no character that hides or turns text", () => {
    const turned = pageOf({ ...PLAIN, models: ["a\u202eb\0", "c\u200bd"], token: "\u2066" });
    expect(turned).not.toMatch(/[\u202e\0\u200b\u2066]/);
    expect(turned).toContain("a\ufffdb\ufffd");
  });
});

describe("every run has a page", () => {
  test.each<[string, number, string]>([
    ["of no question", 0, "gsm8k"],
    ["of one question", 1, "spider"],
    ["of a task without published rows", 1, "custom"],
    ["of many", 5, "humaneval"],
  ])("%s, without a figure that is none", (_, count, task) => {
    const html = pageOf(PLAIN, count, task);
    expect(html).not.toMatch(/NaN|Infinity|undefined|null/);
    tagsOf(html);
    expect(html.includes("<h2>Published</h2>")).toBe(task !== "custom");
    expect(html.includes("<h2>Speed against score</h2>")).toBe(count > 0);
  });

  test("of answers that took no decode pass", () => {
    const html = pageOf(PLAIN, 2, "gsm8k", [[], [], []]);
    expect(html).not.toMatch(/NaN|Infinity|undefined|null/);
  });
});

test("the page has no outside parts, and lets no script run but its own", () => {
  const html = pageOf(PLAIN);
  expect(html).not.toMatch(/\ssrc=|href=|url\(|@import|https?:/);
  const script = /<script>([^<]*)<\/script>/.exec(html)![1]!;
  const hash = createHash("sha256").update(script).digest("base64");
  expect(html).toContain(`content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'"`);
  expect(html.match(/<script/g)).toHaveLength(1);
});

test("points of the scatter, published and own, can be reached by keyboard and say what they are", () => {
  const html = pageOf(PLAIN);
  expect(html).toContain('tabindex="0" role="img" aria-label="cllm, jacobi 16: ');
  expect(html).toMatch(/aria-label="published: CLLM, Jacobi, 3×, score 56.4, 132.4 tokens\/s on A100 40 GB/);
});
