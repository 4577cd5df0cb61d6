/**
 * One run at a time: a lock file that names the process which holds it. A lock whose process is gone, as after kill -9,
 * is taken over. Knows nothing of what is locked.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import * as z from "zod";
import { CllmError } from "../error.ts";
import { writeError } from "./file-error.ts";

const holderSchema = z.strictObject({
  pid: z.int().min(1),
  host: z.string(),
  /** When the process began, where the system tells: process ids are used again. */
  since: z.string().nullable(),
  token: z.string(),
});
type Holder = z.infer<typeof holderSchema>;

export interface Lock extends AsyncDisposable {
  release(): Promise<void>;
}

/** Locks `target`, or throws `usage` where another run has it. */
export async function acquireLock(target: string): Promise<Lock> {
  const path = `${target}.lock`;
  const own: Holder = { pid: process.pid, host: hostname(), since: startOf(process.pid), token: randomUUID() };
  const text = `${JSON.stringify(own)}\n`;
  try {
    await mkdir(dirname(path), { recursive: true });
    while (!(await createWhole(path, text))) await removeStale(path, target);
  } catch (error) {
    throw writeError(error, path);
  }
  let held = true;
  const release = async (): Promise<void> => {
    if (held && (await readIfThere(path)) === text) await rm(path, { force: true });
    held = false;
  };
  return { release, [Symbol.asyncDispose]: release };
}

/** Whether the file was made; it appears with its whole content or not at all. */
async function createWhole(path: string, text: string): Promise<boolean> {
  const scratch = `${path}.${randomUUID().slice(0, 8)}`;
  try {
    await writeFile(scratch, text, { flag: "wx" });
    await link(scratch, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await rm(scratch, { force: true });
  }
}

/** Takes a stale lock away; throws where somebody holds it. */
async function removeStale(path: string, target: string): Promise<void> {
  const found = await readIfThere(path);
  if (found === null) return;
  const holder = parseHolder(found);
  if (holder !== null && isAlive(holder)) {
    const where = holder.host === hostname() ? "" : ` on ${holder.host}`;
    const next = where === "" ? "wait for it, or write elsewhere" : `if it is over, delete ${path}`;
    throw new CllmError("usage", `another run is writing ${target}: process ${holder.pid}${where}; ${next}`);
  }
  const aside = `${path}.${randomUUID().slice(0, 8)}.stale`;
  await rename(path, aside).catch(ignoreMissing);
  const taken = await readIfThere(aside);
  if (taken !== null && taken !== found) await link(aside, path).catch(() => {}); // somebody else was quicker: put it back
  await rm(aside, { force: true });
}

function parseHolder(text: string): Holder | null {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return null; // not ours, or damaged: nobody can hold it
  }
}

function isAlive({ pid, host, since }: Holder): boolean {
  if (host !== hostname()) return true; // nobody can tell from here
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  const began = startOf(pid);
  return since === null || began === null || since === began;
}

/** Ticks from the system's start to the process's, on Linux. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}

async function readIfThere(path: string): Promise<string | null> {
  return readFile(path, "utf8").catch(ignoreMissing);
}

function ignoreMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  throw error;
}
