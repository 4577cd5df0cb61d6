/** A task with some of its questions. Knows none of the tasks. */
import { hash } from "../hash.ts";
import type { Task, TaskExample } from "./task.ts";

/**
 * So many of a task's questions, from all over its data, in its order. Which ones depends on their ids alone, so that every
 * evaluation of the same size asks the same, and a larger one asks them too.
 */
export function sampleOf<E extends TaskExample>(task: Task<E>, count: number): Task<E> {
  const drawn = task.examples
    .map((example, index) => ({ index, order: hash(...new TextEncoder().encode(example.id)) }))
    .sort((a, b) => a.order - b.order || a.index - b.index)
    .slice(0, count);
  const indices = new Set(drawn.map(({ index }) => index));
  return {
    name: task.name,
    settings: { ...task.settings, sample: count },
    examples: task.examples.filter((_, index) => indices.has(index)),
    grade: (example, answers) => task.grade(example, answers),
    [Symbol.asyncDispose]: () => task[Symbol.asyncDispose](),
  };
}
