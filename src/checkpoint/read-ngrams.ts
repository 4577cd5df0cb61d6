/** Counted n-grams by their directory, or by the name of an adapter of the project. Its twin for browsers is `read-ngrams.web.ts`. */
import { CllmError } from "../error.ts";
import { diskFolder } from "../files/disk-folder.ts";
import { NGRAMS, readNgramsIn, type StoredNgrams } from "./ngrams.ts";
import { adapterFolder } from "./peft/shipped.ts";

/**
 * Reads `ngrams.safetensors`. Throws `not-found` where there is none, and what `readNgramsIn` throws.
 *
 * @example const { table } = await readNgrams("adapters/gsm8k-draft");
 */
export async function readNgrams(pathOrName: string): Promise<StoredNgrams> {
  const folder = diskFolder(adapterFolder(pathOrName));
  const found = await readNgramsIn(folder);
  if (found !== null) return found;
  throw new CllmError(
    "not-found",
    `${folder.path} has no ${NGRAMS}; give a folder that cllm ngrams wrote, or the name of a draft adapter that has it`,
  );
}
