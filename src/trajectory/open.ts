/**
 * A trajectory file of any form, for training: ours, or the JSON of the original CLLM code, told apart by how they
 * begin. Knows no more of either than that.
 */

import { CllmError } from "../error.ts";
import { openBinaryFile } from "../files/binary-file.ts";
import type { ExpectedIdentity } from "./identity.ts";
import type { CollectionInfo } from "./info.ts";
import { readOriginalJson } from "./original-json.ts";
import { readTrajectories } from "./store.ts";
import type { CollectedCompletion } from "./types.ts";

export interface OpenTrajectoriesOptions {
  /** The model that will learn from it; JSON says nothing of its model, so that only ids are checked there. */
  readonly expect?: ExpectedIdentity;
  /** Ids that end a completion: what JSON has after the first of them in a block is cut off. */
  readonly stopIds?: ReadonlySet<number>;
}

export interface Trajectories {
  readonly completions: readonly CollectedCompletion[];
  readonly blockSize: number;
  /** null in JSON. */
  readonly info: CollectionInfo | null;
}

/**
 * Throws as `readTrajectories` and `readOriginalJson` do, and `bad-input` for a file without completions.
 *
 * @example const { completions, blockSize } = await openTrajectories("faq.parquet");
 */
export async function openTrajectories(
  path: string,
  { expect = {}, stopIds = new Set() }: OpenTrajectoriesOptions = {},
): Promise<Trajectories> {
  const found = (await isParquet(path)) ? await ours(path, expect) : await original(path, expect, stopIds);
  if (found.completions.length > 0) return found;
  throw new CllmError("bad-input", `${path} holds no completions: there is nothing to learn from; collect more`);
}

async function ours(path: string, expect: ExpectedIdentity): Promise<Trajectories> {
  const { completions, report: _, ...info } = await readTrajectories(path, { expect });
  return { completions, blockSize: info.settings.blockSize, info };
}

async function original(path: string, { vocabSize }: ExpectedIdentity, stopIds: ReadonlySet<number>) {
  const options = { stopIds, ...(vocabSize !== undefined && { vocabSize }) };
  const { completions, blockSize } = await readOriginalJson(path, options);
  return { completions, blockSize, info: null };
}

async function isParquet(path: string): Promise<boolean> {
  const file = await openBinaryFile(path);
  try {
    return file.size >= 4 && Buffer.from(await file.read(0, 4)).toString("latin1") === "PAR1";
  } finally {
    await file.close();
  }
}
