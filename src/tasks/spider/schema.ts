/**
 * Spider's schemas (`tables.json`) and the forms in which prompts show them. Knows no question and no database.
 */
import { readRows } from "../../data/rows.ts";
import { CllmError } from "../../error.ts";

export interface SpiderTable {
  readonly name: string;
  readonly columns: readonly string[];
}

export type SpiderSchema = readonly SpiderTable[];

/** Every database's tables in the order of the file. Throws `bad-file` for one that lacks its fields. */
export async function readSchemas(path: string): Promise<ReadonlyMap<string, SpiderSchema>> {
  const schemas = new Map<string, SpiderSchema>();
  for await (const { fields, where } of readRows(path)) {
    const { db_id, table_names_original: tables, column_names_original: columns } = fields;
    if (typeof db_id !== "string" || !Array.isArray(tables) || !Array.isArray(columns)) {
      throw new CllmError("bad-file", `${where} lacks db_id, table_names_original or column_names_original`);
    }
    const schema = tables.map((name, index) => ({
      name: String(name),
      columns: columns.filter((column) => Array.isArray(column) && column[0] === index).map(([, name]) => String(name)),
    }));
    schemas.set(db_id, schema);
  }
  return schemas;
}

/** A line for each table: `name(column, column)`. */
export const schemaLines = (schema: SpiderSchema): string =>
  schema.map(({ name, columns }) => `${name}(${columns.join(", ")})`).join("\n");

/** The sentence of the original CLLM code, whose lists are printed as Python prints them. */
export function schemaSentence(schema: SpiderSchema): string {
  const tables = schema.map(({ name, columns }) => {
    return `table named ${name} with columns [${columns.map(pythonString).join(", ")}], `;
  });
  return `The SQL database has ${tables.join("")}`;
}

function pythonString(text: string): string {
  const escaped = text.replaceAll("\\", "\\\\");
  return text.includes("'") && !text.includes('"') ? `"${escaped}"` : `'${escaped.replaceAll("'", "\\'")}'`;
}
