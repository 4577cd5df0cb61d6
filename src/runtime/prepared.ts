/**
 * Prepared models: decode graphs and their constants in files of a cache folder, made once and then mapped into memory, so
 * that a model loads in the time that the engine takes to look at it, and its weights are in memory once however many graphs
 * and processes use them. A folder appears whole or not at all, and one that is damaged or of another form is made anew.
 * Knows what a prepared model consists of and not what is computed.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { dirname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { CllmError } from "../error.ts";
import { acquireLock } from "../files/lock.ts";
import { recoverFolder } from "../files/scratch.ts";
import { writeWhole, writeWholeFolder } from "../files/write-whole.ts";
import { type ExternalEntries, externalConstants, relocated } from "../graph/one-file.ts";
import type { DraftAdapter } from "../model/draft-adapter.ts";
import type { Weights } from "../model/weights.ts";
import type { GraphPlan } from "./build-graph.ts";
import { ENGINE_VERSION } from "./ort.ts";
import { freeUnits, hollowGraph, makePart, type Part, stopParts } from "./prepare.ts";
import type { FromPreparing, PrepareTask, WeightSource } from "./prepare-worker.ts";
import { evict, FORMAT, INFO, isSound, seal } from "./prepared-cache.ts";

/** Where prepared models are kept, and what this one is known by. */
export interface PreparedOptions {
  /** The folder of all prepared models. */
  readonly folder: string;
  /** Names the weights: whatever else the files depend on is added here. */
  readonly identity: string;
  /** What `cllm cache list` calls it. */
  readonly name: string;
  /** How threads open the weights; null: they are read in this thread. */
  readonly source: WeightSource | null;
  /** Bytes that all prepared models may take together. Those that were used least recently go first. */
  readonly limitBytes: number;
  /** What this thread can do while others prepare the model: called at most once, and what it throws ends the preparation. */
  readonly beside?: (() => void) | undefined;
  /** Told once where a model cannot be kept: it is prepared in memory then. */
  readonly onNote?: ((line: string) => void) | undefined;
}

const WAIT_MS = 200;
/** A lock is touched every few seconds. */
const SILENT_MS = 60_000;

/** The paths of a model's graphs of so many slots, without a draft adapter and with the one that is asked for. */
export interface GraphFiles {
  readonly plain: string;
  readonly drafting: string | null;
}

/** What was made of a prepared model, which may still be on its way to the disk. */
export interface Used<T> {
  readonly value: T;
  /** Ends when the folder has its name, or a note says why it has not. Never throws. */
  readonly kept: Promise<void>;
}

/** A folder cannot be renamed there while its files are mapped into memory. */
const HELD_BY_NAME = process.platform === "win32";

/**
 * Calls `use` with the graphs of `slots` slots each, prepared before or now; null where the folder cannot be written, after a note.
 * A model that is prepared now is used while its files go to the disk. Throws what preparing and `use` throw.
 */
export async function withPrepared<T>(
  options: PreparedOptions,
  plan: GraphPlan,
  weights: Weights,
  slots: readonly number[],
  use: (graphs: ReadonlyMap<number, GraphFiles>) => Promise<T>,
  onUnit: (done: number, total: number) => void,
  signal: AbortSignal | undefined,
  draft: DraftAdapter | null = null,
): Promise<Used<T> | null> {
  const machine = [cpus()[0]?.model, process.arch, process.platform, ENGINE_VERSION];
  const { config, ...rest } = plan;
  const { draftTokenId: _, leadingDraft: __, ...sizes } = config; // what is drafted is not in the graph
  const key = JSON.stringify([FORMAT, options.identity, sizes, rest, slots, machine]);
  const folder = join(options.folder, createHash("sha256").update(key).digest("hex").slice(0, 32));

  const graphsIn = async (place: string): Promise<ReadonlyMap<number, GraphFiles>> => {
    const graphs = new Map<number, GraphFiles>();
    for (const count of slots) {
      const plain = join(place, `graph-${count}.onnx`);
      const drafting = draft === null ? null : await draftGraph(plain, draft, plan, weights, count);
      graphs.set(count, { plain, drafting });
    }
    return graphs;
  };
  const tryUse = async (): Promise<Used<T> | null> => {
    await recoverFolder(folder);
    if (!(await isSound(folder, key))) return null;
    try {
      const value = await use(await graphsIn(folder));
      const now = new Date();
      await utimes(join(folder, INFO), now, now).catch(() => {}); // a cache that is read-only is fine
      return { value, kept: Promise.resolve() };
    } catch (error) {
      if (error instanceof CllmError && error.code === "engine") return null; // what cannot be read is made anew
      throw error;
    }
  };
  /** Makes the folder. `early` gets the model as soon as its files are written. */
  const make = async (early: (value: T) => void): Promise<void> => {
    await rm(folder, { recursive: true, force: true }); // damaged, or of another form
    const write = async (partial: string): Promise<void> => {
      await prepare(options, plan, weights, slots, partial, onUnit, signal);
      const graphs = HELD_BY_NAME ? null : await graphsIn(partial);
      await Promise.all([graphs && use(graphs).then(early), seal(partial, key, options.name)]);
    };
    await writeWholeFolder(folder, write, { marker: INFO });
    await evict(options.folder, options.limitBytes, folder);
  };

  const note = (error: CllmError): void =>
    options.onNote?.(`the prepared model cannot be kept (${error.message}); it is prepared in memory each time`);
  /** Ends with what is used as soon as there is something; the lock is held until all is on the disk. */
  const useWhenFree = (lock: AsyncDisposable): Promise<Used<T> | null> =>
    new Promise((resolve, reject) => {
      let isUsed = false;
      const give = (used: Used<T> | null): void => {
        isUsed = true;
        resolve(used);
      };
      const all = async (): Promise<void> => {
        await using _ = lock;
        const meanwhile = await tryUse();
        if (meanwhile !== null) return give({ value: meanwhile.value, kept });
        await make((value) => give({ value, kept }));
        if (!isUsed) give(await tryUse());
      };
      const kept = all().catch((error) => (isUsed && isMishap(error) ? note(error) : reject(error)));
    });

  try {
    return (await tryUse()) ?? (await useWhenFree(await lockWhenFree(folder, signal)));
  } catch (error) {
    if (!isMishap(error)) throw error;
    note(error);
    return null;
  }
}

/** Whether a model can still be prepared in memory: there is no room, no right to write, or what was written cannot be read. */
function isMishap(error: unknown): error is CllmError {
  return error instanceof CllmError && ["disk", "usage", "engine"].includes(error.code);
}

/** Changes where the graph with a draft adapter does, and that without one does not. */
const DRAFT_FORM = 3;

/**
 * The graph beside `plain` that has the draft adapter too, made if need be: the same constants in the same files, so that a model and any
 * number of draft adapters have them in memory once.
 */
async function draftGraph(
  plain: string,
  draft: DraftAdapter,
  plan: GraphPlan,
  weights: Weights,
  slots: number,
): Promise<string> {
  const hash = createHash("sha256").update(`form ${DRAFT_FORM}\0`);
  for (const [module, { rank, scale, a, b }] of draft) {
    hash.update(`${module}\0${rank}\0${scale}\0`);
    for (const { buffer, byteOffset, byteLength } of [a, b])
      hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  const path = join(dirname(plain), `draft-${hash.digest("hex").slice(0, 32)}-${slots}.onnx`);
  if (existsSync(path)) return path;
  const places = externalConstants(await readFile(plain)).map(({ entries }) => entries);
  const graph = relocated(await hollowGraph(plan, weights, slots, draft), ({ length }, index) => {
    const place = places[index];
    if (place?.["length"] !== length)
      throw new CllmError(
        "engine",
        `constant ${index} has ${length} bytes with a draft adapter, which the prepared model has not`,
      );
    return place as ExternalEntries;
  });
  await writeWhole(path, (file) => file.writeFile(graph));
  return path;
}

/** Waits for another process that prepares the same model, as long as its lock shows a sign of life. Throws `usage` else. */
async function lockWhenFree(folder: string, signal: AbortSignal | undefined): Promise<AsyncDisposable> {
  for (;;) {
    try {
      return await acquireLock(folder, signal ? { signal } : {});
    } catch (error) {
      if (!(error instanceof CllmError) || error.code !== "usage") throw error;
      const { mtimeMs } = (await stat(`${folder}.lock`).catch(() => null)) ?? { mtimeMs: Date.now() };
      if (Date.now() - mtimeMs > SILENT_MS) throw error;
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
      if (signal?.aborted) throw new CllmError("aborted", "loading the model was aborted", { cause: signal.reason });
    }
  }
}

/** Makes all files of a prepared model in `folder`, but for the list of them. */
async function prepare(
  { source, beside }: PreparedOptions,
  plan: GraphPlan,
  weights: Weights,
  slots: readonly number[],
  folder: string,
  onUnit: (done: number, total: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const total = plan.config.layers + 1; // all layers, and the vocabulary
  let done = 0;
  const unit = (): void => {
    if (signal?.aborted) throw new CllmError("aborted", "loading the model was aborted", { cause: signal.reason });
    onUnit(done++, total);
  };
  const threads = source === null || !WORKER_FILE ? 1 : Math.min(availableParallelism(), total);
  const parts =
    threads === 1 || source === null
      ? [await makePart(plan, weights, folder, { index: 0, taken: freeUnits(plan.config) }, unit)]
      : await makeParts({ source, plan, folder }, threads, unit, signal, beside);
  const places = new Map(parts.flatMap((part) => part.places));
  for (const count of slots) {
    const graph = count === 1 ? (parts[0] as Part).graph : await hollowGraph(plan, weights, count);
    const wanted = externalConstants(graph).length;
    if (wanted !== places.size) throw new Error(`a graph of ${wanted} constants, of which ${places.size} were made`);
    const placed = relocated(graph, ({ length }, index) => {
      const place = places.get(index);
      if (place?.["length"] !== length)
        throw new Error(`constant ${index} has ${length} bytes in a graph of ${count} slots`);
      return place ?? {};
    });
    await writeFile(join(folder, `graph-${count}.onnx`), placed);
  }
  onUnit(total, total);
}

/** Null where this file is no compiled one, which a thread could not run. */
const WORKER_FILE: URL | null = import.meta.url.endsWith(".js")
  ? new URL("./prepare-worker.js", import.meta.url)
  : null;

/**
 * All parts, each by a thread of its own. Where one fails, the others end before their next unit: to end a thread while it is
 * inside the engine would end the process.
 */
async function makeParts(
  task: Omit<PrepareTask, "share">,
  threads: number,
  onUnit: () => void,
  signal: AbortSignal | undefined,
  beside: (() => void) | undefined,
): Promise<Part[]> {
  const taken = freeUnits(task.plan.config);
  const failures: unknown[] = [];
  const stop = (error: unknown): void => {
    failures.push(error);
    stopParts(taken);
  };
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      stop(error);
    }
  };
  const run = (index: number): Promise<Part | null> =>
    new Promise((resolve) => {
      const workerData: PrepareTask = { ...task, share: { index, taken } };
      const worker = new Worker(WORKER_FILE as URL, { workerData, execArgv: [] });
      const end = (part: Part | null): void => {
        resolve(part);
        void worker.terminate();
      };
      worker.on("message", (message: FromPreparing) => {
        if (message.type === "unit") return attempt(onUnit);
        if (message.type === "failed") stop(new CllmError(message.code, message.message));
        end(message.type === "done" ? message.part : null);
      });
      worker.on("error", stop);
      worker.on("exit", () => resolve(null)); // nothing new for one that has said how it ended
    });
  const abort = (): void => stop(new CllmError("aborted", "loading the model was aborted", { cause: signal?.reason }));
  signal?.addEventListener("abort", abort, { once: true });
  try {
    const running = Array.from({ length: threads }, (_, index) => run(index));
    if (beside) attempt(beside);
    const parts = (await Promise.all(running)).filter((part) => part !== null);
    if (failures.length > 0) throw failures[0];
    if (parts.length < threads) throw new Error("a thread that prepares the model ended");
    return parts;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}
