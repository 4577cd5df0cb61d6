/**
 * Names for what is not whole yet, beside what it will be: `NAME.place-pid-since-random.incomplete`. The name says whose it
 * is, so that what a killed process left is told from what a living one is writing, also where containers share a folder.
 * Knows nothing of what is written.
 */
import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { lstat, readdir, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Owner, type OwnerState, ownOwner, stateOf } from "./owner.ts";

/** `incomplete` is being written; `replaced` stood in its place before. */
type Kind = "incomplete" | "replaced";

const NAME = /^(.+)\.([0-9a-f]{8})-(\d{1,10})-(\d{1,20})-([0-9a-f]{8})\.(incomplete|replaced)$/;
/** Scratch of another machine or container that was not written to for so long is abandoned. */
const FORGOTTEN_MS = 3_600_000;
/** Two renames follow each other at once; a process that is between them for so long was stopped there. */
const SWAP_MS = 1000;

const live = new Set<string>();
let watching = false;

/** A fresh path beside `path` for this process, which goes when the process ends; on kill -9 with `removeLeftovers`. */
export function scratchFor(path: string): string {
  const { place, pid, since } = ownOwner();
  const scratch = `${path}.${place}-${pid}-${since}-${randomUUID().slice(0, 8)}.incomplete`;
  if (!watching)
    process.once("exit", () => live.forEach((each) => void rmSync(each, { recursive: true, force: true })));
  watching = true;
  live.add(scratch);
  return scratch;
}

/** Where what stood at the name goes, while this scratch takes its place. */
export const asideOf = (scratch: string): string => scratch.replace(/incomplete$/, "replaced");

/** Removes scratch, if it is there still. */
export async function dropScratch(scratch: string): Promise<void> {
  await rm(scratch, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
  live.delete(scratch);
}

/** Removes from a folder what dead processes left in it. Never fails: what cannot be removed stays. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const entry of await readdir(folder).catch(() => [])) {
    const found = parse(entry);
    if (found === null) continue;
    const path = join(folder, entry);
    if (!(await isAbandoned(path, found.state))) continue;
    if (found.kind === "replaced") finishSwap(join(folder, found.name), path);
    else if (existsSync(asideOf(path))) continue; // comes with the other one
    await rm(path, { recursive: true, force: true }).catch(() => {});
  }
}

/**
 * Where a process ended between taking the old folder of this name away and putting the new one there: the new one takes
 * its place. Nothing where the name is taken, and nothing where there is nothing to recover.
 */
export async function recoverFolder(path: string): Promise<void> {
  const target = resolve(path);
  const until = performance.now() + SWAP_MS;
  while (!existsSync(target)) {
    const left = replacedOf(target);
    if (left === null) return;
    if (left.state === "gone" || performance.now() > until) {
      finishSwap(target, left.path);
      return;
    }
    await delay(20);
  }
}

function replacedOf(target: string): { readonly path: string; readonly state: OwnerState } | null {
  const [folder, name] = [dirname(target), basename(target)];
  if (!existsSync(folder)) return null;
  for (const entry of readdirSync(folder)) {
    const found = parse(entry);
    if (found?.kind === "replaced" && found.name === name) return { path: join(folder, entry), state: found.state };
  }
  return null;
}

/** The old folder went aside only when the new one was whole. */
function finishSwap(target: string, aside: string): void {
  for (const whole of [aside.replace(/replaced$/, "incomplete"), aside]) {
    if (existsSync(target)) break;
    try {
      renameSync(whole, target);
    } catch {
      // not there, or another process was faster
    }
  }
  if (!existsSync(target)) return;
  for (const rest of [aside.replace(/replaced$/, "incomplete"), aside]) rmSync(rest, { recursive: true, force: true });
}

function parse(entry: string): { readonly name: string; readonly kind: Kind; readonly state: OwnerState } | null {
  const match = NAME.exec(entry);
  if (match === null) return null;
  const [, name = "", place = "", pid, since = "", , kind] = match;
  const owner: Owner = { place, pid: Number(pid), since };
  return { name, kind: kind as Kind, state: stateOf(owner) };
}

async function isAbandoned(path: string, state: OwnerState): Promise<boolean> {
  return state === "gone" || (state === "unknown" && Date.now() - (await lastWritten(path)) > FORGOTTEN_MS);
}

/** Of a folder, the newest of all that is in it. */
async function lastWritten(path: string): Promise<number> {
  try {
    const facts = await lstat(path);
    const entries = facts.isDirectory() ? await readdir(path) : [];
    const times = await Promise.all(entries.map((entry) => lastWritten(join(path, entry))));
    return times.reduce((latest, time) => Math.max(latest, time), facts.mtimeMs);
  } catch {
    return Number.POSITIVE_INFINITY; // it is gone, or not ours to judge
  }
}
