/**
 * The blanks of a question kind, drawn from a database: tables, columns and values, each as SQL and as words. All
 * conditions of a question are taken from one row, the focal row, so that at least this row fulfils them together. A
 * specification is a list such as `t=table b=category:t a=shown:t v=value:b`. Knows no templates.
 */
import { CllmError } from "../../error.ts";
import { spoken } from "./english.ts";
import type { Random } from "./random.ts";
import { type Cell, type Column, type Database, literal, type Role, type Table } from "./schema.ts";

/** One thing, as the query writes it and as the question does. */
export interface Blank {
  readonly sql: string;
  readonly words: string;
}

export type Blanks = ReadonlyMap<string, Blank>;

const ROLES: Readonly<Record<string, readonly Role[]>> = {
  label: ["label"],
  category: ["category"],
  text: ["label", "category"],
  number: ["number"],
  date: ["date"],
  shown: ["label", "category", "number", "date"],
};

/** Columns whose sum means nothing, and those that are points in time. */
const NO_SUM =
  /year|age$|height|speed|altitude|depth|width|rating|score|ness$|ity$|cy$|temperature|ranking|elevation|radius|diam/;
const TIME = /year|date/;

const COMPARISONS: readonly (readonly [sql: string, words: readonly string[]])[] = [
  [">", ["more than", "greater than", "over", "above"]],
  ["<", ["less than", "lower than", "under", "below"]],
  [">=", ["at least", "no less than"]],
  ["<=", ["at most", "no more than"]],
  ["=", ["equal to", "exactly"]],
];

/** The blanks of a specification, or null where the database has nothing for one of them. */
export function drawBlanks(random: Random, database: Database, specification: string): Blanks | null {
  return new BlankDraw(random, database).draw(specification);
}

class BlankDraw {
  readonly #random: Random;
  readonly #database: Database;
  readonly #blanks = new Map<string, Blank>();
  readonly #tables = new Map<string, Table>();
  readonly #columns = new Map<string, { readonly table: Table; readonly column: Column }>();
  readonly #focus = new Map<Table, readonly Cell[]>();

  constructor(random: Random, database: Database) {
    this.#random = random;
    this.#database = database;
  }

  draw(specification: string): Blanks | null {
    for (const part of specification.split(" ")) {
      const [, name = "", recipe = "", of = ""] = /^(?:(\w+)=)?(\w+)(?::(\w+))?$/.exec(part)!;
      if (!this.#drawOne(name, recipe, of)) return null;
    }
    return this.#blanks;
  }

  #drawOne(name: string, recipe: string, of: string): boolean {
    if (recipe === "table") return this.#setTable(name, this.#random.pick(this.#database.tables));
    if (recipe === "link") return this.#link();
    const roles = ROLES[recipe];
    if (roles) return this.#column(name, roles, this.#tables.get(of)!);
    if (recipe === "limit") return this.#set(name, String(this.#random.between(2, 5)));
    const { table, column } = this.#columns.get(of)!;
    const values = table.rows.map((row) => row[table.columns.indexOf(column)]!);
    const value = this.#focus.get(table)![table.columns.indexOf(column)]!;
    return this.#derive(name, recipe, column, values, value);
  }

  /** A blank that depends on the values of a column and the focal one among them. */
  #derive(name: string, recipe: string, column: Column, values: readonly Cell[], value: Cell): boolean {
    const random = this.#random;
    switch (recipe) {
      case "value":
        return this.#set(name, literal(value), String(value));
      case "another": {
        const others = [...new Set(values)].filter((other) => other !== value);
        if (others.length === 0) return false;
        const other = random.pick(others);
        return this.#set(name, literal(other), String(other));
      }
      case "bound":
        return this.#bound(values as number[], value as number);
      case "range":
        return this.#range(values as number[], value as number);
      case "year":
        return this.#set(name, String(value).slice(0, 4));
      case "initial":
        return this.#set(name, String(value)[0]!);
      case "word":
        if (!String(value).includes(" ")) return false;
        return this.#set(name, random.pick(String(value).split(" ")));
      case "size":
        return this.#set(name, String(random.between(1, Math.max(1, mostFrequent(values) - 1))));
      case "aggregate":
        return this.#set(name, ...drawAggregate(random, column));
      case "side":
        return this.#set(
          name,
          ...random.pick<[string, string]>([
            [">", "above"],
            ["<", "below"],
          ]),
        );
      case "superlative":
        return this.#set(name, ...drawSuperlative(random, column));
      case "sort":
        return this.#sort(name, column);
      default:
        throw new CllmError("usage", `there is no recipe ${recipe}; see drawBlanks`);
    }
  }

  #set(name: string, sql: string, words: string = sql): true {
    this.#blanks.set(name, { sql, words });
    return true;
  }

  #setTable(name: string, table: Table): true {
    this.#tables.set(name, table);
    if (!this.#focus.has(table)) this.#focus.set(table, this.#random.pick(table.rows));
    return this.#set(name, table.name, spoken(table.name));
  }

  /** A table `c` whose foreign key `f` points to a table `p`, the focal row of the one to that of the other. */
  #link(): boolean {
    const links = this.#database.tables.flatMap((child) =>
      child.columns.filter((column) => column.references !== undefined).map((column) => ({ child, column })),
    );
    if (links.length === 0) return false;
    const { child, column } = this.#random.pick(links);
    const parent = this.#database.tables.find((table) => table.name === column.references)!;
    this.#setTable("c", child);
    const id = this.#focus.get(child)![child.columns.indexOf(column)];
    this.#focus.set(parent, parent.rows.find((row) => row[0] === id)!);
    this.#columns.set("f", { table: child, column });
    this.#set("f", column.name);
    return this.#setTable("p", parent);
  }

  #column(name: string, roles: readonly Role[], table: Table): boolean {
    const used = new Set([...this.#columns.values()].map(({ column }) => column));
    const free = table.columns.filter((column) => roles.includes(column.role) && !used.has(column));
    if (free.length === 0) return false;
    const column = this.#random.pick(free);
    this.#columns.set(name, { table, column });
    return this.#set(name, column.name, spoken(column.name));
  }

  #bound(values: readonly number[], value: number): boolean {
    const [sql, words] = this.#random.pick(COMPARISONS);
    const fits = values.filter((other) => compare(value, sql, other));
    if (fits.length === 0) return false;
    this.#set("op", sql, this.#random.pick(words));
    return this.#set("x", String(this.#random.pick(fits)));
  }

  #range(values: readonly number[], value: number): boolean {
    const low = values.filter((other) => other <= value && other !== Math.max(...values));
    const high = values.filter((other) => other >= value);
    if (low.length === 0) return false;
    const x = this.#random.pick(low);
    const above = high.filter((other) => other > x);
    if (above.length === 0) return false;
    this.#set("x", String(x));
    return this.#set("y", String(this.#random.pick(above)));
  }

  #sort(name: string, column: Column): true {
    const words = spoken(column.name);
    const down = this.#random.chance(0.5);
    const [order, ends, first] = down
      ? ["descending", "from high to low", "highest first"]
      : ["ascending", "from low to high", "lowest first"];
    const phrases = [
      `in ${order} order of ${words}`,
      `sorted by ${words} in ${order} order`,
      `ordered by ${words} ${ends}`,
      `by ${order} ${words}`,
      `sorted by ${words}, ${first}`,
      `ordered by ${words}, ${order}`,
    ];
    return this.#set(name, down ? "DESC" : "ASC", this.#random.pick(phrases));
  }
}

function compare(value: number, operator: string, bound: number): boolean {
  if (operator === ">") return value > bound;
  if (operator === "<") return value < bound;
  if (operator === ">=") return value >= bound;
  return operator === "<=" ? value <= bound : value === bound;
}

function mostFrequent(values: readonly Cell[]): number {
  const counts = new Map<Cell, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return Math.max(...counts.values());
}

function drawAggregate(random: Random, { name }: Column): [sql: string, words: string] {
  const choices: [string, readonly string[]][] = [
    ["MAX", TIME.test(name) ? ["latest"] : ["highest", "maximum", "largest"]],
    ["MIN", TIME.test(name) ? ["earliest"] : ["lowest", "minimum", "smallest"]],
  ];
  if (!TIME.test(name)) choices.push(["AVG", ["average", "mean"]]);
  if (!NO_SUM.test(name)) choices.push(["SUM", ["total", "overall"]]);
  const [sql, words] = random.pick(choices);
  return [sql, random.pick(words)];
}

function drawSuperlative(random: Random, { name }: Column): [sql: string, words: string] {
  if (random.chance(0.5)) return ["DESC", TIME.test(name) ? "latest" : random.pick(["highest", "largest", "greatest"])];
  return ["ASC", TIME.test(name) ? "earliest" : random.pick(["lowest", "smallest"])];
}
