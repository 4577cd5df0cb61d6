/** Where `load` keeps the model that it prepared, and what it is known by. Its twin for browsers is `prepared-options.web.ts`. */
import type { Checkpoint } from "../checkpoint/open.ts";
import { entriesOf } from "../checkpoint/stored-weights.ts";
import { weightsIdentity } from "../checkpoint/weights-identity.ts";
import type { Weights } from "../model/weights.ts";
import { warn } from "../runtime/host.ts";
import type { PreparedOptions } from "../runtime/prepared.ts";
import { preparedFolder } from "../runtime/prepared-cache.ts";
import type { LoadSettings } from "./options.ts";

/** Where the prepared model is kept, and how threads read its weights. */
export async function preparedOptions(
  { name, path, weights: stored }: Checkpoint,
  weights: Weights,
  { cacheDir, cacheLimit, adapter, onWarning = warn }: LoadSettings,
): Promise<PreparedOptions> {
  return {
    folder: preparedFolder(cacheDir),
    identity: await weightsIdentity(path, weights),
    name: adapter === undefined ? name : `${name} with ${adapter}`,
    source: { entries: entriesOf(stored), adapter: adapter ?? null },
    limitBytes: cacheLimit * 1e9,
    onNote: onWarning,
  };
}
