/**
 * The folder of prepared models: which there are, whether one is whole, and which go when there are too many. Knows that a
 * prepared model is a folder of files with a list of them, and nothing of what is in these.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { defaultCacheFolder } from "../files/cache-folder.ts";

/** Of the files' form; another one means that all are made anew. */
export const FORMAT = 5;
export const INFO = "prepared.json";
const SAMPLES = 64;
const SAMPLE_BYTES = 4096;

const infoSchema = z.strictObject({
  format: z.literal(FORMAT),
  key: z.string(),
  name: z.string(),
  files: z.array(
    z.strictObject({ name: z.string().regex(/^[\w-]+\.(onnx|bin)$/), bytes: z.int().min(0), hash: z.string() }),
  ),
});

type FileFacts = z.output<typeof infoSchema>["files"][number];

/** Size and a cheap hash: of small files all bytes, of big ones samples that lie evenly. */
async function describe(folder: string, name: string, sync = false): Promise<FileFacts> {
  const file = await open(join(folder, name), sync ? "r+" : "r");
  try {
    if (sync) await file.sync(); // before the folder gets its name
    const { size } = await file.stat();
    const hash = createHash("sha256");
    const whole = size <= SAMPLES * SAMPLE_BYTES;
    const step = whole ? SAMPLE_BYTES : Math.floor((size - SAMPLE_BYTES) / (SAMPLES - 1));
    const buffer = Buffer.alloc(SAMPLE_BYTES);
    for (let at = 0; at < size; at += step) {
      const { bytesRead } = await file.read(buffer, 0, SAMPLE_BYTES, at);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return { name, bytes: size, hash: hash.digest("hex") };
  } finally {
    await file.close();
  }
}

/**
 * Writes the list of the files that are in the folder, and makes sure that they are on the disk. After that the folder
 * may get its name.
 */
export async function seal(folder: string, key: string, name: string): Promise<void> {
  const files = await Promise.all((await readdir(folder)).sort().map((file) => describe(folder, file, true)));
  await writeFile(join(folder, INFO), JSON.stringify({ format: FORMAT, key, name, files }));
}

/** Whether the folder holds a whole prepared model of this key, which belongs to the user. */
export async function isSound(folder: string, key: string): Promise<boolean> {
  try {
    if (!existsSync(folder)) return false;
    const { uid } = await stat(folder);
    if (process.getuid !== undefined && uid !== process.getuid()) return false; // another user who made it could change it
    const info = infoSchema.parse(JSON.parse(await readFile(join(folder, INFO), "utf8")));
    if (info.key !== key) return false;
    for (const expected of info.files) {
      const found = await describe(folder, expected.name);
      if (found.bytes !== expected.bytes || found.hash !== expected.hash) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/** Where prepared models are kept. */
export function preparedFolder(cacheDir?: string): string {
  return join(cacheDir ?? defaultCacheFolder(), "prepared");
}

export interface PreparedModel {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  readonly usedAt: Date;
}

/** All prepared models of a folder, the one that was used last first. What is no prepared model is passed over. */
export async function listPrepared(folder: string): Promise<PreparedModel[]> {
  const models: PreparedModel[] = [];
  for (const entry of await readdir(folder).catch(() => [])) {
    if (!/^[0-9a-f]{32}$/.test(entry)) continue;
    const path = join(folder, entry);
    try {
      const { name, files } = infoSchema.parse(JSON.parse(await readFile(join(path, INFO), "utf8")));
      const { mtime } = await stat(join(path, INFO));
      models.push({ name, path, bytes: files.reduce((sum, file) => sum + file.bytes, 0), usedAt: mtime });
    } catch {
      models.push({ name: "of another version, or damaged", path, bytes: await bytesIn(path), usedAt: new Date(0) });
    }
  }
  return models.sort((a, b) => b.usedAt.getTime() - a.usedAt.getTime());
}

async function bytesIn(folder: string): Promise<number> {
  let sum = 0;
  for (const entry of await readdir(folder).catch(() => []))
    sum += (await stat(join(folder, entry)).catch(() => null))?.size ?? 0;
  return sum;
}

/** Removes prepared models. Those that are in use go on from what is mapped, where the system allows it. */
export async function removePrepared(models: readonly PreparedModel[]): Promise<void> {
  for (const { path } of models) await rm(path, { recursive: true, force: true });
}

/** Makes room: the least recently used go until all fit, `keep` last. */
export async function evict(folder: string, limitBytes: number, keep: string): Promise<void> {
  const models = await listPrepared(folder);
  let excess = models.reduce((sum, { bytes }) => sum + bytes, 0) - limitBytes;
  for (const model of models.reverse()) {
    if (excess <= 0) return;
    if (model.path === keep) continue;
    await removePrepared([model]).catch(() => {});
    excess -= model.bytes;
  }
}
