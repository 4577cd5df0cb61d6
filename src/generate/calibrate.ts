/**
 * What a pass of m tokens costs here, for `auto`: measured in a second or two on a small model, then kept in the cache
 * folder under everything that it depends on. A cache that is damaged or cannot be written is no error; it is measured
 * again. Knows a `Session` and nothing of what is inside.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { cpus, homedir, platform } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { CllmError } from "../error.ts";
import { readJsonObject } from "../files/json.ts";
import { removeLeftovers } from "../files/scratch.ts";
import { writeWhole } from "../files/write-whole.ts";
import { hash } from "../hash.ts";
import type { Session } from "../runtime/session.ts";
import type { PassCosts } from "./types.ts";

/**
 * Tokens in a pass that are measured, all up to 8: costs rise in steps there, which straight lines would miss. One is
 * run as two, but needs only one choice where tokens are sampled.
 */
export const CALIBRATED_SIZES: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32];

const CONTEXT = 64; // tokens that every measured pass looks back at
const ROUNDS = 25; // of a small model
const ENOUGH_ROUNDS = 5;
const BUDGET_MS = 2000;
const LONGEST_MS = 4000; // big models: one round must do
const LONG_PASS_MS = 200; // and caches hold nothing of them anyway
const MAX_FILE_BYTES = 1 << 20;
const MAX_AGE_MS = 7 * 24 * 3600 * 1000; // machines change: other programs, drivers, power settings

export interface CalibrateOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called after each pass. */
  readonly onPass?: (done: number, total: number) => void;
}

/**
 * Milliseconds of a pass by its number of tokens. What decisions need is how they compare, on this machine as it is: each
 * size's cost is the median, over rounds through all sizes, of what it took beside the geometric mean of the same round. The
 * shortest pass of each size told of different moments, and on a busy machine nothing of what wide passes suffer there.
 * Sizes that the context has no room for are left out. The session must be empty; it is left empty.
 */
export async function measurePassCosts(
  session: Session,
  { signal, onPass }: CalibrateOptions = {},
): Promise<PassCosts> {
  const ids = Int32Array.from({ length: CONTEXT }, (_, i) => hash(i) % session.vocabSize);
  const context = ids.subarray(0, Math.min(CONTEXT, Math.floor(session.contextLength / 2)));
  const sizes = CALIBRATED_SIZES.filter((size) => context.length + size <= session.contextLength);
  const rounds: number[][] = []; // [round][size]: milliseconds
  const pass = async (size: number): Promise<number> => {
    if (signal?.aborted) throw new CllmError("aborted", "the calibration was aborted", { cause: signal.reason });
    const start = performance.now();
    await session.forward(ids.subarray(0, size));
    const elapsed = performance.now() - start;
    session.truncate(context.length);
    return elapsed;
  };
  await session.forward(context);
  const begin = performance.now();
  let last = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const times: number[] = [];
    if (last < LONG_PASS_MS) await pass(sizes[0]!); // what a wide pass left in the processor's caches
    for (const [index, size] of sizes.entries()) {
      last = await pass(size);
      times.push(last);
      onPass?.(round * sizes.length + index + 1, ROUNDS * sizes.length);
    }
    rounds.push(times);
    const elapsed = performance.now() - begin;
    if (elapsed > LONGEST_MS || (round + 1 >= ENOUGH_ROUNDS && elapsed > BUDGET_MS)) break;
  }
  session.truncate(0);
  const paces = rounds.map(geometricMean);
  const pace = median(paces);
  return new Map(sizes.map((size, i) => [size, pace * median(rounds.map((times, r) => times[i]! / paces[r]!))]));
}

const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** The middle one, or the lower of the two. */
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[(values.length - 1) >> 1]!;

const packageFile = new URL("../../package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(packageFile, "utf8")) as { readonly version: string };

/** The file's content: what it is for, and the costs as pairs. */
const fileSchema = z.strictObject({
  key: z.string(),
  costs: z.array(z.tuple([z.int().min(1), z.number().positive()])).min(1),
});

/**
 * The costs under `key` in the folder, or else what `measure` gives, kept for the next time. The key names everything that
 * the costs depend on; processor, runtime and this package's version are added to it here. Older than a week, they are
 * measured again.
 */
export async function cachedPassCosts(
  folder: string,
  key: readonly (string | number)[],
  measure: () => Promise<PassCosts>,
): Promise<PassCosts> {
  const machine = [cpus().length, cpus()[0]?.model, platform(), process.versions.node];
  const whole = JSON.stringify([...key, CALIBRATED_SIZES, version, ...machine]);
  const name = createHash("sha256").update(whole).digest("hex").slice(0, 24);
  const file = join(folder, "calibration", `${name}.json`);
  await removeLeftovers(join(folder, "calibration"));
  try {
    const known = fileSchema.parse(await readJsonObject(file, MAX_FILE_BYTES));
    const { mtimeMs } = await stat(file);
    if (known.key === whole && Date.now() - mtimeMs < MAX_AGE_MS) return new Map(known.costs);
  } catch {
    // None yet, or damaged.
  }
  const costs = await measure();
  const content = JSON.stringify({ key: whole, costs: [...costs] });
  await writeWhole(file, (handle) => handle.writeFile(content)).catch(() => {});
  return costs;
}

/** Measures at most once: whoever asks meanwhile waits, and measures himself where the first one failed. */
export function measuredOnce(
  measure: (signal: AbortSignal | undefined) => Promise<PassCosts>,
): (signal?: AbortSignal) => Promise<PassCosts> {
  let known: PassCosts | null = null;
  let measuring: Promise<PassCosts> | null = null;
  return async (signal) => {
    while (known === null && measuring !== null) await measuring.catch(() => {});
    if (known !== null) return known;
    measuring = measure(signal);
    try {
      known = await measuring;
      return known;
    } finally {
      measuring = null;
    }
  };
}

/** Where calibrations are kept: `CLLM_CACHE`, else the platform's folder for caches. */
export function defaultCacheFolder(): string {
  const { CLLM_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (CLLM_CACHE) return CLLM_CACHE;
  if (platform() === "darwin") return join(homedir(), "Library", "Caches", "cllm");
  if (platform() === "win32" && LOCALAPPDATA) return join(LOCALAPPDATA, "cllm");
  return join(XDG_CACHE_HOME || join(homedir(), ".cache"), "cllm");
}
