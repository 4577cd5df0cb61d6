/** What of a text is its answer: drafts go, and code is found behind any fence. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { codeBlocks, dedent, finalAnswer } from "../../src/tasks/answer-text.ts";

describe("the answer", () => {
  test("is what stands behind the last end of a draft, else all of it", () => {
    const text = fc.string().filter((some) => !/[<[]/.test(some));
    fc.assert(
      fc.property(text, text, fc.constantFrom("think", "thinking", "THINK", "seed:think"), (draft, answer, name) => {
        expect(finalAnswer(answer)).toBe(answer);
        expect(finalAnswer(`<${name}>${draft}</${name}>${answer}`).trim()).toBe(answer.trim());
        expect(finalAnswer(`${draft}</think>${draft}</${name}>\n\n${answer}`).trim()).toBe(answer.trim());
        expect(finalAnswer(`\n<${name}>${draft}`)).toBe("");
      }),
    );
  });

  test("keeps the indentation of its first line", () => {
    expect(finalAnswer("<think>a</think>\n \r\n    return 1\r\n")).toBe("    return 1\r\n");
  });
});

describe("blocks of code", () => {
  const code = fc
    .array(fc.string({ unit: fc.constantFrom("a", "(", ")", " ", "\t", "'", "#", "=") }), {
      minLength: 1,
      maxLength: 5,
    })
    .map((lines) => lines.join("\n"));

  test("are found with their language behind any fence, any indentation and any end of line", () => {
    const fence = fc.constantFrom("```", "````", "~~~", "~~~~~");
    const end = fc.constantFrom("\n", "\r\n", "\r");
    fc.assert(
      fc.property(
        code,
        fence,
        fc.constantFrom("", "   ", "\t"),
        fc.boolean(),
        end,
        (text, mark, indent, closed, eol) => {
          const fenced = `${mark}Python3 title="x"\n${text}\n${closed ? mark : ""}`;
          const whole = `Prose.\n${fenced.replace(/^/gm, indent)}`;
          const [block, ...more] = codeBlocks(whole.replaceAll("\n", eol));
          expect(more).toEqual([]);
          expect(block!.language).toBe("python3");
          expect(block!.code.trimEnd()).toBe(text.trimEnd());
        },
      ),
    );
  });

  test("stand in order, and a longer fence holds a shorter one", () => {
    expect(codeBlocks("```a\n1\n```\ntext\n~~~\n2\n~~~\n````md\n```\n3\n```\n````")).toEqual([
      { language: "a", code: "1" },
      { language: "", code: "2" },
      { language: "md", code: "```\n3\n```" },
    ]);
    expect(codeBlocks("Use ```sql SELECT 1``` or ```f(x) + 1```, not `x`.")).toEqual([
      { language: "sql", code: "SELECT 1" },
      { language: "", code: "f(x) + 1" },
    ]);
    expect(codeBlocks("no code at all")).toEqual([]);
  });
});

test("an indentation that all lines share goes", () => {
  expect(dedent("  a\n\n    b\n  c")).toBe("a\n\n  b\nc");
  expect(dedent("a\n  b")).toBe("a\n  b");
  expect(dedent("")).toBe("");
});
