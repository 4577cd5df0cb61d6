/**
 * Records of a data file: JSON Lines, a JSON list, or Parquet, told apart by what they begin with. Records come one at a time,
 * each with where it stands. Knows no field.
 */
import * as zlib from "node:zlib";
import {
  type Compressors,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  type RowGroup,
  type SchemaTree,
} from "hyparquet";
import { CllmError } from "../error.ts";
import { openBinaryFile } from "../files/binary-file.ts";
import { readError } from "../files/file-error.ts";
import { parseJson } from "../files/json.ts";
import { encodingOf, textLines } from "../files/text.ts";
import { jsonItems } from "./json-items.ts";
import { parquetBuffer } from "./parquet-buffer.ts";

export interface DataRecord {
  readonly fields: Readonly<Record<string, unknown>>;
  /** For errors: the file, and its line or record. */
  readonly where: string;
}

/** The records of a file in order. Throws `not-found`, `bad-input` for what is no record, `bad-file` for a damaged file. */
export async function* readRecords(path: string): AsyncGenerator<DataRecord, void, void> {
  const start = await beginning(path);
  if (start.subarray(0, 4).toString("latin1") === "PAR1") yield* parquetRecords(path);
  else if (/^\uFEFF?\s*\[/.test(new TextDecoder(encodingOf(start).encoding).decode(start))) yield* listRecords(path);
  else yield* lineRecords(path);
}

async function beginning(path: string): Promise<Buffer> {
  const file = await openBinaryFile(path);
  try {
    return Buffer.from(await file.read(0, Math.min(file.size, 4096)));
  } finally {
    await file.close();
  }
}

const OPTIONS = { pythonNumbers: true, code: "bad-input", next: "give JSON Lines, a JSON list or Parquet" } as const;

async function* lineRecords(path: string): AsyncGenerator<DataRecord, void, void> {
  for await (const { text, number } of textLines(path)) {
    const where = `${path}:${number}`;
    if (text.trim() !== "") yield toRecord(parseJson(text, where, OPTIONS), where);
  }
}

async function* listRecords(path: string): AsyncGenerator<DataRecord, void, void> {
  let index = 0;
  for await (const item of jsonItems(path)) {
    const where = `${path}, record ${index++}`;
    yield toRecord(item, where);
  }
}

function toRecord(value: unknown, where: string): DataRecord {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CllmError("bad-input", `${where} is no JSON object: give one object with named fields for each record`);
  }
  return { fields: value as Record<string, unknown>, where };
}

/** What Node.js itself can decompress, beside the reader's own Snappy. */
function compressors(): Compressors {
  const zstd = (zlib as { zstdDecompressSync?: (bytes: Uint8Array) => Uint8Array }).zstdDecompressSync;
  return {
    GZIP: (bytes) => zlib.gunzipSync(bytes),
    BROTLI: (bytes) => zlib.brotliDecompressSync(bytes),
    ...(zstd && { ZSTD: (bytes) => zstd(bytes) }),
  };
}

const MAX_RECORDS = 100_000_000;

/**
 * A damaged footer can promise records without end, and columns of another schema, whose errors would be caught
 * nowhere.
 */
function requirePlausible(metadata: FileMetaData, byteLength: number): void {
  const { num_rows, row_groups } = metadata;
  const records = row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0);
  const root = parquetSchema(metadata);
  const exists = (path: readonly string[]): boolean => {
    let node: SchemaTree | undefined = root;
    for (const name of path) node = node?.children.find(({ element }) => element.name === name);
    return node !== undefined && node.children.length === 0;
  };
  const paths = ({ columns }: RowGroup) => columns.map(({ meta_data: chunk }) => chunk?.path_in_schema.join("\0"));
  const fits = row_groups.every(
    (group) =>
      new Set(paths(group)).size === group.columns.length &&
      group.columns.every(
        ({ meta_data: chunk }) =>
          Number(chunk?.total_compressed_size) <= byteLength && exists(chunk?.path_in_schema ?? []),
      ),
  );
  if (records !== Number(num_rows) || records > MAX_RECORDS || !fits) throw new Error("its footer contradicts itself");
}

async function* parquetRecords(path: string): AsyncGenerator<DataRecord, void, void> {
  let index = 0;
  const opened = await openBinaryFile(path);
  try {
    const file = parquetBuffer(opened);
    const metadata = await parquetMetadataAsync(file);
    requirePlausible(metadata, file.byteLength);
    let rowStart = 0;
    for (const { num_rows } of metadata.row_groups) {
      const rowEnd = rowStart + Number(num_rows);
      const options = { file, metadata, rowStart, rowEnd, compressors: compressors() };
      for (const fields of await parquetReadObjects(options)) yield { fields, where: `${path}, record ${index++}` };
      rowStart = rowEnd;
    }
  } catch (error) {
    if (error instanceof CllmError || (error as NodeJS.ErrnoException).code === "ENOENT") throw readError(error, path);
    const reason = error instanceof Error ? error.message : String(error);
    throw new CllmError("bad-file", `${path} cannot be read as Parquet, record ${index}: ${reason}`, { cause: error });
  } finally {
    await opened.close();
  }
}
