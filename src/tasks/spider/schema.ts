/**
 * Spider's schemas (`tables.json`) and the forms in which prompts show them. Knows no question and no database.
 */
import { readRecords } from "../../data/records.ts";
import { CllmError } from "../../error.ts";

export interface SpiderTable {
  readonly name: string;
  readonly columns: readonly string[];
}

export interface SpiderSchema {
  readonly tables: readonly SpiderTable[];
  /** Pairs of columns with their tables, `concert.Stadium_ID` and `stadium.Stadium_ID`. */
  readonly foreignKeys: readonly (readonly [from: string, to: string])[];
}

/** Every database's tables and keys in the order of the file. Throws `bad-file` for one that lacks its fields. */
export async function readSchemas(path: string): Promise<ReadonlyMap<string, SpiderSchema>> {
  const schemas = new Map<string, SpiderSchema>();
  for await (const { fields, where } of readRecords(path)) {
    const { db_id, table_names_original: tables, column_names_original: columns, foreign_keys: keys } = fields;
    if (typeof db_id !== "string" || !Array.isArray(tables) || !Array.isArray(columns)) {
      throw new CllmError("bad-file", `${where} lacks db_id, table_names_original or column_names_original`);
    }
    const named = tables.map((name, index) => ({
      name: String(name),
      columns: columns.filter((column) => Array.isArray(column) && column[0] === index).map(([, name]) => String(name)),
    }));
    const place = (index: unknown): string | null => {
      const column = columns[Number(index)];
      const table = Array.isArray(column) ? tables[Number(column[0])] : undefined;
      return table === undefined ? null : `${table}.${column[1]}`;
    };
    const foreignKeys: [string, string][] = [];
    for (const pair of Array.isArray(keys) ? keys : []) {
      const [from, to] = Array.isArray(pair) ? pair.map(place) : [];
      if (typeof from === "string" && typeof to === "string") foreignKeys.push([from, to]);
    }
    schemas.set(db_id, { tables: named, foreignKeys });
  }
  return schemas;
}

/** A line for each table, `name(column, column)`, then one for each foreign key, written as a join's condition is. */
export const schemaLines = ({ tables, foreignKeys }: SpiderSchema): string =>
  [
    ...tables.map(({ name, columns }) => `${name}(${columns.join(", ")})`),
    ...foreignKeys.map(([from, to]) => `${from} = ${to}`),
  ].join("\n");

/** The sentence of the original CLLM code, whose lists are printed as Python prints them. */
export function schemaSentence({ tables }: SpiderSchema): string {
  const sentences = tables.map(({ name, columns }) => {
    return `table named ${name} with columns [${columns.map(pythonString).join(", ")}], `;
  });
  return `The SQL database has ${sentences.join("")}`;
}

function pythonString(text: string): string {
  const escaped = text.replaceAll("\\", "\\\\");
  return text.includes("'") && !text.includes('"') ? `"${escaped}"` : `'${escaped.replaceAll("'", "\\'")}'`;
}
