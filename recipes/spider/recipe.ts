/** SmolLM2-135M as a CLLM for Spider: `npm run recipe -- spider`. Sees the training split only. */
import { join } from "node:path";
import { readBytes } from "../../src/files/binary-file.ts";
import { hash } from "../../src/hash.ts";
import { readSchemas, type SpiderSchema } from "../../src/tasks/spider/schema.ts";
import { type SpiderExample, spider, spiderPrompt } from "../../src/tasks/spider/spider.ts";
import { MAX_DATABASE_BYTES, openSqlite, type Sqlite } from "../../src/tasks/sqlite.ts";
import { adapterRecipe } from "../adapter.ts";
import type { Example } from "../examples.ts";
import type { Recipe } from "../steps.ts";
import { canonicalSql } from "./canonical-sql.ts";

const limits = { timeoutMs: 20_000 };
/** Neighbouring questions that are trained beside each other, behind one schema. */
export const GROUP = 8;
/** Letters of a schema from which on tables that no question of the group needs are left out: some 200 tokens. */
const SCHEMA_LETTERS = 600;

/** Prompts with the group's own cut of the schema, and answers in canonical form. */
export async function readData(dataDir: string): Promise<Example[]> {
  await using task = await spider({ dataDir, split: "train" });
  const schemas = await readSchemas(join(dataDir, "spider/tables.json"));
  const examples: Example[] = [];
  for (let from = 0, to: number; from < task.examples.length; from = to) {
    const name = task.examples[from]?.database as string;
    to = from + 1;
    while (task.examples[to]?.database === name) to++;
    using database = await openSqlite(
      await readBytes(join(dataDir, `spider/database/${name}/${name}.sqlite`), MAX_DATABASE_BYTES),
    );
    const schema = schemas.get(name) as SpiderSchema;
    for (let at = from, end: number; at < to; at = end) {
      end = Math.min(to, at + GROUP - (at % GROUP));
      const group = task.examples.slice(at, end);
      const shown = cut(schema, group, at);
      for (const { id, reference, question } of group) {
        const answer = await canonical(database, reference, schema);
        examples.push({ id, prompt: spiderPrompt("default", shown, question), answer: ` ${answer}` });
      }
    }
  }
  return examples;
}

/** The tables that a group's queries name, and others, drawn by its place, while there is room. */
function cut({ tables, foreignKeys }: SpiderSchema, group: readonly SpiderExample[], place: number): SpiderSchema {
  const words = new Set(group.flatMap(({ reference }) => reference.toLowerCase().match(/\w+/g) ?? []));
  const kept = new Set(tables.filter(({ name }) => words.has(name.toLowerCase())));
  const letters = (): number => Array.from(kept, (table) => JSON.stringify(table).length).reduce((a, b) => a + b, 0);
  const others = tables.map((table, index) => ({ table, order: hash(place, index) })).sort((a, b) => a.order - b.order);
  for (const { table } of others) if (letters() + JSON.stringify(table).length <= SCHEMA_LETTERS) kept.add(table);
  const has = (column: string): boolean => Array.from(kept).some(({ name }) => column.startsWith(`${name}.`));
  return {
    tables: tables.filter((table) => kept.has(table)),
    foreignKeys: foreignKeys.filter(([from, to]) => has(from) && has(to)),
  };
}

/** The query in canonical form, or as it is where that gives other rows or cannot be made. */
async function canonical(database: Sqlite, query: string, schema: SpiderSchema): Promise<string> {
  const written = canonicalSql(query, schema);
  if (written !== null) {
    const [one, other] = [await database.query(query, limits), await database.query(written, limits)];
    if (one.ok && other.ok && JSON.stringify(one.rows) === JSON.stringify(other.rows)) return written;
  }
  return query.replaceAll(/\s+/g, " ").trim();
}

export const recipe: Recipe = adapterRecipe({
  task: "spider",
  asking: [],
  readData,
  scale: {
    target: 2100,
    own: { steps: 2700, learningRate: "1e-3", points: 8, arWeight: 2 },
    gold: { steps: 2500, learningRate: "6e-4", points: 8, arWeight: 2 },
    ...{ mean: 1, collected: 2400, asked: null, sequence: 512 },
  },
  answerTokens: 128,
  keepTogether: GROUP,
});
