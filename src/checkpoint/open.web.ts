/**
 * Opening a checkpoint in a browser: an address below which a Hugging Face directory's files lie, that of a GGUF file, or a hub id. The
 * twin of `open.ts`. What reads GGUF files is loaded with the first of them.
 */
import { CllmError } from "../error.ts";
import type { BinaryFile } from "../files/binary-file.ts";
import { httpFolder } from "../files/http-folder.web.ts";
import { type HttpOptions, openAddress } from "../files/http-pieces.web.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { openHuggingFace } from "./huggingface/open.ts";
import type { OpenOptions } from "./open.ts";
import { OWN_FACTS } from "./own-facts.ts";
import * as names from "./select-files.ts";
import { webAddress } from "./web-address.ts";

export type { Checkpoint } from "./checkpoint.ts";
export type { OpenOptions } from "./open.ts";

/** Errors as those of its twin. */
export async function openCheckpoint(addressOrId: string, options: OpenOptions = {}): Promise<Checkpoint> {
  const { signal, token, offline, revision, onProgress, onWarning = (line) => console.warn(line) } = options;
  if (signal?.aborted) throw new CllmError("aborted", `opening ${addressOrId} was cancelled before it began`);
  const { address, name } = webAddress(addressOrId, self.location.href, revision);
  const http: HttpOptions = {
    ...{ token, offline, signal, onNote: onWarning },
    onBytes: (what, done, total) => onProgress?.({ stage: "download", what, done, total, unit: "bytes" }),
  };
  const checkpoint = /\.gguf$/i.test(new URL(address).pathname)
    ? await (await import("./gguf/open.ts")).openGgufWith(
        (part) => fileAt(part, http),
        address,
        names.withoutPart(name),
      )
    : await openHuggingFace(httpFolder(address, http, AHEAD), name).catch((error: unknown) => {
        throw hinted(error, addressOrId);
      });
  for (const warning of checkpoint.warnings) onWarning(warning);
  return checkpoint;
}

/** Files that are asked for before anybody wants them. */
const AHEAD = [
  ...[names.CONFIG, names.GENERATION_CONFIG, names.TOKENIZER, names.TOKENIZER_CONFIG, names.TEMPLATE, OWN_FACTS],
];

async function fileAt(address: string, http: HttpOptions): Promise<BinaryFile> {
  const file = await openAddress(address, http);
  if (file !== null) return file;
  throw new CllmError("not-found", `${address} does not exist; check the address`);
}

/** Repositories of GGUF files have no configuration: what is missing there is the file's name. */
function hinted(error: unknown, name: string): unknown {
  if (!(error instanceof CllmError && error.code === "not-found" && /gguf/i.test(name))) return error;
  return new CllmError("not-found", `${error.message}; of a repository of GGUF files, name one: ${name}/model.gguf`);
}
