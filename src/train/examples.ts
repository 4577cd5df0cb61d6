/**
 * Examples before a run: which fit, and which are set aside to measure on. Knows no text and no files.
 */
import { CllmError } from "../error.ts";
import { hash } from "../hash.ts";
import type { Example } from "./objectives.ts";
import type { TrainSettings } from "./settings.ts";

/** Prompt and completion, without the last token, which nothing is learned after. */
const sizeOf = ({ promptIds, completionIds }: Example): number => promptIds.length + completionIds.length - 1;

/**
 * The examples that fit the context and, with their noisy points, a sequence. Throws `bad-input` where there is none, and for
 * an example without a prompt.
 */
export function exampleLengths(
  examples: readonly Example[],
  { objective, points, consistency, sequenceLength, pointsPerExample, blockSize }: TrainSettings,
  contextLength: number,
): { usable: Example[]; tooLong: number } {
  if (examples.length === 0)
    throw new CllmError("bad-input", "there are no examples to train on: the data set is empty");
  const empty = examples.findIndex(
    ({ promptIds, completionIds }) => promptIds.length === 0 || completionIds.length === 0,
  );
  if (empty >= 0)
    throw new CllmError(
      "bad-input",
      `example ${empty} has no ${examples[empty]?.promptIds.length === 0 ? "prompt" : "answer"}`,
    );
  const segments = points === "stored" && consistency === "local" ? 2 : 1; // a point's successor stands beside it
  const noisy = ({ completionIds }: Example): number =>
    objective === "ar" ? 0 : segments * pointsPerExample * Math.min(blockSize, completionIds.length);
  const fits = (example: Example): boolean => {
    const size = sizeOf(example);
    return size <= contextLength && size + noisy(example) <= sequenceLength;
  };
  const usable = examples.filter(fits);
  if (usable.length > 0) return { usable, tooLong: examples.length - usable.length };
  const shortest = examples.reduce(
    (least, example) => Math.min(least, sizeOf(example) + noisy(example)),
    Number.POSITIVE_INFINITY,
  );
  throw new CllmError(
    "bad-input",
    `no example fits: the shortest takes ${shortest} tokens, a sequence has ${sequenceLength} and the context ` +
      `${contextLength}; raise the sequence length`,
  );
}

/**
 * Sets `count` examples aside, or the few more that the last group takes with it, of at most half of the groups. The seed chooses
 * the groups.
 */
export function splitExamples(
  examples: readonly Example[],
  count: number,
  seed: number,
): { training: Example[]; heldOut: Example[] } {
  const groups = new Map<unknown, Example[]>();
  for (const example of examples) {
    const key = example.group ?? example; // without a group, one of its own
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [example]);
    else group.push(example);
  }
  const order = [...groups.values()]
    .map((group, index) => ({ group, key: hash(seed, index, 7) }))
    .sort((a, b) => a.key - b.key);
  const aside = new Set<Example>();
  for (const { group } of order.slice(0, Math.floor(order.length / 2))) {
    if (aside.size >= count) break;
    for (const example of group) aside.add(example);
  }
  return {
    training: examples.filter((example) => !aside.has(example)),
    heldOut: examples.filter((example) => aside.has(example)),
  };
}
