/** The text-to-SQL task: its queries run and answer, questions determine them, and splits share no reserved word. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gradeSql } from "../../src/tasks/sql-grader.ts";
import { openSqlite } from "../../src/tasks/sqlite.ts";
import { COLUMNS, type ColumnChoice } from "../../src/tasks/text-to-sql/columns.ts";
import { DEMONSTRATION, DEMONSTRATION_QUESTIONS } from "../../src/tasks/text-to-sql/demonstration.ts";
import { plural, verb, withArticle } from "../../src/tasks/text-to-sql/english.ts";
import {
  QUESTION_KINDS,
  type TextToSqlExample,
  textToSqlCorpus,
  textToSqlExample,
  textToSqlExamples,
} from "../../src/tasks/text-to-sql/example.ts";
import { heldOutQuestions, readHeldOut, writeHeldOut } from "../../src/tasks/text-to-sql/held-out.ts";
import { databaseScript, isHeldOut, sqlOfCompletion, textToSqlCompletion } from "../../src/tasks/text-to-sql/schema.ts";
import { OTHER_NOUNS, TOPICS } from "../../src/tasks/text-to-sql/topics.ts";
import { type Split, WORDS } from "../../src/tasks/text-to-sql/words.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { trainedTokenizerConfig, trainTokenizer } from "../../src/text/train-tokenizer.ts";

const SPLITS: readonly Split[] = ["train", "held-out", "new-words"];
const seed = fc.nat(2 ** 40);
const split = fc.constantFrom(...SPLITS);

function nouns(of: Split): string[] {
  return [...TOPICS[of].flat(), ...OTHER_NOUNS[of]].map(({ name }) => name);
}

function columnChoices(): ColumnChoice[] {
  return Object.values(COLUMNS).flatMap((kind) => Object.values(kind).flat() as ColumnChoice[]);
}

const columnNames = (reserved: boolean) =>
  new Set(columnChoices().flatMap((choice) => (choice.reserved === reserved ? [choice.name] : [])));

const valueWords = (part: "train" | "reserved") =>
  new Set(Object.values(WORDS).flatMap((list) => list[part].flatMap((word) => word.split(" "))));

const wordsOf = (names: readonly string[]) => new Set(names.flatMap((name) => name.split("_")));

const common = <T>(one: Iterable<T>, other: ReadonlySet<T>) => [...one].filter((item) => other.has(item));

describe("queries", () => {
  test.each(SPLITS)("of the %s split run, are right by their own grade, and nearly all find something", async (of) => {
    let found = 0;
    const count = 250;
    for (let i = 0; i < count; i++) {
      const { sql, database } = textToSqlExample(i, of);
      using sqlite = await openSqlite(databaseScript(database));
      const result = await sqlite.query(sql);
      expect(result, sql).toMatchObject({ ok: true });
      expect(await gradeSql(sqlite, sql, sql)).toMatchObject({ correct: true });
      if (result.ok && result.rows.some((row) => row.some((value) => value !== 0 && value !== null))) found++;
    }
    expect(found / count).toBeGreaterThan(0.9);
  });

  test("have names and values that the prompt spells out", () => {
    fc.assert(
      fc.property(seed, split, (n, of) => {
        const { question, sql, database } = textToSqlExample(n, of);
        const strings = [...sql.matchAll(/'([^']*)'/g)].map(([, text]) => text!.replaceAll("%", ""));
        for (const text of strings) expect(question).toContain(text);
        const rest = sql.replaceAll(/'[^']*'/g, "").replace("LIMIT 1", "");
        for (const [number] of rest.matchAll(/\b[\d.]+\b/g))
          expect(` ${question} `).toMatch(new RegExp(`\\b${number}\\b`));
        const names = new Set(database.tables.flatMap((table) => [table.name, ...table.columns.map((c) => c.name)]));
        for (const [name] of rest.matchAll(/\b[a-z_]+\b/g)) expect(names).toContain(name);
      }),
      { numRuns: 300 },
    );
  });

  test("follow from the question: the same one to the same database has the same query", () => {
    fc.assert(
      fc.property(seed, split, (n, of) => {
        const queries = new Map<string, string>();
        for (const { prompt, sql } of textToSqlExamples(n, of, 150)) {
          expect(queries.get(prompt) ?? sql).toBe(sql);
          queries.set(prompt, sql);
        }
      }),
      { numRuns: 30 },
    );
  });

  test("are those of a completion's first line", () => {
    expect(sqlOfCompletion(textToSqlCompletion("SELECT a FROM b"))).toBe("SELECT a FROM b");
    expect(sqlOfCompletion(" SELECT a \ntable")).toBe("SELECT a");
    expect(sqlOfCompletion("")).toBe("");
  });
});

describe("examples", () => {
  test("are pure functions of seed and split", () => {
    fc.assert(
      fc.property(seed, split, (n, of) => {
        expect(textToSqlExample(n, of)).toEqual(textToSqlExample(n, of));
        expect(textToSqlExamples(n, of, 3)[0]).toEqual(textToSqlExample(n, of));
        expect(textToSqlExample(n, of)).not.toEqual(textToSqlExample(n + 1, of));
      }),
      { numRuns: 50 },
    );
  });

  test("about one database begin alike", () => {
    const examples = textToSqlExamples(5, "train", 20);
    expect(new Set(examples.map(({ prompt }) => prompt.slice(0, prompt.indexOf("question:")))).size).toBe(1);
    expect(new Set(examples.map(({ question }) => question)).size).toBeGreaterThan(10);
  });

  test.each([-1, 0.5, Number.NaN])("refuse the seed %d", (bad) => {
    expect(() => textToSqlExample(bad, "train")).toThrow(expect.objectContaining({ code: "usage" }));
  });

  test("look like this", () => {
    const { prompt } = textToSqlExample(7, "held-out");
    expect(prompt).toMatch(/^(table [a-z_]+: id(, [a-z_]+)+\n){2,3}question: [A-Z].*[.?]\nsql:$/);
    expect(prompt).not.toMatch(/[{}[\]|]|undefined/);
  });
});

describe("kinds of questions", () => {
  test("are many, and all of them occur", () => {
    const drawn = new Set(Array.from({ length: 1500 }, (_, i) => textToSqlExample(i, "train").kind));
    expect(QUESTION_KINDS.length).toBeGreaterThanOrEqual(25);
    expect([...drawn].sort()).toEqual(QUESTION_KINDS.map(({ name }) => name).sort());
  });

  test.each(QUESTION_KINDS.map((kind) => [kind.name, kind] as const))(
    "%s has six ways to ask, of its blanks",
    (_, kind) => {
      expect(new Set(kind.questions).size).toBeGreaterThanOrEqual(6);
      const drawn = kind.blanks.split(" ").flatMap((part) => {
        if (part === "link") return ["c", "p", "f"];
        if (part.startsWith("bound")) return ["op", "x"];
        return part.startsWith("range") ? ["x", "y"] : [part.split("=")[0]!];
      });
      for (const template of [kind.sql, ...kind.questions]) {
        for (const [, blank] of template.matchAll(/\{(\w+)[+~!]?\}/g)) expect(drawn).toContain(blank);
      }
      const values = drawn.filter((blank) => !["f"].includes(blank) && kind.sql.includes(`{${blank}}`));
      for (const template of kind.questions) {
        const missing = values.filter((blank) => !new RegExp(`\\{${blank}[+~!]?\\}`).test(template));
        expect(missing.filter((blank) => !(blank === "n" && kind.blanks.includes("sort:n")))).toEqual([]);
      }
    },
  );
});

describe("the splits", () => {
  test("of new words shares no noun, no reserved column and no reserved word with the others", () => {
    expect(common(nouns("new-words"), new Set(nouns("train")))).toEqual([]);
    expect(common(columnNames(true), columnNames(false))).toEqual([]);
    expect(common(valueWords("reserved"), valueWords("train"))).toEqual([]);
  });

  test("keep to their words", () => {
    const reserved = valueWords("reserved");
    fc.assert(
      fc.property(seed, split, (n, of) => {
        const { database } = textToSqlExample(n, of);
        for (const { name, columns, rows } of database.tables) {
          expect(nouns(of)).toContain(name);
          if (of === "new-words") continue;
          expect(common(name.split("_"), wordsOf(nouns("new-words")))).toEqual([]);
          expect(common(columnNames(true), new Set(columns.map((column) => column.name)))).toEqual([]);
          expect(
            common(
              rows.flat().flatMap((cell) => String(cell).split(" ")),
              reserved,
            ),
          ).toEqual([]);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("training never sees the tables of a held-out schema together, the demonstration's among them", () => {
    fc.assert(
      fc.property(seed, fc.constantFrom<Split>("train", "held-out"), (n, of) => {
        expect(isHeldOut(textToSqlExample(n, of).database.tables)).toBe(of === "held-out");
      }),
      { numRuns: 200 },
    );
    expect(isHeldOut(DEMONSTRATION.tables)).toBe(true);
    const tables = ["club", "band", "concert"].map((name) => ({ name }));
    expect(isHeldOut(tables)).toBe(isHeldOut(tables.toReversed()));
  });

  test("name tables and columns as SQLite allows", async () => {
    for (const of of SPLITS) {
      const script = [...new Set(nouns(of))].map((name) => `CREATE TABLE ${name} (id, ${name}_id);`).join("");
      using sqlite = await openSqlite(script);
      expect(await sqlite.query("SELECT 1")).toMatchObject({ ok: true });
    }
    const names = [...columnNames(true), ...columnNames(false)];
    using sqlite = await openSqlite(`CREATE TABLE t (${names.join(", ")})`);
    expect(await sqlite.query(`SELECT ${names.join(", ")} FROM t`)).toMatchObject({ ok: true });
  });
});

describe("databases", () => {
  test("have ten to twenty rows, keys that exist, and rows that nothing points to", () => {
    fc.assert(
      fc.property(seed, split, (n, of) => {
        const { tables } = textToSqlExample(n, of).database;
        expect(tables.length === 2 || tables.length === 3).toBe(true);
        for (const { columns, rows } of tables) {
          expect(rows.length).toBeGreaterThanOrEqual(10);
          expect(rows.length).toBeLessThanOrEqual(20);
          columns.forEach(({ role, references }, c) => {
            const values = new Set(rows.map((row) => row[c]));
            if (role === "key") expect([...values]).toEqual(rows.map((_, i) => i + 1));
            if (role !== "foreign") return;
            const ids = new Set(tables.find((table) => table.name === references)!.rows.map((row) => row[0]));
            expect(common(values, ids).length).toBe(values.size);
            expect(values.size).toBeLessThan(ids.size);
          });
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe("a tokenizer trained on the task", () => {
  const json = trainTokenizer(textToSqlCorpus(2000, 1_000_000), { vocabSize: 1984 });
  const source = { kind: "huggingface", tokenizerConfig: trainedTokenizerConfig(256), chatTemplate: null } as const;
  const tokenizer = createTokenizer({ ...source, tokenizerJson: json }, 1984);
  const tokens = (text: string) => tokenizer.encode(text).length;

  test("gives prompts and queries back, cut at the same places", () => {
    fc.assert(
      fc.property(seed, split, (n, of) => {
        const { prompt, sql } = textToSqlExample(n, of);
        const completion = textToSqlCompletion(sql);
        const whole = tokenizer.encode(prompt + completion);
        expect(tokenizer.decode(whole)).toBe(prompt + completion);
        expect([...whole]).toEqual([...tokenizer.encode(prompt), ...tokenizer.encode(completion)]);
      }),
      { numRuns: 200 },
    );
  });

  test("keeps examples short", () => {
    const lengths = (of: Split, part: (example: TextToSqlExample) => string) =>
      Array.from({ length: 300 }, (_, i) => tokens(part(textToSqlExample(i, of)))).sort((a, b) => a - b);
    for (const of of SPLITS) {
      const prompts = lengths(of, ({ prompt }) => prompt);
      const queries = lengths(of, ({ sql }) => textToSqlCompletion(sql));
      expect(prompts[150]).toBeLessThan(110);
      expect(prompts.at(-1)).toBeLessThan(180);
      expect(queries[150]).toBeLessThan(30);
      expect(queries.at(-1)).toBeLessThan(100);
    }
  });

  test("has keywords whole, and spells reserved words in few pieces", () => {
    for (const word of ["SELECT", "FROM", "WHERE", "COUNT", "JOIN", "GROUP"]) expect(tokens(` ${word}`)).toBe(1);
    const pieces = nouns("new-words").map((noun) => tokens(noun));
    expect(pieces.reduce((sum, n) => sum + n, 0) / pieces.length).toBeLessThan(3.5);
    expect(pieces.filter((n) => n > 1).length / pieces.length).toBeGreaterThan(0.9);
  });
});

describe("the held-out file", () => {
  test("is written and read as it was made", async () => {
    const folder = await mkdtemp(join(tmpdir(), "held-out-"));
    try {
      const path = join(folder, "held-out.jsonl");
      await writeHeldOut(path, { count: 5, seed: 3 });
      expect(await readHeldOut(path)).toEqual(heldOutQuestions({ count: 5, seed: 3 }));
      const first = (await readFile(path, "utf8")).split("\n")[0]!;
      await writeFile(path, `${first}\n\n{"prompt": "x", "sql": 1}\n`);
      await expect(readHeldOut(path)).rejects.toMatchObject({
        code: "bad-file",
        message: expect.stringContaining("line 3"),
      });
      for (const bad of ["", "\n", "null", "[]", "{", `${first}}`]) {
        await writeFile(path, bad);
        await expect(readHeldOut(path)).rejects.toMatchObject({ code: "bad-file" });
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("the demonstration", () => {
  test("has answers", async () => {
    using sqlite = await openSqlite(databaseScript(DEMONSTRATION));
    for (const { sql } of DEMONSTRATION_QUESTIONS) {
      const result = await sqlite.query(sql);
      expect(result, sql).toMatchObject({ ok: true });
      if (result.ok) expect(result.rows.length, sql).toBeGreaterThan(0);
    }
  });
});

test("English is good enough", () => {
  const nounsInPlural = ["city", "boy", "class", "bus", "box", "match", "dish", "visitors", "thesis", "series", "lens"];
  expect(nounsInPlural.map(plural).join(" ")).toBe(
    "cities boys classes buses boxes matches dishes visitors theses series lenses",
  );
  expect(plural("release year")).toBe("release years");
  expect(["album", "song", "university", "umbrella"].map(withArticle).join(", ")).toBe(
    "an album, a song, a university, an umbrella",
  );
  expect(["points", "status", "class", "age"].map(verb).join(" ")).toBe("are is is is");
});
