/**
 * Which shard a command works on: the one that its flag names, else the one that the scheduler's environment gives. The only file
 * that knows schedulers. Knows nothing of the work.
 */
import * as z from "zod";
import { CllmError } from "../error.ts";
import { MAX_SHARDS, type Shard, shardText } from "../files/shards.ts";
import type { Fields } from "../generate/options.ts";
import { inGroup } from "./flags.ts";

export interface ShardSettings {
  readonly shard: string | undefined;
  readonly shards: number | undefined;
}

export const shardFields: Fields<ShardSettings> = inGroup("Shards", {
  shard: z.string().min(1).optional().meta({
    description: "do only this part, such as 3/8; none does all; default: what a scheduler's array job sets",
    placeholder: "i/n",
  }),
  shards: z.int().min(1).max(MAX_SHARDS).optional().meta({
    description: "how many there are, where the scheduler tells only which one this is",
    placeholder: "n",
  }),
});

/** What a scheduler sets: where its index is, what it counts from, and how many there are. */
interface Scheduler {
  readonly name: string;
  readonly index: string;
  readonly count: string | null;
  /** The first index, or the variable that tells it. */
  readonly first: number | string;
  /** The variable that tells the distance of two indices. */
  readonly step?: string;
}

const SCHEDULERS: readonly Scheduler[] = [
  {
    name: "Slurm",
    index: "SLURM_ARRAY_TASK_ID",
    count: "SLURM_ARRAY_TASK_COUNT",
    first: "SLURM_ARRAY_TASK_MIN",
    step: "SLURM_ARRAY_TASK_STEP",
  },
  { name: "Kubernetes", index: "JOB_COMPLETION_INDEX", count: null, first: 0 },
  { name: "AWS Batch", index: "AWS_BATCH_JOB_ARRAY_INDEX", count: "AWS_BATCH_JOB_ARRAY_SIZE", first: 0 },
  { name: "Cloud Run", index: "CLOUD_RUN_TASK_INDEX", count: "CLOUD_RUN_TASK_COUNT", first: 0 },
  { name: "SkyPilot", index: "SKYPILOT_JOB_RANK", count: "SKYPILOT_NUM_JOBS", first: 0 },
  { name: "CI", index: "CI_NODE_INDEX", count: "CI_NODE_TOTAL", first: 1 },
];

/** The names that are read, for the documentation. */
export const SHARD_VARIABLES: readonly string[] = SCHEDULERS.flatMap(({ index, count, first, step }) =>
  [index, count, first, step].filter((name) => typeof name === "string"),
);

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The shard of this process; undefined where it is to do all. A flag wins; what the environment says is noted. Throws `usage` for
 * an index without a count, and for one that is outside it.
 *
 * @example shardOf({ shard: "3/8", shards: undefined }, process.env, console.error); // { index: 3, count: 8 }
 */
export function shardOf(
  { shard, shards }: ShardSettings,
  env: Environment,
  note: (line: string) => void,
): Shard | undefined {
  if (shard !== undefined) return fromFlag(shard, shards);
  const scheduler = SCHEDULERS.find(({ index }) => (env[index] ?? "") !== "");
  if (scheduler === undefined) {
    if (shards === undefined) return undefined;
    throw new CllmError(
      "usage",
      `--shards ${shards} without a scheduler's index: say which one this is, as in --shard 1/${shards}`,
    );
  }
  const found = fromEnvironment(scheduler, shards, env);
  note(
    `${shardText(found)}: ${scheduler.index} of ${scheduler.name} is ${env[scheduler.index]}; --shard none does all`,
  );
  return found;
}

function fromFlag(shard: string, shards: number | undefined): Shard | undefined {
  const next = "give one such as 3/8, from 1/8 to 8/8";
  if (shard === "none") return undefined;
  const [, index, count] = /^(\d{1,9})\/(\d{1,9})$/.exec(shard.trim()) ?? [];
  if (count === undefined) {
    const alone = /^\d+$/.test(shard.trim()) ? `--shard ${shard} has no count` : `--shard ${shard} is no shard`;
    throw new CllmError("usage", `${alone}; ${next}`);
  }
  if (shards !== undefined && shards !== Number(count)) {
    throw new CllmError("usage", `--shard ${shard} and --shards ${shards} name two counts; omit --shards`);
  }
  return checked(Number(index), Number(count), `--shard ${shard}`, next);
}

function fromEnvironment(
  { name, index, count, first, step }: Scheduler,
  shards: number | undefined,
  env: Environment,
): Shard {
  const number = (variable: string, least = 0): number => {
    const value = env[variable]!;
    if (/^\d{1,9}$/.test(value) && Number(value) >= least) return Number(value);
    throw new CllmError(
      "usage",
      `${variable} is ${JSON.stringify(value)}, no number from ${least}; give --shard, or --shard none`,
    );
  };
  const has = (variable: string): boolean => (env[variable] ?? "") !== "";
  const total = shards ?? (count !== null && has(count) ? number(count, 1) : undefined);
  if (total === undefined) {
    const told = count === null ? `${name} does not tell how many there are` : `${count} is not set`;
    throw new CllmError("usage", `${index} is ${env[index]}, but ${told}; give --shards n, or --shard none for all`);
  }
  const from = typeof first === "number" ? first : has(first) ? number(first) : 0;
  const distance = step !== undefined && has(step) ? number(step, 1) : 1;
  const what = `${index} ${env[index]} of ${total}`;
  return checked((number(index) - from) / distance + 1, total, what, "give --shard i/n, or --shard none for all");
}

function checked(index: number, count: number, what: string, next: string): Shard {
  if (count < 1 || count > MAX_SHARDS) {
    throw new CllmError("usage", `${what}: there may be 1 to ${MAX_SHARDS} shards; ${next}`);
  }
  if (Number.isInteger(index) && index >= 1 && index <= count) return { index, count };
  throw new CllmError("usage", `${what}: there is no shard ${index} of ${count}; ${next}`);
}
