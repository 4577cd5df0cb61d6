/** Tasks by name: what is not known is an error, and what every task promises to whoever runs it. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openTask, TASKS } from "../../src/tasks/open-task.ts";
import { cutAtStop, excerpt, VERDICTS } from "../../src/tasks/task.ts";
import { hasSharedData, SHARED_DATA, skipNote } from "./shared-data.ts";

test.each<[string, object, string, RegExp]>([
  ["gsm8", { dataDir: "x" }, "not-found", /no task gsm8; did you mean gsm8k\?/],
  ["constructor", { dataDir: "x" }, "not-found", /there are gsm8k, spider/],
  ["spider", {}, "usage", /spider needs dataDir: .*CLLM_DATA/],
  ["custom", { dataDir: "x" }, "usage", /custom needs path/],
  ["spider", { dataDir: "x", shots: 3 }, "usage", /spider takes no shots; it takes dataDir/],
  ["gsm8k", { dataDir: "x", isolation: "process" }, "usage", /gsm8k takes no isolation/],
  ["spider", { dataDir: "x", shots: undefined }, "not-found", /has none of spider\/dev\.json/],
])("%s with %j is an error", async (name, options, code, message) => {
  await expect(openTask(name, options)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
});

describe.skipIf(!hasSharedData)(`every task ${skipNote}`, () => {
  test.each(TASKS.filter((name) => name !== "custom"))(
    "%s has prompts, settings, and a verdict for anything",
    async (name) => {
      await using task = await openTask(name, { dataDir: SHARED_DATA, limit: 3 });
      expect(task.name).toBe(name);
      expect(task.examples.length).toBe(3);
      expect(task.settings).toMatchObject({ promptFormat: "default" });
      for (const example of task.examples) {
        const answers: string[] = [];
        while (answers.length < example.turns) {
          const { prompt, messages } = example.input(answers);
          expect((prompt === undefined) !== (messages === undefined)).toBe(true);
          answers.push("I do not know; \0 ``` [[ {{ ' \" #### \ud800");
        }
        for (const given of [answers, [], answers.map(() => "")]) {
          const { verdict, detail } = await task.grade(example, given);
          expect(VERDICTS).toContain(verdict);
          expect(["right", "rated"]).not.toContain(verdict);
          expect(detail).not.toBe("");
        }
      }
    },
  );
});

test.skipIf(!hasSharedData)(`no text whatever is an error, or right ${skipNote}`, async () => {
  const word = fc.constantFrom(
    "SELECT",
    " ",
    "#### ",
    "*",
    "FROM",
    "singer",
    "(",
    ")",
    ";",
    "'",
    "--",
    "\n",
    "```sql\n",
    "0",
  );
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: "binary" }),
    fc.array(word).map((words) => words.join("")),
  );
  for (const name of ["gsm8k", "spider"]) {
    await using task = await openTask(name, { dataDir: SHARED_DATA, limit: 1 });
    const [example] = task.examples;
    await fc.assert(
      fc.asyncProperty(text, async (answer) => {
        const { verdict, detail } = await task.grade(example!, [answer]);
        expect(verdict).not.toBe("right");
        expect(VERDICTS).toContain(verdict);
        expect(detail).not.toContain("\n");
      }),
      { numRuns: 50 },
    );
  }
});

test("an answer ends at the first of its stop strings", () => {
  expect(cutAtStop("a\nQuestion: b</s>", ["</s>", "\nQuestion:"])).toBe("a");
  expect(cutAtStop("a", [])).toBe("a");
  expect(excerpt(" a\n\nb ", 2)).toBe("a ...");
});
