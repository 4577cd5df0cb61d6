/**
 * What a trajectory file says about itself: the model, how it was collected, and what came of it. snake_case on disk,
 * camelCase inside; this file is the only place that knows both. Knows no file format.
 */
import * as z from "zod";
import { CllmError } from "../error.ts";
import { type Shard, shardText } from "../files/shards.ts";
import { check } from "../generate/check.ts";
import { DROP_REASONS, type DropReason } from "./clean.ts";
import type { ModelIdentity } from "./identity.ts";
import type { TrajectoryReport } from "./measure.ts";

/** All that decides what is in the file: the same settings, the same bytes. */
export interface CollectionSettings {
  /** For people: what the prompts were read from. */
  readonly data: string;
  /** Of ids, prompts and labels, as tokens. */
  readonly prompts: string;
  readonly precision: string;
  /** Where the model ran; files that do not say were made on the processor. */
  readonly device?: string | undefined;
  /** Of one pass: sums are exact for the same number only. */
  readonly threads: number;
  readonly blockSize: number;
  /** null: 256, or what the context leaves. */
  readonly maxNewTokens: number | null;
  readonly seed: number;
  readonly stopIds: readonly number[];
  readonly augment: boolean;
  readonly clean: boolean;
  readonly requireEnd: boolean;
  readonly maxPromptTokens: number | null;
  readonly maxSequenceTokens: number | null;
}

export type TrajectoryFormat = "parquet" | "cllm-json";

/** A part of a collection, and what the whole will be written as. */
export interface CollectionShard extends Shard {
  readonly format: TrajectoryFormat;
}

export interface CollectionInfo {
  readonly model: ModelIdentity;
  /** Of the whole, also in a shard. */
  readonly settings: CollectionSettings;
  /** Only of a shard. Its points are as Jacobi decoding visited them: the whole is augmented. */
  readonly shard?: CollectionShard;
}

export interface CollectionReport {
  readonly prompts: number;
  readonly kept: number;
  readonly dropped: Readonly<Record<DropReason, number>>;
  /** Of those kept, completions that the budget ended. */
  readonly withoutEnd: number;
  readonly augmentedPoints: number;
  readonly augmentedTokens: number;
  /** Of what was kept, before augmentation. */
  readonly measures: TrajectoryReport;
}

const countSchema = z.int().min(0);
const limitSchema = z.int().min(1).nullable();
const figureSchema = z.number().min(0);

const modelSchema = z.strictObject({
  name: z.string(),
  vocab_size: z.int().min(1),
  weights: z.string(),
  tokenizer: z.string(),
});

const settingsSchema = z.strictObject({
  data: z.string(),
  prompts: z.string(),
  precision: z.string(),
  device: z.string().optional(),
  threads: countSchema,
  block_size: z.int().min(1),
  max_new_tokens: limitSchema,
  seed: countSchema,
  stop_ids: z.array(countSchema),
  augment: z.boolean(),
  clean: z.boolean(),
  require_end: z.boolean(),
  max_prompt_tokens: limitSchema,
  max_sequence_tokens: limitSchema,
});

const measuresSchema = z.strictObject({
  completions: countSchema,
  tokens: countSchema,
  blocks: countSchema,
  points: countSchema,
  iterations: countSchema,
  iterations_per_block: figureSchema,
  fast_forwarded: figureSchema,
  stationary: figureSchema,
  collocations: z.array(z.strictObject({ ids: z.array(countSchema), count: countSchema })),
  distinct_collocations: countSchema,
});

const reportSchema = z.strictObject({
  prompts: countSchema,
  kept: countSchema,
  dropped: z.partialRecord(z.enum(DROP_REASONS), countSchema),
  without_end: countSchema,
  augmented_points: countSchema,
  augmented_tokens: countSchema,
  measures: measuresSchema,
});

const shardSchema = z.strictObject({
  index: z.int().min(1),
  count: z.int().min(1),
  format: z.enum(["parquet", "cllm-json"]),
});

const infoSchema = z.strictObject({
  version: z.literal(1),
  model: modelSchema,
  settings: settingsSchema,
  shard: shardSchema.optional(),
});

/** As JSON, for the metadata of a file and the first line of a journal. */
export function encodeInfo({ model, settings, shard }: CollectionInfo): string {
  return JSON.stringify({ version: 1, model: toSnake(model), settings: toSnake(settings), shard });
}

/** Throws `bad-file`; `what` names the file. */
export function decodeInfo(json: string, what: string): CollectionInfo {
  const { model, settings, shard } = check(infoSchema, parse(json, what), { what, code: "bad-file" });
  return toCamel({ model, settings, ...(shard !== undefined && { shard }) }) as CollectionInfo;
}

export function encodeReport(report: CollectionReport): string {
  const { dropped, ...rest } = report;
  return JSON.stringify({ ...(toSnake(rest) as object), dropped });
}

/** Throws `bad-file`. */
export function decodeReport(json: string, what: string): CollectionReport {
  const { dropped, ...rest } = check(reportSchema, parse(json, what), { what, code: "bad-file" });
  return { ...(toCamel(rest) as CollectionReport), dropped: { ...noneDropped(), ...dropped } };
}

export function noneDropped(): Record<DropReason, number> {
  return Object.fromEntries(DROP_REASONS.map((reason) => [reason, 0])) as Record<DropReason, number>;
}

/** The settings that differ, for people: `blockSize is 16 there and 8 here`. */
export function differences(there: CollectionInfo, here: CollectionInfo): string[] {
  const [part, own] = [there, here].map(({ shard }) => (shard === undefined ? "the whole" : shardText(shard)));
  const formats = [there, here].map(({ shard }) => shard?.format ?? "none");
  const parts = part === own ? [] : [`it is ${part} there and ${own} here`];
  if (part === own && formats[0] !== formats[1]) parts.push(`format is ${formats[0]} there and ${formats[1]} here`);
  const settings = (Object.keys(here.settings) as (keyof CollectionSettings)[])
    .filter((key) => JSON.stringify(there.settings[key]) !== JSON.stringify(here.settings[key]))
    .map((key) =>
      key === "prompts"
        ? "the prompts are others"
        : `${key} is ${JSON.stringify(there.settings[key])} there and ${JSON.stringify(here.settings[key])} here`,
    );
  return [...parts, ...settings];
}

function parse(json: string, what: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new CllmError("bad-file", `${what} is not JSON (${(error as Error).message}): collect again`, {
      cause: error,
    });
  }
}

const toSnake = (value: unknown): unknown =>
  renamed(value, (key) => key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
const toCamel = (value: unknown): unknown =>
  renamed(value, (key) => key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()));

/** The same value with other keys, all the way down. */
function renamed(value: unknown, rename: (key: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item) => renamed(item, rename));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [rename(key), renamed(item, rename)]));
}
