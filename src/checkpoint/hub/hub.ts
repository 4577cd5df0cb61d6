/**
 * Checkpoints from the Hugging Face Hub, kept in the cache layout that its Python library shares
 * (`models--owner--name/{blobs,refs,snapshots}`), so that what either has fetched is found by both. The repository's
 * facts come through `@huggingface/hub`, which cannot resume, so `download.ts` fetches the bytes. Opens no checkpoint.
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, symlink, unlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { getHFHubCachePath, modelInfo, pathsInfo } from "@huggingface/hub";
import { CllmError } from "../../error.ts";
import { diskFolder } from "../../files/disk-folder.ts";
import { writeError } from "../../files/file-error.ts";
import { readText } from "../../files/text.ts";
import { writeWhole } from "../../files/write-whole.ts";
import { readShardMap } from "../huggingface/open.ts";
import type { Selection } from "../select-files.ts";
import { selectFiles, WEIGHTS_INDEX } from "../select-files.ts";
import type { DownloadProgress } from "./download.ts";
import { downloadBlob, withRetries } from "./download.ts";
import { hubError } from "./error.ts";
import { type HubId, hubEndpoint } from "./id.ts";

export interface HubOptions {
  /** Only what is in the cache. */
  readonly offline: boolean;
  /** Branch, tag or commit. */
  readonly revision: string;
  /** The folder of `models--owner--name` folders. */
  readonly cache: string;
  /** The hub's address, without a slash at its end. */
  readonly endpoint: string;
  /** Sent to the endpoint, and to no other host that it leads to. */
  readonly token: string | null;
  readonly onProgress: ((progress: DownloadProgress) => void) | null;
  readonly signal: AbortSignal | null;
}

/** Where everything comes from unless options say otherwise: the environment variables that all hub clients read. */
export function hubDefaults(cacheDir: string | null): Pick<HubOptions, "offline" | "cache" | "endpoint"> {
  const { HF_HUB_OFFLINE } = process.env;
  return {
    offline: /^(1|true|yes|on)$/i.test(HF_HUB_OFFLINE ?? ""),
    cache: cacheDir === null ? getHFHubCachePath() : join(cacheDir, "hub"),
    endpoint: hubEndpoint(),
  };
}

const MAX_REF_BYTES = 4096;
/**
 * Make sure that a checkpoint's files are in the cache, and return the local directory or GGUF file. Online, the
 * revision is looked up and what is missing is fetched, going on where an earlier download broke off; where the hub
 * cannot be reached, a complete cached copy is used. Throws `offline`, `network`, `not-found`, `usage`, `disk`,
 * `aborted`.
 */
export async function fetchCheckpoint(id: HubId, options: HubOptions): Promise<string> {
  const { revision } = options;
  if (!/^[\w][\w./-]*$/.test(revision) || revision.includes("..")) {
    throw new CllmError("usage", `revision ${JSON.stringify(revision)} is no branch, tag or commit; default: main`);
  }
  const cached = await findCached(id, options);
  const pinned = /^[0-9a-f]{40}$/.test(revision);
  if (typeof cached === "string" && (options.offline || pinned)) return cached;
  if (options.offline) {
    const message = `${id.repo} is no local path, its revision ${revision} is not whole in ${options.cache}, and offline is set`;
    throw new CllmError(
      "offline",
      `${message}; ${cached instanceof CllmError ? `${cached.message}; ` : ""}run once without --offline and HF_HUB_OFFLINE`,
    );
  }
  try {
    return await fetchRevision(id, options);
  } catch (error) {
    const known = hubError(error, id.repo, options);
    if (known.code === "network" && typeof cached === "string") return cached;
    throw known;
  }
}

function folderOf({ repo }: HubId, { cache }: HubOptions): string {
  return join(cache, `models--${repo.replace("/", "--")}`);
}

/** The checkpoint's path if the cache holds all of it; else what is missing, or null where there is nothing at all. */
async function findCached(id: HubId, options: HubOptions): Promise<string | CllmError | null> {
  const folder = folderOf(id, options);
  const { revision } = options;
  const commit = /^[0-9a-f]{40}$/.test(revision)
    ? revision
    : await readText(join(folder, "refs", revision), MAX_REF_BYTES).catch(() => "");
  const snapshot = join(folder, "snapshots", commit.trim());
  if (!/^[0-9a-f]{40}$/.test(commit.trim()) || !existsSync(snapshot)) return null;
  try {
    const names = (await readdir(snapshot, { recursive: true })).map((name) => name.replaceAll("\\", "/"));
    const there = names.filter((name) => existsSync(join(snapshot, name))); // a link may point to a blob that was removed
    const selection = selectFiles(there, id.repo, id);
    const shards = await shardsOf(selection, snapshot);
    const missing = shards.find((name) => !existsSync(join(snapshot, name)));
    if (missing !== undefined) return new CllmError("not-found", `${missing} is missing`);
    return selection.gguf === null ? snapshot : join(snapshot, selection.gguf);
  } catch (error) {
    return error instanceof CllmError ? error : null;
  }
}

async function shardsOf(selection: Selection, snapshot: string): Promise<string[]> {
  if (!selection.files.includes(WEIGHTS_INDEX)) return [];
  return [...new Set((await readShardMap(diskFolder(snapshot))).values())];
}

/** Look the revision up, fetch what is missing of it, and only then point the revision's name at it. */
async function fetchRevision(id: HubId, options: HubOptions): Promise<string> {
  const { revision, endpoint, token } = options;
  const access = {
    hubUrl: endpoint,
    fetch: abortable(options.signal),
    ...(token === null ? {} : { accessToken: token }),
  };
  const additionalFields = ["sha", "filePaths"] as const;
  const info = await withRetries(options.signal, () =>
    modelInfo({ name: id.repo, revision, additionalFields: [...additionalFields], ...access }),
  );
  if (typeof info.sha !== "string" || !/^[0-9a-f]{40}$/.test(info.sha) || !Array.isArray(info.filePaths)) {
    throw new CllmError("network", `${endpoint} gave no commit and files for ${id.repo}; check HF_ENDPOINT`);
  }
  const folder = folderOf(id, options);
  const snapshot = join(folder, "snapshots", info.sha);
  const selection = selectFiles(info.filePaths, id.repo, id);

  const fetchFiles = async (names: readonly string[]): Promise<void> => {
    const missing = names.filter((name) => !existsSync(join(snapshot, name)));
    if (missing.length === 0) return;
    const found = await withRetries(options.signal, () =>
      pathsInfo({ repo: id.repo, paths: missing, revision: info.sha, ...access }),
    );
    for (const name of missing) {
      const facts = found.find(({ path, type }) => path === name && type === "file");
      if (!facts) throw new CllmError("not-found", `${id.repo} has no file ${name}; choose another revision`);
      const hash = facts.lfs?.oid ?? facts.oid ?? ""; // also the name of its blob, as its ETag is for the Python library
      if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash) || !Number.isSafeInteger(facts.size) || facts.size < 0) {
        throw new CllmError("network", `${endpoint} gave no usable size and hash for ${name}; check HF_ENDPOINT`);
      }
      const blob = join(folder, "blobs", hash);
      const url = `${endpoint}/${id.repo}/resolve/${info.sha}/${name.split("/").map(encodeURIComponent).join("/")}`;
      await downloadBlob({ url, size: facts.size, hash, blob, what: `${id.repo}/${name}`, ...options });
      await point(join(snapshot, name), blob);
    }
  };
  await fetchFiles(selection.files);
  await fetchFiles(await shardsOf(selection, snapshot));
  if (revision !== info.sha) await writeWhole(join(folder, "refs", revision), (ref) => ref.writeFile(info.sha));
  return selection.gguf === null ? snapshot : join(snapshot, selection.gguf);
}

/** Facts about a repository are small: a server that takes longer than this counts as unreachable. */
const FACTS_TIMEOUT_MS = 30_000;

function abortable(signal: AbortSignal | null): typeof fetch {
  const limit = (): AbortSignal => AbortSignal.timeout(FACTS_TIMEOUT_MS);
  return (input, init) => fetch(input, { ...init, signal: signal ? AbortSignal.any([signal, limit()]) : limit() });
}

/** Point a snapshot's name at a blob; where the system has no links, move the blob there. */
async function point(pointer: string, blob: string): Promise<void> {
  try {
    await mkdir(dirname(pointer), { recursive: true });
    const target = relative(dirname(pointer), blob);
    await symlink(target, pointer).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
      if (existsSync(pointer)) return; // another process was faster: never take away what it may be reading
      await unlink(pointer); // a link whose blob was removed
      await symlink(target, pointer);
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EPERM" && code !== "ENOSYS") throw writeError(error, pointer);
    await rename(blob, pointer);
  }
}
