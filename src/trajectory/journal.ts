/**
 * The journal of a collection: JSON Lines beside the output, one for each prompt that is done, in order, each with a
 * checksum. Whatever ends the process, the journal's whole lines are the work done; a torn end is cut off. Knows nothing
 * of how the work is done and what becomes of it.
 */
import { createHash } from "node:crypto";
import { type FileHandle, rm } from "node:fs/promises";
import { CllmError } from "../error.ts";
import { openBinaryFile } from "../files/binary-file.ts";
import { writeError } from "../files/file-error.ts";
import { openAppended, wholeLines } from "../files/whole-lines.ts";
import type { DropReason } from "./clean.ts";
import { requireIdentity } from "./identity.ts";
import { type CollectionInfo, decodeInfo, differences, encodeInfo } from "./info.ts";
import type { CollectedCompletion } from "./types.ts";

/** What became of a prompt. */
export type Entry =
  | { readonly kind: "kept"; readonly completion: CollectedCompletion }
  | { readonly kind: "dropped"; readonly dataId: string; readonly reason: DropReason };

export interface Journal extends AsyncDisposable {
  /** Prompts that are done. */
  readonly length: number;
  append(entry: Entry): Promise<void>;
  /** All entries in order. */
  entries(): AsyncGenerator<Entry, void, void>;
  /** Forgets everything: the output is there. */
  remove(): Promise<void>;
}

export const journalPath = (output: string): string => `${output}.journal`;

/**
 * Opens the journal of an output, or begins one. Throws `usage` where there is one of other settings, `bad-input` where
 * it is of another model: nothing is deleted without being asked for.
 */
export async function openJournal(output: string, info: CollectionInfo): Promise<Journal> {
  const path = journalPath(output);
  const handle = await openAppended(path);
  try {
    let end = 0;
    let lines = 0;
    for await (const line of soundLines(path)) {
      if (lines === 0) requireSame(decodeInfo(line.json, path), info, path, output);
      end = line.end;
      lines++;
    }
    if (lines === 0) await requireTorn(path, checksummed(encodeInfo(info)));
    const written = async (line: string): Promise<void> => {
      try {
        await handle.appendFile(line);
      } catch (error) {
        throw writeError(error, path);
      }
    };
    await handle.truncate(end).catch((error: unknown) => {
      throw writeError(error, path);
    });
    if (lines === 0) await written(checksummed(encodeInfo(info)));
    return journalOver(path, handle, Math.max(0, lines - 1), written);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function journalOver(
  path: string,
  handle: FileHandle,
  begun: number,
  written: (line: string) => Promise<void>,
): Journal {
  let length = begun;
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) await handle.close();
    isOpen = false;
  };
  return {
    get length() {
      return length;
    },
    async append(entry) {
      await written(checksummed(encodeEntry(entry)));
      length++;
    },
    async *entries() {
      let first = true;
      for await (const { json } of soundLines(path)) {
        if (!first) yield decodeEntry(json);
        first = false;
      }
    },
    async remove() {
      await close();
      await rm(path, { force: true });
    },
    [Symbol.asyncDispose]: close,
  };
}

/** A first line that is not whole must be the beginning of ours; anything else is somebody's file. */
async function requireTorn(path: string, header: string): Promise<void> {
  const file = await openBinaryFile(path);
  try {
    const start = Buffer.from(await file.read(0, Math.min(file.size, Buffer.byteLength(header)))).toString("utf8");
    if (file.size <= Buffer.byteLength(header) && header.startsWith(start)) return;
  } finally {
    await file.close();
  }
  throw new CllmError("bad-file", `${path} is no journal of this collection: delete it or write to another file`);
}

function requireSame(there: CollectionInfo, here: CollectionInfo, path: string, output: string): void {
  requireIdentity(path, there.model, here.model);
  const [first] = differences(there, here);
  if (first === undefined) return;
  throw new CllmError(
    "usage",
    `${path} is the unfinished work of a run with other settings (${first}): give those to go on with it, write to ` +
      `another file than ${output}, or delete it to begin anew`,
  );
}

/** The lines up to the first that is torn or damaged, and where each ends. */
async function* soundLines(path: string): AsyncGenerator<{ readonly json: string; readonly end: number }, void, void> {
  for await (const { text, end } of wholeLines(path)) {
    const json = verified(text);
    if (json === null) return;
    yield { json, end };
  }
}

const sumOf = (json: string): string => createHash("sha256").update(json).digest("hex").slice(0, 16);
const checksummed = (json: string): string => `${sumOf(json)} ${json}\n`;

function verified(line: string): string | null {
  const json = line.slice(17);
  return line === `${sumOf(json)} ${json}` ? json : null;
}

function encodeEntry(entry: Entry): string {
  if (entry.kind === "dropped") return JSON.stringify({ dropped: entry.reason, id: entry.dataId });
  const { dataId, promptIds, completionIds, blocks, labelIds } = entry.completion;
  return JSON.stringify({
    id: dataId,
    prompt: [...promptIds],
    completion: [...completionIds],
    blocks: blocks.map((points) => points.map((point) => [...point])),
    labels: labelIds === null ? null : [...labelIds],
  });
}

/** The checksum guarantees the form. */
function decodeEntry(json: string): Entry {
  const entry = JSON.parse(json);
  if (entry.dropped !== undefined) return { kind: "dropped", dataId: entry.id, reason: entry.dropped };
  const completion: CollectedCompletion = {
    dataId: entry.id,
    promptIds: Int32Array.from(entry.prompt),
    completionIds: Int32Array.from(entry.completion),
    blocks: entry.blocks.map((points: number[][]) => points.map((point) => Int32Array.from(point))),
    labelIds: entry.labels === null ? null : Int32Array.from(entry.labels),
  };
  return { kind: "kept", completion };
}
