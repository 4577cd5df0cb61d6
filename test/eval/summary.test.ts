/** What a summary says of runs whose figures are known by hand, and of runs that have none. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contendersOf } from "../../src/eval/contenders.ts";
import { PUBLISHED } from "../../src/eval/published.ts";
import { summarizeEvaluation } from "../../src/eval/summary.ts";
import { TASKS } from "../../src/tasks/open-task.ts";
import { VERDICTS } from "../../src/tasks/task.ts";
import { type MadeUpAnswer, madeUpEvaluation } from "./made-up.ts";

const contenders = contendersOf(["target", "cllm"], ["jacobi"], [16]);
const summarize = (...given: readonly (readonly MadeUpAnswer[])[]) =>
  summarizeEvaluation(madeUpEvaluation(contenders, given), (_, id) => `t${id}`);
const times = <T>(count: number, of: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => of(i));

test("scores, speeds and comparisons of a run that was reckoned by hand", () => {
  const right = (is: boolean): MadeUpAnswer["verdict"] => (is ? "right" : "wrong");
  const slow = times(20, (i): MadeUpAnswer => ({ verdict: right(i < 12), accepted: [1, 1, 1, 1] })); // 4 in 40 ms
  const fast = times(20, (i): MadeUpAnswer => ({ verdict: right(i >= 2 && i < 12), accepted: [3, 1], token: 8 })); // 4 in 20 ms
  const { contenders: found, target, questions } = summarize(slow, slow, fast, fast);
  expect([target, questions]).toEqual(["target, ar", 20]);
  expect(found[0]).toMatchObject({
    ...{ questions: 20, verdicts: { right: 12, wrong: 8 }, newTokens: 100, tokensPerForward: 1, acceptedPerPass: [80] },
    ...{ tokensPerSecond: { q1: 100, median: 100, q3: 100 }, differing: 0, againstAr: null, againstTarget: null },
    score: { right: 12, total: 20, estimate: 0.6 },
    speedup: { estimate: 1, low: 1, high: 1 },
  });
  expect(found[3]).toMatchObject({
    ...{
      name: "cllm, jacobi 16",
      verdicts: { right: 10, wrong: 10 },
      tokensPerForward: 2,
      acceptedPerPass: [20, 0, 20],
    },
    speedup: { estimate: 2, low: 2, high: 2 },
    speedupOverAr: { estimate: 1 },
    differing: 0, // from its own model's, not from the target's
    againstAr: { other: "cllm, ar", onlyFirst: 0, onlyOther: 0, p: 1 },
    againstTarget: { other: "target, ar", questions: 20, onlyFirst: 0, onlyOther: 2, p: 0.5 },
  });
  expect(found[3]!.againstTarget!.difference.estimate).toBeCloseTo(-0.1, 12);
});

test("answers that the budget ended are counted, and there are figures without them", () => {
  const short: MadeUpAnswer = { verdict: "right", accepted: [1, 1] };
  const slow: MadeUpAnswer[] = [short, { ...short, cutOff: true }, { verdict: "too-long" }];
  const fast: MadeUpAnswer[] = [
    { ...short, accepted: [2] },
    { verdict: "wrong", accepted: [8, 8], cutOff: true }, // round and round
    { verdict: "too-long" },
  ];
  const { contenders: found, endedQuestions } = summarize(slow, slow, fast, fast);
  expect(endedQuestions).toBe(1);
  expect(found.map(({ cutOff }) => cutOff)).toEqual([1, 1, 1, 1]);
  expect(found[3]).toMatchObject({ tokensPerForward: 6, ended: { tokensPerForward: 2, speedup: { estimate: 2 } } });
  const never = slow.map((answer) => ({ ...answer, cutOff: true }));
  const alone = summarize(never, never, fast, fast);
  expect(alone.endedQuestions).toBe(0);
  expect(alone.contenders[3]!.ended).toEqual({ tokensPerForward: null, speedup: null });
});

test("an answer that is not that of one token at a time is counted", () => {
  const plain: MadeUpAnswer[] = times(3, () => ({ verdict: "right", accepted: [1] }));
  const other = plain.map((answer, i) => (i === 1 ? { ...answer, token: 9 } : answer));
  expect(summarize(plain, other, plain, plain).contenders.map(({ differing }) => differing)).toEqual([0, 1, 0, 0]);
});

describe("a score", () => {
  const scoreOf = (...verdicts: MadeUpAnswer["verdict"][]) => {
    const own = verdicts.map(
      (verdict): MadeUpAnswer => ({ verdict, measures: verdict === "rated" ? { rating: 6 } : {} }),
    );
    return summarize(own, own, own, own).contenders[0]!;
  };

  test("counts everything that is not right as not right", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...VERDICTS.filter((name) => name !== "rated")), { minLength: 1 }),
        (verdicts) => {
          const right = verdicts.filter((verdict) => verdict === "right").length;
          const { score, verdicts: counts } = scoreOf("right", ...verdicts);
          expect(score).toMatchObject({ right: right + 1, total: verdicts.length + 1 });
          expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(verdicts.length + 1);
        },
      ),
      { numRuns: 20 },
    );
  });

  test("is none where nothing was graded, and a judge's rating where there is one", () => {
    expect(scoreOf("ungraded", "ungraded", "no-answer")).toMatchObject({ score: null, rating: null, againstAr: null });
    expect(scoreOf("rated", "judge-silent", "no-answer")).toMatchObject({
      score: null,
      rating: { estimate: 6, rated: 1 },
    });
    expect(scoreOf("no-answer", "too-long").score).toMatchObject({ right: 0, total: 2 });
    expect(scoreOf("error").score).toMatchObject({ right: 0, total: 1 });
  });
});

test("questions that not everybody has answered are left out", () => {
  const own: MadeUpAnswer[] = times(3, () => ({ verdict: "right", accepted: [2] }));
  const evaluation = madeUpEvaluation(contenders, [own, own, own, own]);
  (evaluation.answers.get("cllm, ar") as Map<string, unknown>).delete("1");
  const { questions, contenders: found } = summarizeEvaluation(evaluation, String);
  expect(questions).toBe(2);
  for (const { score, speedup } of found) expect([score!.total, speedup!.estimate]).toEqual([2, 1]);
});

test("trajectories are measured and their collocations told as text", () => {
  const block = [
    [1, 9, 9],
    [1, 2, 3],
  ];
  const trace = {
    kind: "trajectory",
    model: "cllm",
    question: "0",
    blockSize: 3,
    completion: [1, 2, 3, 1, 2, 3],
    blocks: [block, block],
  } as const;
  const { traces } = summarizeEvaluation(
    madeUpEvaluation(contenders, [[], [], [], []], { traces: [trace] }),
    (_, id) => `t${id}`,
  );
  expect(traces).toMatchObject([{ model: "cllm", questions: 1, blocks: 2, iterationsPerBlock: 2, fastForwarded: 1.5 }]);
  expect(traces[0]!.collocations).toEqual([{ texts: ["t1", "t2"], count: 2 }]);
});

test("published speed-ups are those of their tokens per second, as far as the rounding goes", () => {
  for (const { task, source, speedup, tokensPerSecond, system } of PUBLISHED) {
    expect(TASKS).toContain(task);
    const baseline = PUBLISHED.find(
      (result) => result.task === task && result.source === source && /(^|, )AR$/.test(result.system),
    );
    if (baseline === undefined) continue; // the plot of one task does not show it
    expect(Math.abs(tokensPerSecond / baseline.tokensPerSecond - speedup), `${task} ${system}`).toBeLessThan(0.06);
  }
});
