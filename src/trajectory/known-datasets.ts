/**
 * Data sets that have a name: their files within a folder of data, and which fields make prompt and answer. The folder is
 * laid out as their publishers do: `gsm8k/train.jsonl`, `spider/train.json` and `spider/tables.json`,
 * `humaneval/HumanEval.jsonl`, `mt_bench/question.jsonl`. Knows no tokens.
 */
import { join } from "node:path";
import { type DataRecord, readRecords } from "../data/records.ts";
import { CllmError } from "../error.ts";
import { nearMisses } from "../files/near-miss.ts";
import { readSchemas, schemaLines } from "../tasks/spider/schema.ts";

/** How records become prompts; see `DatasetOptions`. */
export interface FieldMapping {
  readonly promptField?: string | undefined;
  readonly answerField?: string | undefined;
  readonly messagesField?: string | undefined;
  readonly idField?: string | undefined;
  readonly template?: string | undefined;
}

interface KnownDataset {
  /** By split, the default one first; paths within the folder. */
  readonly files: Readonly<Record<string, string>>;
  readonly mapping: FieldMapping;
  /** Fields that are made, for one record. */
  prepare?(folder: string): Promise<(record: DataRecord) => Readonly<Record<string, unknown>>>;
}

const KNOWN: Readonly<Record<string, KnownDataset>> = {
  gsm8k: {
    files: { train: "gsm8k/train.jsonl", test: "gsm8k/test.jsonl" },
    mapping: { promptField: "question", answerField: "answer" },
  },
  spider: {
    files: { train: "spider/train.json", dev: "spider/dev.json" },
    mapping: { template: "{schema}\nQuestion: {question}\nSQL:", answerField: "query" },
    async prepare(folder) {
      const schemas = await readSchemas(join(folder, "spider/tables.json"));
      return ({ fields, where }) => {
        const schema = schemas.get(String(fields["db_id"]));
        if (schema !== undefined) return { ...fields, schema: schemaLines(schema) };
        throw new CllmError("bad-input", `${where}: db_id is ${String(fields["db_id"])}, which tables.json lacks`);
      };
    },
  },
  humaneval: {
    files: { test: "humaneval/HumanEval.jsonl" },
    mapping: { promptField: "prompt", answerField: "canonical_solution", idField: "task_id" },
  },
  "mt-bench": {
    files: { test: "mt_bench/question.jsonl" },
    mapping: { promptField: "first_turn", idField: "question_id" },
    prepare: async () => (record) => {
      const { turns } = record.fields;
      return { ...record.fields, ...(Array.isArray(turns) && { first_turn: turns[0] }) };
    },
  },
};

/** What a name stands for, ready to be read. */
export interface NamedData {
  readonly path: string;
  readonly mapping: FieldMapping;
  records(): AsyncGenerator<DataRecord, void, void>;
}

export const KNOWN_DATASETS: readonly string[] = Object.keys(KNOWN);

/**
 * A data set by its name, `gsm8k`, or name and split, `gsm8k/test`. Throws `not-found` for a name that is none, `usage`
 * for a split that it does not have, and if no folder is given.
 */
export function namedData(name: string, folder: string | undefined): NamedData {
  const [set = "", split, ...more] = name.split("/");
  const known = Object.hasOwn(KNOWN, set) ? KNOWN[set] : undefined;
  if (known === undefined || more.length > 0) {
    const [near] = nearMisses(set, KNOWN_DATASETS, 1);
    const next =
      near === undefined ? `the known ones are ${KNOWN_DATASETS.join(", ")}` : `did you mean the data set ${near}?`;
    throw new CllmError("not-found", `${name} is neither a file nor a known data set; ${next}`);
  }
  const splits = Object.keys(known.files);
  const file = known.files[split ?? splits[0]!];
  if (file === undefined) {
    throw new CllmError("usage", `${set} has no split ${split}; there ${splits.length > 1 ? "are" : "is"} ${splits}`);
  }
  if (folder === undefined) {
    throw new CllmError("usage", `${name} is a known data set, but no folder of data is given: dataDir or CLLM_DATA`);
  }
  const path = join(folder, file);
  return {
    path,
    mapping: known.mapping,
    async *records() {
      const prepare = await known.prepare?.(folder);
      for await (const record of readRecords(path)) yield prepare ? { ...record, fields: prepare(record) } : record;
    },
  };
}
