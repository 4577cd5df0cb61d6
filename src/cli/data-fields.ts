/**
 * The flags that name a data set and say which of its fields are used, for every command that reads one. Reads nothing.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import type { Fields } from "../generate/options.ts";
import type { DatasetOptions } from "../trajectory/dataset.ts";

export interface DataSettings {
  readonly data: string | undefined;
  readonly dataDir: string | undefined;
  readonly promptField: string | undefined;
  readonly answerField: string | undefined;
  readonly messagesField: string | undefined;
  readonly idField: string | undefined;
  readonly template: string | undefined;
  readonly chatTemplate: string | undefined;
  readonly raw: boolean;
  readonly limit: number | undefined;
  readonly skipBadRecords: boolean;
  readonly strictData: boolean;
}

const field = (description: string) =>
  z.string().min(1).optional().meta({ description, placeholder: "field" }) satisfies z.ZodType;

/** For commands that need one. */
export const dataField: z.ZodType<string> = z
  .string()
  .min(1)
  .meta({ description: "JSON Lines, JSON or Parquet file, or a known data set", placeholder: "data" });

export const dataFields: Fields<DataSettings> = {
  data: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "JSON Lines, JSON or Parquet file, or a known data set", placeholder: "data" }),
  dataDir: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "folder of the known data sets; default: CLLM_DATA", placeholder: "folder" }),
  promptField: field("the field that is the prompt"),
  answerField: field("the field that is the data set's own answer"),
  messagesField: field("the field that is a conversation"),
  idField: field("the field that tells records apart; default: their number"),
  template: z
    .string()
    .min(1)
    .optional()
    .meta({ description: 'the prompt out of fields, such as "Q: {question}\\nA:"', placeholder: "text" }),
  chatTemplate: z.string().min(1).optional().meta({
    description: "which of the model's named chat templates; default: the one named default",
    placeholder: "name",
  }),
  raw: z.boolean().default(false).meta({ description: "continue prompts as they are, without the chat template" }),
  limit: z.int().min(1).optional().meta({ description: "only the first records", placeholder: "records" }),
  skipBadRecords: z
    .boolean()
    .default(false)
    .meta({ description: "leave out records that cannot be used, instead of an error" }),
  strictData: z
    .boolean()
    .default(false)
    .meta({ description: "a conversation with a turn of an unknown role is an error, and not left out" }),
};

/** The folder of the known data sets, if there is one. In a checkout, data lies beside it as models do. */
export function dataFolder(given: string | undefined): string | undefined {
  const named = given ?? (process.env["CLLM_DATA"] || undefined);
  const checkout = fileURLToPath(new URL("../..", import.meta.url));
  const beside = join(checkout, "..", "shared", "data");
  return named ?? (existsSync(join(checkout, "src")) && existsSync(beside) ? beside : undefined);
}

export function datasetOptions(settings: DataSettings): DatasetOptions {
  const { promptField, answerField, messagesField, idField, template, limit, skipBadRecords, strictData } = settings;
  const dataDir = dataFolder(settings.dataDir);
  return {
    promptField,
    answerField,
    messagesField,
    idField,
    template,
    limit,
    skipBadRecords,
    strictData,
    dataDir,
  };
}
