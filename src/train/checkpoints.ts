/**
 * What a run keeps so that it can go on: weights, moments and where it was, in a folder for each checkpoint, which appears
 * whole or not at all. The newest is kept, and whatever is older goes once the newer one is there. Knows no training.
 */
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { readSafetensorsHeader } from "../checkpoint/huggingface/safetensors.ts";
import { writeSafetensors } from "../checkpoint/huggingface/write-safetensors.ts";
import { storedWeights } from "../checkpoint/stored-weights.ts";
import { CllmError } from "../error.ts";
import { openBinaryFile } from "../files/binary-file.ts";
import { readJsonObject } from "../files/json.ts";
import { removeLeftovers } from "../files/scratch.ts";
import { writeText, writeWholeFolder } from "../files/write-whole.ts";
import type { Measured } from "./choice.ts";
import type { Parameters } from "./parameters.ts";

/** Where a run is. */
export interface RunState {
  /** Optimizer steps done. */
  readonly step: number;
  /** The source's place of the next batch. */
  readonly place: number;
  /** Tokens that went through the trainer. */
  readonly tokens: number;
  /** Seconds spent in all sessions so far. */
  readonly seconds: number;
  /** The best evaluation so far, and the latest. Steps up to the latest's are measured. */
  readonly best: Measured | null;
  readonly last: Measured | null;
  /** The most accurate evaluation so far: what a collapse is told by. */
  readonly peak: { readonly accuracy: number; readonly tokensPerForward: number } | null;
}

/** Older runs did not measure held-out losses: what they lack has a default. */
const measuredSchema: z.ZodType<Measured | null> = z
  .strictObject({
    step: z.int().min(0),
    examples: z.int().min(0).default(0),
    accuracy: z.number(),
    tokensPerForward: z.number(),
    heldOutLoss: z.number().nullable().default(null),
  })
  .nullable();

const stateSchema: z.ZodType<RunState> = z.strictObject({
  step: z.int().min(0),
  place: z.int().min(0),
  tokens: z.int().min(0),
  seconds: z.number().min(0),
  best: measuredSchema,
  last: measuredSchema.default(null),
  peak: z.strictObject({ accuracy: z.number(), tokensPerForward: z.number() }).nullable(),
});

const NAME = /^step-(\d{8})$/;
const STATE = "state.json";
const MAX_STATE_BYTES = 1 << 20;
const TENSORS = "tensors.safetensors";
/** Each trained tensor is stored with both its moments. */
const PARTS = ["data", "first", "second"] as const;

const nameOf = ({ step }: Pick<RunState, "step">): string => `step-${String(step).padStart(8, "0")}`;

const writeState = (checkpoint: string, state: RunState): Promise<void> =>
  writeText(checkpoint, STATE, `${JSON.stringify(state)}\n`);

/** Add to the checkpoint of `state.step`, which exists, what was measured of its weights. Throws `disk`. */
export async function updateCheckpoint(folder: string, state: RunState): Promise<void> {
  await writeState(join(folder, nameOf(state)), state);
}

/** Write a checkpoint of `parameters` below `folder`, then remove older ones. Throws `disk` and keeps them where it fails. */
export async function saveCheckpoint(folder: string, parameters: Parameters, state: RunState): Promise<void> {
  const name = nameOf(state);
  const write = async (partial: string): Promise<void> => {
    const tensors = parameters.trained.flatMap((tensor) =>
      PARTS.map((part) => ({ name: `${part}:${tensor.name}`, shape: tensor.shape, data: tensor[part] })),
    );
    await writeSafetensors(join(partial, TENSORS), tensors);
    await writeState(partial, state);
  };
  await writeWholeFolder(join(folder, name), write, { overwrite: true, marker: STATE });
  await removeOlder(folder, name);
}

async function removeOlder(folder: string, newest: string): Promise<void> {
  for (const entry of await readdir(folder)) {
    if (entry === newest || !NAME.test(entry)) continue;
    await rm(join(folder, entry), { recursive: true, force: true });
  }
}

/** Where a run's folder keeps its checkpoints. */
export const checkpointFolder = (folder: string): string => join(folder, "checkpoints");

/** Path of the newest checkpoint below `folder`; null where there is none. */
async function newestOf(folder: string): Promise<string | null> {
  const entries = await readdir(folder).catch(() => []);
  const newest = entries
    .filter((entry) => NAME.test(entry))
    .sort()
    .at(-1);
  return newest === undefined ? null : join(folder, newest);
}

/** What a run's folder has saved of it; null for nothing. Throws `bad-file` where that is damaged. */
export async function savedState(folder: string): Promise<RunState | null> {
  const checkpoint = await newestOf(checkpointFolder(folder));
  return checkpoint === null ? null : readState(checkpoint);
}

async function readState(checkpoint: string): Promise<RunState> {
  const path = join(checkpoint, STATE);
  const missing = [STATE, TENSORS].find((name) => !existsSync(join(checkpoint, name)));
  if (missing !== undefined) throw damaged(checkpoint, `it has no ${missing}`);
  const state = stateSchema.safeParse(await readJsonObject(path, MAX_STATE_BYTES));
  if (!state.success) throw damaged(path, z.prettifyError(state.error));
  return state.data;
}

/** Put the newest checkpoint below `folder` into `parameters`. Null where there is none. Throws `bad-file` for a damaged one. */
export async function loadCheckpoint(folder: string, parameters: Parameters): Promise<RunState | null> {
  await removeLeftovers(folder);
  const path = await newestOf(folder);
  if (path === null) return null;
  const state = await readState(path);
  const file = await openBinaryFile(join(path, TENSORS));
  const weights = storedWeights(await readSafetensorsHeader(file), () => file.close());
  try {
    for (const tensor of parameters.trained) {
      for (const part of PARTS) {
        const name = `${part}:${tensor.name}`;
        if (!weights.has(name) || weights.shape(name).join() !== tensor.shape.join()) {
          throw damaged(path, `it has no ${name} of shape [${tensor.shape.join(", ")}]`);
        }
        tensor[part].set(await weights.read(name));
      }
    }
  } finally {
    await weights.close();
  }
  return state;
}

function damaged(path: string, why: string): CllmError {
  return new CllmError("bad-file", `the checkpoint ${path} cannot be resumed: ${why}; delete it to begin anew`);
}
