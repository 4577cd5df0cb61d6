/** A run's laws: every question once for every contender, the tokens of `ar` from all, and the same end however often it is killed. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { answerTurns, type EvaluatedModel } from "../../src/eval/answer.ts";
import { contendersOf } from "../../src/eval/contenders.ts";
import { ANSWERS, type Evaluation, type EvaluationOptions, runEvaluation, type Subject } from "../../src/eval/run.ts";
import { summarizeEvaluation } from "../../src/eval/summary.ts";
import type { Task, TaskExample, Verdict } from "../../src/tasks/task.ts";
import { scriptedLanguageModel } from "../generate/scripted-language-model.ts";

const root = mkdtempSync(join(tmpdir(), "cllm-eval-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;
const newFolder = (): string => join(root, String(folders++));

const subjects: readonly Subject[] = [1, 2].map((seed) => ({
  name: `model ${seed}`,
  model: scriptedLanguageModel({ seed, predictability: 0.9, contextLength: 120 }),
  identity: { weights: `w${seed}` },
}));
const contenders = contendersOf(["model 1", "model 2"], ["jacobi", "auto"], [8, 4]);

function example(id: string, prompt: string, turns = 1): TaskExample {
  return {
    ...{ id, where: `made up:${id}`, category: null, turns, reference: null, stop: ["the"], maxNewTokens: 12 },
    input: (answers) => ({ prompt: [prompt, ...answers].join(" and ") }),
  };
}

const examples = [
  example("a", "the sun"),
  example("b", "an owl", 2),
  example("c", "x".repeat(200)), // longer than the context
  example("d", "y".repeat(115)), // has room for five tokens
  example("e", "the grader fails on this"),
];

interface Graded {
  readonly task: Task;
  /** Questions in the order in which they were graded. */
  readonly graded: string[];
}

function madeUpTask(over: Partial<Task> = {}): Graded {
  const graded: string[] = [];
  const grade = async ({ id }: TaskExample, answers: readonly string[]): Promise<Verdict> => {
    graded.push(id);
    if (id === "e") throw new Error("no\nway");
    return {
      verdict: answers.join().length % 2 === 0 ? "right" : "wrong",
      detail: "by length",
      measures: { half: 0.5 },
    };
  };
  return {
    graded,
    task: { name: "made up", settings: { shots: 0 }, examples, grade, async [Symbol.asyncDispose]() {}, ...over },
  };
}

const base = { subjects, contenders, conditions: { machine: "this one" }, traced: 2 } as const;

/** Runs to the end, or until so many pieces of work are done; null then, as after a kill. */
async function run(
  options: Partial<EvaluationOptions> & { folder: string },
  most = Infinity,
): Promise<Evaluation | null> {
  const steps = runEvaluation({ task: madeUpTask().task, ...base, ...options });
  for (let count = 0; count < most; count++) {
    const { done, value } = await steps.next();
    if (done) return value;
  }
  await steps.return(undefined as never);
  return null;
}

/** All that does not depend on the clock. */
function timeless({ answers, traces }: Evaluation): unknown {
  const plain = [...answers].map(([name, own]) => [
    name,
    [...own.values()]
      .map(({ turns, ...rest }) => ({
        ...rest,
        turns: turns.map(({ prefillMs, decodeMs, accepted, ...turn }) => turn),
      }))
      .sort((a, b) => a.question.localeCompare(b.question)),
  ]);
  return { plain, traces };
}

const whole = await run({ folder: newFolder() });
const finished = whole as Evaluation;

describe("a run", () => {
  test("asks every contender every question once, and all decoders write the tokens of ar", () => {
    expect(contenders.map(({ name }) => name)).toEqual([
      ...["model 1, ar", "model 1, jacobi 4", "model 1, jacobi 8", "model 1, auto"],
      ...["model 2, ar", "model 2, jacobi 4", "model 2, jacobi 8", "model 2, auto"],
    ]);
    for (const { name, model } of contenders) {
      const own = finished.answers.get(name)!;
      expect([...own.keys()].sort()).toEqual(["a", "b", "c", "d", "e"]);
      for (const [id, answer] of own) {
        const ofAr = finished.answers.get(`${model}, ar`)!.get(id)!;
        expect(answer.turns.map(({ tokens }) => tokens)).toEqual(ofAr.turns.map(({ tokens }) => tokens));
        expect(answer.turns.map(({ text }) => text)).toEqual(ofAr.turns.map(({ text }) => text));
        expect(answer.verdict).toBe(ofAr.verdict);
      }
    }
    expect(summarizeEvaluation(finished, String).contenders.map(({ differing }) => differing)).toEqual(
      Array(8).fill(0),
    );
  });

  test("has verdicts of their own for what is too long and for a grader that fails", () => {
    const own = finished.answers.get("model 1, jacobi 8")!;
    expect(own.get("c")).toMatchObject({ verdict: "too-long", turns: [] });
    expect(own.get("d")!.turns[0]!.tokens.length).toBe(5);
    expect(own.get("e")).toMatchObject({ verdict: "ungraded", detail: "the grader failed: no way" });
    expect(own.get("b")!.turns.length).toBe(2);
  });

  test("has every contender run the question, and go on with its own conversation", async () => {
    const model = scriptedLanguageModel({ predictability: 0.9 });
    const cached: number[] = [];
    const watched: EvaluatedModel = {
      ...model,
      async generate(request) {
        const generation = await model.generate(request);
        cached.push(generation.stats.cachedTokens);
        return generation;
      },
    };
    for (const name of ["ar", "jacobi", "auto"] as const) {
      const turns = await answerTurns(watched, examples[1]!, { decoder: name, blockSize: null, name });
      const [first, second] = cached.splice(0);
      expect(first).toBe(0);
      expect(second).toBeGreaterThanOrEqual(turns[0]!.promptTokens);
    }
  });

  test("grades the same answer once", async () => {
    const { task, graded } = madeUpTask();
    await run({ folder: newFolder(), task });
    for (const id of ["a", "b", "d"]) expect(graded.filter((other) => other === id).length).toBeLessThanOrEqual(2); // models
  });

  test("traces the first answers, over their very tokens", () => {
    expect(finished.traces.map(({ model, question }) => [model, question])).toEqual([
      ...[
        ["model 1", "a"],
        ["model 1", "b"],
      ],
      ...[
        ["model 2", "a"],
        ["model 2", "b"],
      ],
    ]);
    for (const { model, question, completion, blocks } of finished.traces) {
      expect(completion).toEqual(finished.answers.get(`${model}, ar`)!.get(question)!.turns[0]!.tokens);
      expect(blocks.flatMap((points) => points.at(-1)!)).toEqual(completion);
    }
  });

  test("lets none of the contenders always go first", async () => {
    const folder = newFolder();
    await run({ folder, traced: 0 });
    const lines = readFileSync(join(folder, ANSWERS), "utf8")
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => JSON.parse(line));
    const first = lines.filter((_, index) => index % contenders.length === 0).map(({ contender }) => contender);
    expect(new Set(first).size).toBe(examples.length);
  });
});

describe("a run that is interrupted", () => {
  test("at any moment, and its last line torn anywhere, ends as if it had not been", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(30), fc.nat(2_000)), { maxLength: 4 }), async (stops) => {
        const folder = newFolder();
        for (const [steps, bytes] of stops) {
          if ((await run({ folder }, steps)) !== null || steps === 0) continue;
          const path = join(folder, ANSWERS);
          const { length } = readFileSync(path);
          truncateSync(path, Math.max(0, length - bytes));
        }
        expect(timeless((await run({ folder }))!)).toEqual(timeless(finished));
        const lines = readFileSync(join(folder, ANSWERS), "utf8").trim().split("\n").slice(1);
        const keys = lines
          .map((line) => JSON.parse(line))
          .map((r) => `${r.type} ${r.contender ?? r.model} ${r.question}`);
        expect(new Set(keys).size).toBe(keys.length);
        expect(keys.length).toBe(contenders.length * examples.length + 4);
      }),
      { numRuns: 10 },
    );
  }, 60_000);

  test("asks nothing where all is done, and counts no line twice", async () => {
    const folder = newFolder();
    await run({ folder });
    const path = join(folder, ANSWERS);
    const text = readFileSync(path, "utf8");
    appendFileSync(path, `${text.split("\n")[1]}\n`);
    const { task, graded } = madeUpTask();
    const again = await run({ folder, task }, 1); // nothing is yielded
    expect(timeless(again!)).toEqual(timeless(finished));
    expect(graded).toEqual([]);
  });

  test.each<[string, Partial<EvaluationOptions>, RegExp]>([
    ["another task's settings", { task: madeUpTask({ settings: { shots: 8 } }).task }, /task\.shots is 0, not 8/],
    [
      "fewer questions",
      { task: madeUpTask({ examples: examples.slice(1) }).task },
      /questions is 5, not 4, and 1 more/,
    ],
    [
      "other questions",
      { task: madeUpTask({ examples: [...examples.slice(0, 4), example("e", "")] }).task },
      /data is "/,
    ],
    ["another machine", { conditions: { machine: "that one" } }, /machine is "this one", not "that one"/],
    [
      "other weights",
      { subjects: [subjects[0]!, { ...subjects[1]!, identity: { weights: "w" } }] },
      /models\.1\.weights is/,
    ],
    ["fewer contenders", { contenders: contenders.slice(0, 7) }, /contenders\.7 is "model 2, auto", not unset/],
  ])("is not gone on with by %s", async (_, options, message) => {
    const folder = newFolder();
    await run({ folder }, 12);
    await expect(run({ folder, ...options })).rejects.toMatchObject({
      code: "usage",
      message: expect.stringMatching(message),
    });
    expect(timeless((await run({ folder }))!)).toEqual(timeless(finished)); // and nothing is lost by asking
  });

  test.each<[string, (text: string) => string, RegExp]>([
    ["somebody's file", () => "dear diary\n", /is no file of an evaluation/],
    ["somebody's file without an end", () => "{", /^$/],
    ["a damaged line within", (text) => text.replace('"type":"answer"', '"type":"answr"'), /answers\.jsonl:2/],
    ["half a line within", (text) => text.replace('"turns":', "\n"), /answers\.jsonl:2 is damaged/],
    [
      "another question",
      (text) => text.replace('"question":"a"', '"question":"z"'),
      /nothing beside it tells its passes/,
    ],
  ])("tells %s", async (_, damage, message) => {
    const folder = newFolder();
    await run({ folder }, 14);
    const path = join(folder, ANSWERS);
    writeFileSync(path, damage(readFileSync(path, "utf8")));
    const outcome = run({ folder });
    if (message.source === "^$") expect(await outcome).not.toBeNull();
    else await expect(outcome).rejects.toMatchObject({ code: "bad-file", message: expect.stringMatching(message) });
  });

  test("by its signal is an error that says so", async () => {
    await expect(run({ folder: newFolder(), signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
  });
});

test("two models of the same name are an error", () => {
  expect(() => contendersOf(["a", "a"], ["ar"], [16])).toThrow(/two models are called a/);
});
