/**
 * A batch from beginning to end: every line once, several at a time, through a journal, into one file in the order of the requests.
 * Interrupted at any moment and run again it goes on, and the file is the same. Joins the files of shards too. Knows no model.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { CllmError } from "../error.ts";
import { type StoredSettings, settingDifferences } from "../eval/answers-file.ts";
import { writeError } from "../files/file-error.ts";
import { parseJson } from "../files/json.ts";
import { acquireLock } from "../files/lock.ts";
import { requireNamed, type Shard, shardRange } from "../files/shards.ts";
import { textLines } from "../files/text.ts";
import { openAppended, wholeLines } from "../files/whole-lines.ts";
import { writeWhole } from "../files/write-whole.ts";
import { answerBatchLine, type BatchContext, type BatchRequest, readBatchLine } from "./batch.ts";

export interface BatchRunOptions extends BatchContext {
  /** Of a shard its own file, as `shardPath` names it. */
  readonly output: string;
  readonly requests: readonly BatchRequest[];
  /** What answers depend on beside the requests: models, precision. Stored, and compared on resuming. */
  readonly conditions: StoredSettings;
  /** Requests in flight. */
  readonly parallel: number;
  readonly shard?: Shard | undefined;
  /** See `LockOptions`. */
  readonly onWait?: ((line: string) => void) | undefined;
}

/** After each answer, and once before the first. */
export interface BatchProgress {
  readonly done: number;
  readonly total: number;
  /** Answers that were there before this run. */
  readonly resumed: number;
}

export interface BatchReport {
  readonly answers: number;
  /** Answers that are errors. */
  readonly failed: number;
}

const START = '{"batch":1,"settings":';

/** Reads requests. Throws `bad-input` for a line without an id, for two of one id, and for a file without any. */
export async function readBatch(path: string): Promise<readonly BatchRequest[]> {
  const requests: BatchRequest[] = [];
  const seen = new Map<string, number>();
  for await (const { text, number } of textLines(path)) {
    if (text.trim() === "") continue;
    const request = readBatchLine(text, `${path}:${number}`);
    const twin = seen.get(request.customId);
    if (twin !== undefined) {
      const which = `lines ${twin} and ${number} of ${path}`;
      throw new CllmError(
        "bad-input",
        `${which} have the same custom_id ${JSON.stringify(request.customId)}; give each its own`,
      );
    }
    seen.set(request.customId, number);
    requests.push(request);
  }
  if (requests.length > 0) return requests;
  throw new CllmError("bad-input", `${path} holds no requests: give one a line, as OpenAI's batches have it`);
}

/** Answers what is not answered yet, then writes the file. Throws `usage` where an output or a journal of other work is in the way. */
export async function* runBatch(options: BatchRunOptions): AsyncGenerator<BatchProgress, BatchReport, void> {
  const { output, requests, shard, signal, onWait } = options;
  const settings = settingsOf(options);
  const own = shard === undefined ? requests : requests.slice(...shardRange(requests.length, shard));
  await using lock = await acquireLock(output, { signal, onWait });
  const journal = `${output}.journal`;
  if (existsSync(output) && !existsSync(journal)) return await finished(output, own, settings, shard);
  const answers = yield* answerAll(options, own, journal, settings);
  lock.check();
  await writeWhole(output, async (handle) => {
    if (shard !== undefined) await handle.appendFile(`${headerOf(settings)}\n`);
    for (const answer of answers) await handle.appendFile(`${answer}\n`);
  });
  await rm(journal, { force: true });
  return reportOf(answers);
}

/** All that decides what an answer is. */
function settingsOf({ requests, conditions, seed, onUnknown, shard }: BatchRunOptions): StoredSettings {
  const hash = createHash("sha256");
  for (const request of requests) hash.update(`${JSON.stringify(request)}\n`);
  return {
    requests: requests.length,
    content: hash.digest("hex").slice(0, 16),
    ...conditions,
    ...{ seed, strict: onUnknown === "refuse" },
    ...(shard !== undefined && { shard: { index: shard.index, count: shard.count } }),
  };
}

const headerOf = (settings: StoredSettings): string => `${START}${JSON.stringify(settings)}}`;

function reportOf(answers: readonly string[]): BatchReport {
  const failed = answers.filter((answer) => (JSON.parse(answer) as Answer).response.status_code !== 200).length;
  return { answers: answers.length, failed };
}

interface Answer {
  readonly custom_id: string;
  readonly response: { readonly status_code: number };
}

/** The report of an output that is there already. */
async function finished(
  output: string,
  own: readonly BatchRequest[],
  settings: StoredSettings,
  shard: Shard | undefined,
): Promise<BatchReport> {
  const lines: string[] = [];
  for await (const { text } of wholeLines(output)) lines.push(text);
  if (shard !== undefined) requireSame(output, lines.shift() ?? "", settings);
  const isOurs = (line: string, i: number): boolean => {
    try {
      return (JSON.parse(line) as Answer).custom_id === own[i]?.customId;
    } catch {
      return false;
    }
  };
  if (lines.length === own.length && lines.every(isOurs)) return reportOf(lines);
  throw new CllmError(
    "usage",
    `${output} exists already and is not of these requests: delete it, or write to another file`,
  );
}

async function* answerAll(
  options: BatchRunOptions,
  own: readonly BatchRequest[],
  journal: string,
  settings: StoredSettings,
): AsyncGenerator<BatchProgress, readonly string[], void> {
  const handle = await openAppended(journal);
  const append = async (line: string): Promise<void> => {
    await handle.appendFile(`${line}\n`).catch((error: unknown) => {
      throw writeError(error, journal);
    });
  };
  try {
    const { answers, end } = await readJournal(journal, settings, own);
    await handle.truncate(end);
    if (end === 0) await append(headerOf(settings));
    const [total, resumed] = [own.length, answers.size];
    yield { done: resumed, total, resumed };
    const waiting = own.filter(({ customId }) => !answers.has(customId)).values();
    const inFlight = new Map<string, Promise<readonly [id: string, line: string]>>();
    const begin = (): void => {
      const { value: request, done } = waiting.next();
      if (done) return;
      const answered = answerBatchLine(request, options).then((line) => [request.customId, line] as const);
      answered.catch(() => {}); // it is awaited with the others
      inFlight.set(request.customId, answered);
    };
    for (let i = 0; i < options.parallel; i++) begin();
    try {
      while (inFlight.size > 0) {
        const [id, line] = await Promise.race(inFlight.values());
        inFlight.delete(id);
        await append(line);
        answers.set(id, line);
        begin();
        yield { done: answers.size, total, resumed };
      }
    } finally {
      await Promise.allSettled(inFlight.values());
    }
    return own.map(({ customId }) => answers.get(customId)!);
  } finally {
    await handle.close();
  }
}

/** The answers of all whole lines by their ids, and where the last of those ends. */
async function readJournal(path: string, settings: StoredSettings, own: readonly BatchRequest[]) {
  const answers = new Map<string, string>();
  const known = new Set(own.map(({ customId }) => customId));
  let end = 0;
  let number = 0;
  for await (const { text, end: stop } of wholeLines(path)) {
    const where = `${path}:${++number}`;
    end = stop;
    if (number === 1) {
      requireSame(path, text, settings);
      continue;
    }
    const next = "restore the file, or delete it to begin anew";
    const { custom_id: id } = parseJson(text, where, { next }) as Answer;
    if (!known.has(id)) throw new CllmError("bad-file", `${where} answers no request of this batch; ${next}`);
    answers.set(id, text);
  }
  return { answers, end };
}

function requireSame(path: string, line: string, here: StoredSettings): void {
  const [different] = settingDifferences(headerIn(path, line), JSON.parse(JSON.stringify(here)) as StoredSettings);
  if (different === undefined) return;
  throw new CllmError(
    "usage",
    `${path} is of a run with other settings (${different}): give those, or write to another file`,
  );
}

function headerIn(path: string, line: string): StoredSettings {
  if (!line.startsWith(START)) {
    throw new CllmError("bad-file", `${path} is no file of a batch in work; delete it, or write to another file`);
  }
  return (parseJson(line, path, { next: "delete it to begin anew" }) as { readonly settings: StoredSettings }).settings;
}

/** Whether a file's first line is that of a batch's shard. */
export const isBatchShard = (start: string): boolean => start.startsWith(START.slice(0, start.length));

/**
 * Joins all shards of a batch, in their order. Throws `bad-file` for what is no shard or is damaged, `usage` for shards of other
 * settings.
 */
export async function mergeBatch(output: string, shards: readonly string[]): Promise<BatchReport> {
  const answers: string[] = [];
  let first: StoredSettings | null = null;
  for (const path of shards) {
    const [header = "", ...lines] = await linesOf(path);
    const { shard, ...settings } = headerIn(path, header) as StoredSettings & { readonly shard?: Shard };
    if (shard === undefined) throw new CllmError("bad-file", `${path} is no shard; move it away, and run the shard`);
    requireNamed(path, shard);
    first ??= settings;
    const [different] = settingDifferences(settings, first);
    if (different !== undefined) {
      const next = `run it again with those of ${shards[0]}`;
      throw new CllmError("usage", `${path} was made with other settings than the first shard (${different}); ${next}`);
    }
    const [begin, end] = shardRange(settings["requests"] as number, shard);
    if (lines.length !== end - begin) {
      throw new CllmError(
        "bad-file",
        `${path} has ${lines.length} answers, and ${end - begin} are due; run the shard again`,
      );
    }
    for (const line of lines) answers.push(line);
  }
  await writeWhole(output, async (handle) => {
    for (const answer of answers) await handle.appendFile(`${answer}\n`);
  });
  return reportOf(answers);
}

async function linesOf(path: string): Promise<readonly string[]> {
  const lines: string[] = [];
  for await (const { text } of wholeLines(path)) lines.push(text);
  return lines;
}
