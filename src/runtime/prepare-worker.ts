/**
 * A thread that makes a part of a prepared model: opens the checkpoint's files again, since weights are read and quantized
 * where they are needed. Knows its share and nothing of the other threads.
 */
import { parentPort, workerData } from "node:worker_threads";
import { openEntries } from "../checkpoint/open-entries.ts";
import type { TensorEntry } from "../checkpoint/stored-weights.ts";
import type { ErrorCode } from "../error.ts";
import { writeError } from "../files/file-error.ts";
import type { Weights } from "../model/weights.ts";
import type { GraphPlan } from "./build-graph.ts";
import { makePart, type Part, type Share } from "./prepare.ts";

/** Where a model's weights come from, in words that a thread can be told. */
export interface WeightSource {
  readonly entries: readonly TensorEntry[];
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

/** With the adapter, whose reader is loaded only where there is one. */
async function merged(stored: Weights, path: string): Promise<Weights> {
  const [{ withAdapter }, { readAdapter }] = await Promise.all([
    import("../checkpoint/peft/adapter.ts"),
    import("../checkpoint/peft/read-adapter.ts"),
  ]);
  return withAdapter(stored, await readAdapter(path));
}

try {
  const stored = await openEntries(source.entries);
  try {
    const weights = source.adapter === null ? stored : await merged(stored, source.adapter);
    const part = await makePart(plan, weights, folder, share, () => {
      weights.recycle?.(); // what was read for the units before is written
      post({ type: "unit" });
    });
    post({ type: "done", part });
  } finally {
    await stored.close();
  }
} catch (error) {
  const { code, message } = writeError(error, folder);
  post({ type: "failed", code, message });
}
