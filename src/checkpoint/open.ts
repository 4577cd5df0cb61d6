/**
 * Opening a checkpoint: a directory, a GGUF file or a hub id, told apart here and read in the folders beside it. What
 * comes out is the same for all of them. Knows no format and no network.
 */
import type { Stats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { CllmError } from "../error.ts";
import { openBinaryFile } from "../files/binary-file.ts";
import { diskFolder } from "../files/disk-folder.ts";
import { readError } from "../files/file-error.ts";
import { recoverFolder } from "../files/scratch.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { openGguf } from "./gguf/open.ts";
import type { DownloadProgress } from "./hub/download.ts";
import { type HubId, hubName, parseHubId } from "./hub/id.ts";
import { checkedToken, implicitToken } from "./hub/token.ts";
import { openHuggingFace } from "./huggingface/open.ts";
import { cutFileError, isGgufName, selectFiles, withoutPart } from "./select-files.ts";

export type { Checkpoint } from "./checkpoint.ts";

export interface OpenOptions {
  /** Never touch the network: only files that are there. Default: false, or true where `HF_HUB_OFFLINE=1`. */
  readonly offline?: boolean | undefined;
  /** Branch, tag or commit of a hub repository. Default: `main`. */
  readonly revision?: string | undefined;
  /**
   * Downloads are kept in its folder `hub`. Default: `CLLM_CACHE`, else the cache that all hub clients share
   * (`HF_HUB_CACHE`, `HF_HOME`).
   */
  readonly cacheDir?: string | undefined;
  /** Hub access token. Default: `HF_TOKEN`, else the one that `hf auth login` stored. */
  readonly token?: string | undefined;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /**
   * Takes what was wrong in the files and passed over, one line each and each once in a process. Default: Node's own
   * warnings on standard error.
   */
  readonly onWarning?: ((message: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Open a Hugging Face directory, a GGUF file under any name, a directory with one GGUF file, or a hub id: `owner/name`,
 * with `owner/name/file.gguf` or `owner/name:Q4_K_M` for one GGUF file of several, or the address of its page. A local
 * path that exists goes before a hub id of that name; `hf:` before an id leaves no doubt. Only headers, configuration
 * and tokenizer are read; weights are read later, when asked for.
 *
 * Throws `CllmError`: `not-found`, `usage` (several GGUF files), `unsupported` (a family, type or feature), `bad-file`,
 * `bad-weights` (tensors and configuration disagree), and for hub ids `offline`, `network`, `disk`, `aborted`.
 *
 * @example
 * const { config, weights, close } = await openCheckpoint("model.gguf");
 * console.log(config.family, weights.names());
 * await close();
 */
export async function openCheckpoint(pathOrId: string, options: OpenOptions = {}): Promise<Checkpoint> {
  const checkpoint = await openNamed(pathOrId, options);
  const { onWarning = (message) => process.emitWarning(message, "CllmWarning") } = options;
  for (const warning of checkpoint.warnings) {
    if (!told.has(warning)) onWarning(warning);
    told.add(warning);
  }
  return checkpoint;
}

/** What was said already: a command may open the same files more than once. */
const told = new Set<string>();

async function openNamed(pathOrId: string, options: OpenOptions): Promise<Checkpoint> {
  if (options.signal?.aborted) throw new CllmError("aborted", `opening ${pathOrId} was cancelled before it began`);
  const facts = pathOrId.startsWith("hf:") || pathOrId === "" ? null : await factsOf(pathOrId);
  if (facts?.isDirectory()) return openDirectory(pathOrId);
  if (facts) return openFile(pathOrId);
  const id = parseHubId(pathOrId);
  if (id) return openFromHub(id, options);
  const next = "give a directory, a .gguf file, or a hub id such as HuggingFaceTB/SmolLM2-135M-Instruct";
  throw new CllmError("not-found", `${pathOrId || "the empty name"} is neither an existing path nor a hub id; ${next}`);
}

async function factsOf(path: string): Promise<Stats | null> {
  const facts = await statIfThere(path);
  if (facts !== null) return facts;
  await recoverFolder(path); // whoever overwrote it was killed between its two steps
  return statIfThere(path);
}

async function statIfThere(path: string): Promise<Stats | null> {
  try {
    return await stat(path);
  } catch (error) {
    const known = readError(error, path);
    if (known.code === "not-found" || (error as NodeJS.ErrnoException).code === "ENAMETOOLONG") return null;
    throw known;
  }
}

async function openDirectory(path: string): Promise<Checkpoint> {
  const names = await readdir(path).catch((error: unknown) => {
    throw readError(error, path);
  });
  const { gguf } = selectFiles(names, path);
  return gguf === null ? openHuggingFace(diskFolder(path), basename(resolve(path))) : openGguf(join(path, gguf));
}

async function openFile(path: string): Promise<Checkpoint> {
  const cut = cutFileError([path], path);
  if (cut) throw cut;
  if (isGgufName(path) || (await startsAsGguf(path))) return openGguf(path);
  const next = path.endsWith(".safetensors") ? "name the directory that holds it and its config.json" : "name a model";
  throw new CllmError("usage", `${path} is neither a GGUF file nor a directory; ${next}`);
}

/** Programs such as Ollama keep GGUF files under names of their own: a file's first bytes say what it is. */
async function startsAsGguf(path: string): Promise<boolean> {
  const file = await openBinaryFile(path);
  try {
    return file.size >= 4 && Buffer.from(await file.read(0, 4)).toString("latin1") === "GGUF";
  } finally {
    await file.close();
  }
}

async function openFromHub(id: HubId, options: OpenOptions): Promise<Checkpoint> {
  const { fetchCheckpoint, hubDefaults } = await import("./hub/hub.ts"); // with its library, which a local model does not need
  const defaults = hubDefaults(options.cacheDir ?? (process.env["CLLM_CACHE"] || null));
  if (id.revision !== null && (options.revision ?? id.revision) !== id.revision) {
    const message = `${id.repo} is named at revision ${id.revision}, and the option revision says ${options.revision}`;
    throw new CllmError("usage", `${message}; give one of them`);
  }
  const offline = options.offline ?? defaults.offline;
  const given = options.token === undefined ? null : checkedToken(options.token, "the option token");
  const token = given ?? (offline ? null : await implicitToken());
  const path = await fetchCheckpoint(id, {
    endpoint: defaults.endpoint,
    cache: defaults.cache,
    offline,
    token,
    revision: id.revision ?? options.revision ?? "main",
    onProgress: options.onProgress ?? null,
    signal: options.signal ?? null,
  });
  if (!isGgufName(path)) return openHuggingFace(diskFolder(path), id.repo);
  return openGguf(path, withoutPart(hubName(id)));
}
