/**
 * The files of an evaluation: JSON Lines, first its settings, then one record for each thing done; and beside it the passes of
 * each answer, written before the answer. Whatever ends the process, the whole lines are the work done; a torn last line is
 * cut off. Other settings than those in the file are refused with what differs. Knows nothing of how the work is done.
 */
import type { FileHandle } from "node:fs/promises";
import { CllmError } from "../error.ts";
import { openBinaryFile } from "../files/binary-file.ts";
import { writeError } from "../files/file-error.ts";
import { parseJson } from "../files/json.ts";
import { shorten } from "../files/near-miss.ts";
import { openAppended, wholeLines } from "../files/whole-lines.ts";
import {
  type Answer,
  type AnswerPasses,
  decodePasses,
  decodeRecord,
  type EvaluationRecord,
  encodePasses,
  encodeRecord,
} from "./records.ts";

type Value = string | number | boolean | null | undefined | readonly Value[] | { readonly [key: string]: Value };
/** All that decides what an answer is and how fast it came. */
export type StoredSettings = { readonly [key: string]: Value };

export interface AnswersFile extends AsyncDisposable {
  /** What was in the file when it was opened, each thing once. */
  readonly records: readonly EvaluationRecord[];
  append(record: EvaluationRecord): Promise<void>;
}

/** How the first line begins. */
export const START = '{"evaluation":1,"settings":';

/** The first line, without its end. */
export const headerOf = (settings: StoredSettings): string => `${START}${JSON.stringify(settings)}}`;

/**
 * Opens the file and the one of its passes, or begins them. Throws `usage` for one of other settings, `bad-file` for one that
 * is no such file.
 */
export async function openAnswersFile(
  path: string,
  passesPath: string,
  settings: StoredSettings,
): Promise<AnswersFile> {
  const handle = await openAppended(path);
  let passes: FileHandle | null = null;
  try {
    passes = await openAppended(passesPath);
    const beside = await readPasses(passesPath);
    const { records, end } = await readWhole(path, settings, beside.passes);
    await guarded(path, () => handle.truncate(end));
    await guarded(passesPath, () => passes!.truncate(beside.end));
    const written = (line: string): Promise<void> => guarded(path, () => handle.appendFile(`${line}\n`));
    if (end === 0) await written(headerOf(settings));
    return {
      records,
      async append(record) {
        if (record.kind === "answer") {
          await guarded(passesPath, () => passes!.appendFile(`${encodePasses(record)}\n`));
        }
        await written(encodeRecord(record));
      },
      async [Symbol.asyncDispose]() {
        await handle.close();
        await passes?.close();
      },
    };
  } catch (error) {
    await handle.close();
    await passes?.close();
    throw error;
  }
}

/** By contender and question; of two, which a kill between both files leaves, the later one. */
type Passes = ReadonlyMap<string, AnswerPasses>;
const passesKey = ({ contender, question }: Pick<Answer, "contender" | "question">): string =>
  JSON.stringify([contender, question]);

/** The passes of all whole lines, and where the last of those ends. */
export async function readPasses(path: string): Promise<{ readonly passes: Passes; readonly end: number }> {
  const passes = new Map<string, AnswerPasses>();
  let end = 0;
  let number = 0;
  for await (const line of wholeLines(path)) {
    const where = `${path}:${++number}`;
    end = line.end;
    const read = decodePasses(parsed(line.text, where), where);
    passes.set(passesKey(read), read);
  }
  return { passes, end };
}

async function guarded<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    throw writeError(error, path);
  }
}

/** The records of all whole lines, and where the last of those ends. */
async function readWhole(
  path: string,
  settings: StoredSettings,
  passes: Passes,
): Promise<{ readonly records: readonly EvaluationRecord[]; readonly end: number }> {
  const records = new Map<string, EvaluationRecord>();
  let end = 0;
  let number = 0;
  for await (const line of wholeLines(path)) {
    const where = `${path}:${++number}`;
    end = line.end;
    if (number === 1) {
      if (!line.text.startsWith(START)) throw noEvaluation(path);
      requireSame(path, parsed(line.text, where) as { readonly settings: StoredSettings }, settings);
      continue;
    }
    const record = decodeRecord(parsed(line.text, where), where, (answer) => passes.get(passesKey(answer)));
    const key = keyOf(record);
    if (!records.has(key)) records.set(key, record);
  }
  if (number === 0) await requireTorn(path);
  return { records: [...records.values()], end };
}

/** A first line that is not whole must be the beginning of ours; anything else is somebody's file. */
async function requireTorn(path: string): Promise<void> {
  const file = await openBinaryFile(path);
  try {
    const start = Buffer.from(await file.read(0, Math.min(file.size, START.length))).toString("utf8");
    if (!START.startsWith(start)) throw noEvaluation(path);
  } finally {
    await file.close();
  }
}

function noEvaluation(path: string): CllmError {
  return new CllmError("bad-file", `${path} is no file of an evaluation; write to another folder, or delete it`);
}

function parsed(line: string, where: string): unknown {
  try {
    return parseJson(line, where);
  } catch (cause) {
    throw new CllmError("bad-file", `${where} is damaged: restore the file, or begin anew in another folder`, {
      cause,
    });
  }
}

/** What is done at most once. */
export function keyOf(record: EvaluationRecord): string {
  return record.kind === "answer"
    ? JSON.stringify([record.contender, record.question])
    : JSON.stringify([record.model, record.blockSize, record.question, record.kind]);
}

function requireSame(path: string, { settings: there }: { readonly settings: StoredSettings }, here: StoredSettings) {
  const [first, ...more] = settingDifferences(there, JSON.parse(JSON.stringify(here)));
  if (first === undefined) return;
  const others = more.length === 0 ? "" : `, and ${more.length} more differ`;
  throw new CllmError(
    "usage",
    `${path} is of a run with other settings (${first}${others}): give the same ones to go on with it, or another folder`,
  );
}

/** Each difference as one line: `task.shots is 8, not 0`. */
export function settingDifferences(there: Value, here: Value, name = ""): string[] {
  if (isObject(there) && isObject(here)) {
    const keys = [...new Set([...Object.keys(there), ...Object.keys(here)])];
    return keys.flatMap((key) => settingDifferences(there[key], here[key], name === "" ? key : `${name}.${key}`));
  }
  const [before, now] = [there, here].map((value) => (value === undefined ? "unset" : JSON.stringify(value)));
  return before === now ? [] : [`${name} is ${shorten(before!)}, not ${shorten(now!)}`];
}

/** A list by its places. */
function isObject(value: Value): value is { readonly [key: string]: Value } {
  return typeof value === "object" && value !== null;
}
