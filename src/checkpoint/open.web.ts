/**
 * Opening a checkpoint in a browser: an address below which a Hugging Face directory's files lie, or a hub id. The twin of `open.ts`.
 */
import { CllmError } from "../error.ts";
import { httpFolder } from "../files/http-folder.web.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { openHuggingFace } from "./huggingface/open.ts";
import type { OpenOptions } from "./open.ts";
import { OWN_FACTS } from "./own-facts.ts";
import * as names from "./select-files.ts";
import { webAddress } from "./web-address.ts";

export type { Checkpoint } from "./checkpoint.ts";
export type { OpenOptions } from "./open.ts";

/** Errors as those of its twin, but for GGUF files, which are `unsupported`. */
export async function openCheckpoint(addressOrId: string, options: OpenOptions = {}): Promise<Checkpoint> {
  const { signal, token, offline, revision, onProgress, onWarning = (line) => console.warn(line) } = options;
  if (signal?.aborted) throw new CllmError("aborted", `opening ${addressOrId} was cancelled before it began`);
  const { address, name } = webAddress(addressOrId, self.location.href, revision);
  const folder = httpFolder(
    address,
    {
      ...{ token, offline, signal, onNote: onWarning },
      onBytes: (what, done, total) => onProgress?.({ stage: "download", what, done, total, unit: "bytes" }),
    },
    [names.CONFIG, names.GENERATION_CONFIG, names.TOKENIZER, names.TOKENIZER_CONFIG, names.TEMPLATE, OWN_FACTS],
  );
  const checkpoint = await openHuggingFace(folder, name);
  for (const warning of checkpoint.warnings) onWarning(warning);
  return checkpoint;
}
