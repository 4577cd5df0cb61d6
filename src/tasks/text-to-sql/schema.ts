/**
 * Databases of the task: their form, the draw of a schema for a split, how a prompt shows it, and the script that makes
 * it in SQLite. Knows no questions.
 */
import { hashOfText } from "../../hash.ts";
import { COLUMNS, type ColumnChoice, type Values } from "./columns.ts";
import type { Random } from "./random.ts";
import { CHILDREN, type Noun, OFF_TOPIC, OTHER_NOUNS, TOPICS } from "./topics.ts";
import type { Split } from "./words.ts";

export type Cell = string | number;

/** What a column is for. A label tells rows apart, several share a category, `foreign` points to another table. */
export type Role = "key" | "foreign" | "label" | "category" | "number" | "date";

export interface Column {
  readonly name: string;
  readonly role: Role;
  /** The table whose `id` this column holds, where it is foreign. */
  readonly references?: string;
}

export interface Table {
  readonly name: string;
  readonly columns: readonly Column[];
  /** A cell for each column. */
  readonly rows: readonly (readonly Cell[])[];
}

export interface Database {
  readonly tables: readonly Table[];
}

/** A column that has no rows yet, and what may stand in them. */
export interface DrawnColumn extends Column {
  readonly values: Values | null;
}

export interface DrawnTable {
  readonly name: string;
  readonly columns: readonly DrawnColumn[];
}

/** A schema in this many is held out, by its tables. */
const HELD_OUT = 16;

/** Whether training never sees a schema of just these tables, whatever their order and columns. */
export function isHeldOut(tables: readonly { readonly name: string }[]): boolean {
  const names = tables.map(({ name }) => name).sort();
  return hashOfText(names.join()) % HELD_OUT === 0;
}

/** Two or three tables of a split, with one foreign key for each that belongs to another. */
export function drawSchema(random: Random, split: Split): DrawnTable[] {
  for (;;) {
    const links = drawLinks(random, split);
    const nouns = [...new Set(links.flat())];
    if (split === "new-words" || isHeldOut(nouns) === (split === "held-out"))
      return drawTables(random, split, nouns, links);
  }
}

type Link = readonly [child: Noun, parent: Noun];

/** Which nouns a schema is about, and which of them belong to which. */
function drawLinks(random: Random, split: Split): Link[] {
  const topic = random.pick(TOPICS[split]);
  const draw = (taken: readonly Noun[], fits: (noun: Noun) => boolean): Noun => {
    const other = unlike(taken);
    const free = (noun: Noun) => fits(noun) && other(noun);
    const near = topic.filter(free);
    const alone = near.length === 0 || random.chance(OFF_TOPIC[split]);
    return random.pick(alone ? OTHER_NOUNS[split].filter(free) : near);
  };
  const childOf = (parent: Noun, taken: readonly Noun[]) =>
    draw(taken, (noun) => CHILDREN[parent.kind].includes(noun.kind));

  const parent = draw([], (noun) => CHILDREN[noun.kind].length > 0);
  const child = childOf(parent, [parent]);
  const links: Link[] = [[child, parent]];
  const shape = random.below(20);
  if (shape >= 16) links.push([childOf(parent, [parent, child]), parent]);
  else if (shape >= 14 && CHILDREN[child.kind].length > 0) links.push([childOf(child, [parent, child]), child]);
  else if (shape >= 9) links.push([child, draw([parent, child], (noun) => CHILDREN[noun.kind].includes(child.kind))]);
  return links;
}

function drawTables(random: Random, split: Split, nouns: readonly Noun[], links: readonly Link[]): DrawnTable[] {
  return random.sample(nouns, nouns.length).map((noun) => {
    const references = links.filter(([from]) => from === noun).map(([, to]) => to.name);
    return drawTable(random, split, noun, references, nouns);
  });
}

/** Tells names that share no word with any of those: a question could mean either by such a word. */
function unlike(taken: readonly { readonly name: string }[]): (named: { readonly name: string }) => boolean {
  const words = new Set(taken.flatMap(({ name }) => wordsOf(name)));
  return ({ name }) => !wordsOf(name).some((word) => words.has(word));
}

const knownWords = new Map<string, readonly string[]>(); // asked for some hundred times an example

function wordsOf(name: string): readonly string[] {
  let words = knownWords.get(name);
  if (!words) {
    words = name.split("_");
    knownWords.set(name, words);
  }
  return words;
}

function drawTable(
  random: Random,
  split: Split,
  noun: Noun,
  references: readonly string[],
  nouns: readonly Noun[],
): DrawnTable {
  const { labels, categories, numbers, dates } = COLUMNS[noun.kind];
  const columns: DrawnColumn[] = [];
  const chosen: { readonly name: string }[] = [];
  const add = (role: Role, list: readonly ColumnChoice[]) => {
    const free = list.filter(unlike([...chosen, ...nouns]));
    const reserved = split === "new-words" && random.chance(0.4) ? free.filter((choice) => choice.reserved) : [];
    const pool = reserved.length > 0 ? reserved : free.filter((choice) => !choice.reserved);
    if (pool.length === 0) return;
    const { name, values } = random.pick(pool);
    chosen.push({ name });
    columns.push({ name, role, values });
  };
  const small = nouns.length === 2;
  add("label", labels);
  add("category", categories);
  if (random.chance(small ? 0.6 : 0.4)) add("category", categories);
  add("number", numbers);
  if (random.chance(small ? 0.6 : 0.3)) add("number", numbers);
  if (random.chance(0.2)) add("date", dates);
  const label = columns.filter((column) => column.role === "label");
  const rest = columns.filter((column) => column.role !== "label");
  return {
    name: noun.name,
    columns: [
      { name: "id", role: "key", values: null },
      ...label,
      ...random.sample(rest, rest.length),
      ...references.map((table) => ({
        name: `${table}_id`,
        role: "foreign" as const,
        references: table,
        values: null,
      })),
    ],
  };
}

/** One line a table: `table singer: id, name, age`. */
export function schemaText(tables: readonly { name: string; columns: readonly { name: string }[] }[]): string {
  return tables.map(({ name, columns }) => `table ${name}: ${columns.map((c) => c.name).join(", ")}\n`).join("");
}

/** What the model reads before it writes ` SELECT`: the schema, the question, and `sql:`. */
export function textToSqlPrompt(tables: Parameters<typeof schemaText>[0], question: string): string {
  return `${schemaText(tables)}question: ${question}\nsql:`;
}

/**
 * The same from a conversation, in Jinja: the tables as the system's message, the question as the last one. If no
 * tables are named, they are the given ones.
 */
export function textToSqlChat(tables: Parameters<typeof schemaText>[0]): string {
  const system = "{% if messages[0].role == 'system' %}{{ messages[0].content | trim }}\n";
  return `${system}{% else %}${schemaText(tables)}{% endif %}question: {{ messages[-1].content | trim }}\nsql:`;
}

/** What the model writes after the prompt, before it ends the sequence. */
export function textToSqlCompletion(sql: string): string {
  return ` ${sql}`;
}

/** The query in what a model wrote after the prompt: its first line. */
export function sqlOfCompletion(completion: string): string {
  return completion.trimStart().split("\n", 1)[0]!.trimEnd();
}

/** The statements that make a database with its rows in SQLite. */
export function databaseScript({ tables }: Database): string {
  return tables
    .map(({ name, columns, rows }) => {
      const definitions = columns.map((column, i) => `${column.name} ${definition(column, rows[0]?.[i])}`);
      const tuples = rows.map((row) => `  (${row.map(literal).join(", ")})`);
      const insert = tuples.length > 0 ? `INSERT INTO ${name} VALUES\n${tuples.join(",\n")};\n` : "";
      return `CREATE TABLE ${name} (${definitions.join(", ")});\n${insert}`;
    })
    .join("");
}

function definition({ role, references }: Column, sample: Cell | undefined): string {
  if (role === "key") return "INTEGER PRIMARY KEY";
  if (role === "foreign") return `INTEGER REFERENCES ${references} (id)`;
  return typeof sample === "number" ? "NUMERIC" : "TEXT";
}

/** A cell as SQL writes it. */
export function literal(cell: Cell): string {
  return typeof cell === "number" ? String(cell) : `'${cell.replaceAll("'", "''")}'`;
}
