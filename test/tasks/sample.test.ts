/** Samples of a task: from all over it, always the same, and each a part of every larger one. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { sampleOf } from "../../src/tasks/sample.ts";
import { oneTurn, type Task } from "../../src/tasks/task.ts";

const taskOf = (ids: readonly string[]): Task => ({
  name: "ids",
  settings: { split: "all" },
  examples: ids.map((id) => ({
    ...{ id, where: id, category: "", reference: null, stop: [], maxNewTokens: 1 },
    ...oneTurn("default", id),
  })),
  grade: async ({ id }) => ({ verdict: "right", detail: id }),
  [Symbol.asyncDispose]: async () => {},
});
const idsOf = ({ examples }: Task): string[] => examples.map(({ id }) => id);

test("is the same each time, in the task's order, and part of a larger one", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 40 }), fc.nat(50), fc.nat(50), (ids, a, b) => {
      const [few, many] = [Math.min(a, b) + 1, Math.max(a, b) + 1];
      const task = taskOf(ids);
      const [small, large] = [idsOf(sampleOf(task, few)), idsOf(sampleOf(task, many))];
      expect(small).toHaveLength(Math.min(few, ids.length));
      expect(idsOf(sampleOf(task, few))).toEqual(small);
      expect(small).toEqual(ids.filter((id) => small.includes(id)));
      expect(large).toEqual(expect.arrayContaining(small));
    }),
  );
});

test("comes from all over, and says so in its settings", () => {
  const sample = sampleOf(taskOf(Array.from({ length: 400 }, (_, i) => `dev/${i}`)), 100);
  const early = idsOf(sample).filter((id) => Number(id.slice(4)) < 200).length;
  expect(early).toBeGreaterThan(30);
  expect(early).toBeLessThan(70);
  expect(sample.settings).toEqual({ split: "all", sample: 100 });
});
