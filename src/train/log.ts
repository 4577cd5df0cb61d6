/**
 * A run's log: one record a line, in the order of its steps. After an interruption the lines behind the last checkpoint go,
 * because those steps are done again, and so are evaluations that the checkpoint does not know. Knows nothing else of a record.
 */
import { existsSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { writeError } from "../files/file-error.ts";
import { wholeLines } from "../files/whole-lines.ts";
import { writeWhole } from "../files/write-whole.ts";
import type { RunState } from "./checkpoints.ts";
import type { TrainRecord } from "./train.ts";

export interface TrainLog {
  /** All records so far, in order. */
  readonly records: readonly TrainRecord[];
  append(record: TrainRecord): Promise<void>;
}

/** Opens the log at `path`, keeping what a run in `state` has done; null for one that begins. A torn last line goes too. */
export async function openLog(path: string, state: Pick<RunState, "step" | "last"> | null): Promise<TrainLog> {
  const done = { step: state?.step ?? 0, evaluation: state?.last?.step ?? 0 };
  const records: TrainRecord[] = existsSync(path) ? await recordsUpTo(path, done) : [];
  await writeWhole(path, async (handle) => {
    for (const record of records) await handle.appendFile(`${JSON.stringify(record)}\n`);
  });
  return {
    records,
    async append(record) {
      records.push(record);
      await appendFile(path, `${JSON.stringify(record)}\n`).catch((error: unknown) => {
        throw writeError(error, path);
      });
    },
  };
}

async function recordsUpTo(path: string, done: Readonly<Record<TrainRecord["type"], number>>): Promise<TrainRecord[]> {
  const records: TrainRecord[] = [];
  for await (const { text } of wholeLines(path)) {
    try {
      const record = JSON.parse(text) as TrainRecord;
      if (record.step <= done[record.type]) records.push(record);
    } catch {
      // a line that was being written when the run was killed, with others behind it
    }
  }
  return records;
}
