/**
 * A thread that makes a part of a prepared model: opens the checkpoint again by its path, since weights are read and quantized
 * where they are needed. Knows its share and nothing of the other threads.
 */
import { parentPort, workerData } from "node:worker_threads";
import { openCheckpoint } from "../checkpoint/open.ts";
import { withAdapter } from "../checkpoint/peft/adapter.ts";
import { readAdapter } from "../checkpoint/peft/read-adapter.ts";
import type { ErrorCode } from "../error.ts";
import { writeError } from "../files/file-error.ts";
import type { GraphPlan } from "./build-graph.ts";
import { makePart, type Part, type Share } from "./prepare.ts";

/** Where a model's weights come from, in words that a thread can be told. */
export interface WeightSource {
  /** A file or a directory. */
  readonly path: string;
  /** A PEFT directory, merged into the weights; null for none. */
  readonly adapter: string | null;
}

export interface PrepareTask {
  readonly source: WeightSource;
  readonly plan: GraphPlan;
  readonly folder: string;
  readonly share: Share;
}

export type FromPreparing =
  | { readonly type: "unit" }
  | { readonly type: "done"; readonly part: Part }
  | { readonly type: "failed"; readonly code: ErrorCode; readonly message: string };

const { source, plan, folder, share } = workerData as PrepareTask;
const post = (message: FromPreparing): void => parentPort?.postMessage(message);
try {
  // Only the weights stay in memory: collecting garbage beside a tokenizer takes much longer.
  const { weights: stored, close } = await openCheckpoint(source.path, { offline: true });
  try {
    const adapter = source.adapter === null ? null : await readAdapter(source.adapter);
    const weights = adapter === null ? stored : withAdapter(stored, adapter);
    const part = await makePart(plan, weights, folder, share, () => {
      weights.recycle?.(); // what was read for the units before is written
      post({ type: "unit" });
    });
    post({ type: "done", part });
  } finally {
    await close();
  }
} catch (error) {
  const { code, message } = writeError(error, folder);
  post({ type: "failed", code, message });
}
