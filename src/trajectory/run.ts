/**
 * A collection from beginning to end: every prompt once, through a journal, into one file. Interrupted at any moment and
 * run again with the same settings it goes on where it was, and the file is the same, byte for byte. Knows neither text
 * nor terminals.
 */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { CllmError } from "../error.ts";
import { acquireLock, type Lock } from "../files/lock.ts";
import { shardRange } from "../files/shards.ts";
import type { Session } from "../runtime/session.ts";
import { type CleanOptions, createCleaner, type DropReason } from "./clean.ts";
import { type CollectOptions, collect, completionBudget } from "./collect.ts";
import { requireIdentity } from "./identity.ts";
import { type CollectionInfo, type CollectionReport, differences, type TrajectoryFormat } from "./info.ts";
import { type Journal, openJournal } from "./journal.ts";
import { writeOriginalJson } from "./original-json.ts";
import { readTrajectoryInfo, writeTrajectories } from "./store.ts";
import { createTally, type Tally } from "./tally.ts";
import type { CollectedCompletion, CollectionPrompt } from "./types.ts";

/** A prompt, or the record of a data set that gives none. */
export type Candidate = CollectionPrompt | { readonly dataId: string; readonly unusable: true };

export interface RunOptions {
  /** Of a shard its own file, as `shardPath` names it. */
  readonly output: string;
  /** Shards are Parquet, whatever the whole will be. */
  readonly format: TrajectoryFormat;
  /** Where it names a shard, only that part of the prompts is collected. */
  readonly info: CollectionInfo;
  /** See `CollectOptions`. The file is the same. */
  readonly parallel?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** See `LockOptions`. */
  readonly onWait?: ((line: string) => void) | undefined;
}

/** After each prompt, and once before the first. */
export interface RunProgress {
  readonly done: number;
  readonly total: number;
  /** Prompts that were done before this run. */
  readonly resumed: number;
  /** Tokens that this run collected so far. */
  readonly tokens: number;
}

/** Names prompts by their tokens, for `CollectionSettings`. */
export function fingerprintPrompts(candidates: readonly Candidate[]): string {
  const hash = createHash("sha256");
  for (const candidate of candidates) {
    hash.update(JSON.stringify(candidate.dataId));
    if ("unusable" in candidate) continue;
    for (const ids of [candidate.promptIds, candidate.labelIds]) {
      hash.update(`:${ids?.length ?? "none"}:`);
      if (ids !== null) hash.update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
    }
  }
  return hash.digest("hex").slice(0, 32);
}

/**
 * Throws `context-overflow` or `bad-input` for the first prompt that cannot be run and that no rule drops: before any work
 * is done.
 */
export function checkPrompts(
  candidates: readonly Candidate[],
  { settings }: CollectionInfo,
  { contextLength, vocabSize }: { readonly contextLength: number; readonly vocabSize: number },
): void {
  const cleaner = createCleaner(cleanOptions({ settings }));
  const seen = new Set<string>();
  for (const candidate of candidates) {
    if (seen.has(candidate.dataId)) {
      throw new CllmError("bad-input", `two prompts are called ${candidate.dataId}: give each an id of its own`);
    }
    seen.add(candidate.dataId);
    if ("unusable" in candidate || cleaner.refuse(candidate) !== null) continue;
    completionBudget(candidate.dataId, candidate.promptIds.length, settings.maxNewTokens ?? undefined, contextLength);
    const foreign = candidate.promptIds.find((id) => id < 0 || id >= vocabSize);
    if (foreign === undefined) continue;
    const message = `prompt ${candidate.dataId} holds id ${foreign}, outside the vocabulary of ${vocabSize}`;
    throw new CllmError("bad-input", `${message}: use the model's own tokenizer`);
  }
}

/** Collects what is not done yet, then writes the file. Yields its progress and returns the report of the whole. */
export async function* runCollection(
  openSession: () => Session,
  candidates: readonly Candidate[],
  { output, format: wanted, info, signal, onWait, parallel }: RunOptions,
): AsyncGenerator<RunProgress, CollectionReport, void> {
  if (candidates.length === 0)
    throw new CllmError("bad-input", "there are no prompts to collect for: give at least one");
  const { shard } = info;
  const own = shard === undefined ? candidates : candidates.slice(...shardRange(candidates.length, shard));
  const format = shard === undefined ? wanted : "parquet";
  await using lock = await acquireLock(output, { signal, onWait });
  const finished = await finishedReport(output, format, info);
  if (finished !== null) return finished;
  await using journal = await openJournal(output, info);
  yield* collectInto(journal, openSession, own, info, { signal, parallel, lock });
  lock.check();
  const tally = createTally(info);
  const completions = kept(journal, tally);
  if (format === "parquet") await writeTrajectories(output, info, completions, tally.report);
  else await writeOriginalJson(output, completions);
  const report = tally.report();
  await journal.remove();
  return report;
}

/** The report of an output that is there already; null where it has yet to be made. */
async function finishedReport(
  output: string,
  format: TrajectoryFormat,
  info: CollectionInfo,
): Promise<CollectionReport | null> {
  if (!(await isThere(output)) || (await isThere(`${output}.journal`))) return null;
  const next = "delete it, or write to another file";
  if (format !== "parquet") throw new CllmError("usage", `${output} exists already: ${next}`);
  const found = await readTrajectoryInfo(output).catch((error: unknown) => {
    throw new CllmError("usage", `${output} exists already and is no trajectory file: ${next}`, { cause: error });
  });
  requireIdentity(output, found.model, info.model);
  const [first] = differences(found, info);
  if (first === undefined) return found.report;
  throw new CllmError("usage", `${output} was made with other settings (${first}): ${next}`);
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function* collectInto(
  journal: Journal,
  openSession: () => Session,
  candidates: readonly Candidate[],
  { settings }: CollectionInfo,
  { signal, parallel = 1, lock }: Pick<RunOptions, "signal" | "parallel"> & { readonly lock: Lock },
): AsyncGenerator<RunProgress, void, void> {
  const cleaner = createCleaner(cleanOptions({ settings }));
  const resumed = journal.length;
  const total = candidates.length;
  let tokens = 0;
  yield { done: resumed, total, resumed, tokens };

  const refusal = (candidate: Candidate): DropReason | null =>
    "unusable" in candidate ? "bad-record" : cleaner.refuse(candidate);

  /** Enters candidates that are not run, up to the next one that is. */
  async function passOver(): Promise<void> {
    for (;;) {
      const candidate = candidates[journal.length];
      const reason = candidate === undefined ? null : refusal(candidate);
      if (candidate === undefined || reason === null) return;
      await journal.append({ kind: "dropped", dataId: candidate.dataId, reason });
    }
  }

  const { blockSize, seed } = settings;
  const options: CollectOptions = {
    ...{ blockSize, seed, stopIds: new Set(settings.stopIds), abandon: cleaner.abandon },
    ...(settings.maxNewTokens !== null && { maxNewTokens: settings.maxNewTokens }),
    ...(signal && { signal }),
    parallel,
  };
  const worthRunning = candidates.slice(resumed).filter((each) => refusal(each) === null) as CollectionPrompt[];
  await passOver();
  for await (const completion of collect(openSession, worthRunning, options)) {
    const { dataId } = completion;
    const reason = cleaner.drop(completion);
    lock.check();
    await journal.append(reason === null ? { kind: "kept", completion } : { kind: "dropped", dataId, reason });
    await passOver();
    tokens += completion.completionIds.length;
    yield { done: journal.length, total, resumed, tokens };
  }
  if (journal.length > resumed) yield { done: journal.length, total, resumed, tokens }; // the last ones may not have been run
}

async function* kept(journal: Journal, tally: Tally): AsyncGenerator<CollectedCompletion, void, void> {
  for await (const entry of journal.entries()) {
    if (entry.kind === "kept") yield tally.keep(entry.completion);
    else tally.drop(entry.reason);
  }
}

function cleanOptions({ settings }: Pick<CollectionInfo, "settings">): CleanOptions {
  const { clean, requireEnd, maxPromptTokens, maxSequenceTokens, stopIds } = settings;
  return {
    ...{ repeats: clean ? 10 : 0, dropEmpty: clean, requireEnd, stopIds: new Set(stopIds) },
    ...(maxPromptTokens !== null && { maxPromptTokens }),
    ...(maxSequenceTokens !== null && { maxSequenceTokens }),
  };
}
