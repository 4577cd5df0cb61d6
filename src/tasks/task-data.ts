/**
 * Examples out of data files: which file of a folder a split is, records with the fields they need, ids that tell them
 * apart. What is wrong with the data is one error with file, line and next move. Knows no task.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type DataRecord, readRecords } from "../data/records.ts";
import { CllmError } from "../error.ts";
import { shorten } from "../files/near-miss.ts";
import { unknownName } from "../generate/check.ts";

/**
 * The first file that is there of `names`, paths within `dataDir`: the publisher's own layout first, then the Parquet file
 * of the hub. Throws `not-found` with all of them.
 */
export function dataFile(dataDir: string, names: readonly string[]): string {
  const found = names.map((name) => join(dataDir, name)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  const list = names.join(", ");
  throw new CllmError("not-found", `${dataDir} has none of ${list}: name the folder of data (dataDir or CLLM_DATA)`);
}

/** Where the hub keeps the records of a split, relative to a data set's folder. */
export function hubFiles(folder: string, split: string, configuration: string): string[] {
  const file = `${split}-00000-of-00001.parquet`;
  return [`${folder}/${split}.parquet`, `${folder}/${configuration}/${file}`, `${folder}/data/${file}`];
}

/** A split that the task has, by default the first. Throws `usage` for another. */
export function knownSplit(task: string, splits: readonly string[], wanted: string | undefined): string {
  const split = wanted ?? splits[0]!;
  if (splits.includes(split)) return split;
  throw new CllmError("usage", `the task ${task} has no split ${split}; it has ${splits.join(", ")}`);
}

/**
 * The records of a file as examples, at most `limit` of them. Throws `bad-input` where there are none, and where two have
 * the same id.
 */
export async function readExamples<E extends { readonly id: string; readonly where: string }>(
  path: string,
  limit: number | undefined,
  toExample: (record: DataRecord, index: number) => E,
): Promise<E[]> {
  const byId = new Map<string, E>();
  for await (const record of readRecords(path)) {
    if (byId.size === limit) break;
    const example = toExample(record, byId.size);
    const other = byId.get(example.id);
    if (other !== undefined) {
      throw new CllmError(
        "bad-input",
        `${record.where} has the id ${shorten(example.id)} of ${other.where}: give every record an id of its own`,
      );
    }
    byId.set(example.id, example);
  }
  if (byId.size === 0) throw new CllmError("bad-input", `${path} holds no examples: give a file that is not empty`);
  return [...byId.values()];
}

/** A field that must be there and be text, not only blanks. */
export function textField({ fields, where }: DataRecord, name: string): string {
  const value = field({ fields, where }, name);
  if (typeof value === "string" && value.trim() !== "") return value;
  const found = typeof value === "string" ? "empty" : `${describe(value)}, no text`;
  throw new CllmError("bad-input", `${where}: ${name} is ${found}; it must be a text that is not empty`);
}

/** A field that must be there and tell records apart: a text or a whole number. */
export function idField({ fields, where }: DataRecord, name: string): string {
  const value = field({ fields, where }, name);
  const isId = typeof value === "bigint" || Number.isSafeInteger(value) || (typeof value === "string" && value !== "");
  if (isId) return String(value);
  throw new CllmError("bad-input", `${where}: ${name} is ${describe(value)}; it must be a text or a whole number`);
}

function field({ fields, where }: DataRecord, name: string): unknown {
  if (Object.hasOwn(fields, name)) return fields[name];
  throw new CllmError("bad-input", unknownName(where, name, Object.keys(fields)));
}

const describe = (value: unknown): string =>
  shorten(JSON.stringify(value, (_, item) => (typeof item === "bigint" ? String(item) : item)) ?? typeof value);
