/** Medusa heads by their directory. Its twin for browsers is `read-heads.web.ts`. */
import { diskFolder } from "../../files/disk-folder.ts";
import { recoverFolder } from "../../files/scratch.ts";
import type { ModelConfig } from "../../model/config.ts";
import { openHeadsIn, type StoredHeads } from "./heads.ts";

/**
 * Opens the heads in a directory for a model. Throws what `openHeadsIn` throws.
 *
 * @example
 * const { config } = await openCheckpoint("model.gguf");
 * const heads = await readHeads("./my-heads", config);
 * await heads.close();
 */
export async function readHeads(
  path: string,
  config: Pick<ModelConfig, "hiddenSize" | "vocabSize">,
): Promise<StoredHeads> {
  await recoverFolder(path);
  return await openHeadsIn(diskFolder(path), config);
}
