/**
 * A draft adapter for the target of the model that ships: `npm run recipe -- text-to-sql-draft --model runs/text-to-sql/ar`, after
 * `npm run model:text-to-sql`. Questions are drawn, as those that the target was trained on.
 */
import { PAD } from "../../src/recipes/stages.ts";
import { textToSqlExample, textToSqlExamples } from "../../src/tasks/text-to-sql/example.ts";
import { textToSqlCompletion } from "../../src/tasks/text-to-sql/schema.ts";
import { draftRecipe } from "../draft.ts";
import type { Recipe } from "../steps.ts";

/** Questions behind one schema. */
const GROUP = 4;
const SCHEMAS = 1500;
/** Training drew schemas from 0 on, as many as there were steps for. */
const FIRST = 2 ** 31;
const HELD_OUT = 200;

export const recipe: Recipe = draftRecipe({
  task: "custom",
  asking: ["--grader", "exact"],
  readData: async () =>
    Array.from({ length: SCHEMAS }, (_, schema) => textToSqlExamples(FIRST + schema, "train", GROUP)).flatMap(
      (group, schema) =>
        group.map(({ prompt, sql }, i) => ({ id: `${schema}/${i}`, prompt, answer: textToSqlCompletion(sql) })),
    ),
  questions: () =>
    Array.from({ length: HELD_OUT }, (_, i) => {
      const { prompt, sql } = textToSqlExample(2000 + i, "held-out");
      return { prompt, reference: sql };
    }),
  adapter: null,
  base: "text-to-sql's target",
  gap: PAD,
  chat: false,
  answerTokens: 96,
  keepTogether: GROUP,
  scale: {
    ...{ collected: GROUP * SCHEMAS, steps: 4000, learningRate: "2e-3", rank: 16 },
    ...{ points: 8, blockSize: 12, sequence: 512, asked: null },
  },
});
