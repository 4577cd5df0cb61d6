/**
 * Which process something belongs to, and whether that process is still there: its id and when it began, and the place
 * where that id means something. A container counts its processes from 1, so ids of two places cannot be compared.
 * Knows no file that is owned.
 */
import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

export interface Owner {
  /** A system and a container on it, as 8 hexadecimal digits. */
  readonly place: string;
  readonly pid: number;
  /** When the process began, in the system's ticks; "0" where the system does not tell. */
  readonly since: string;
}

/** `unknown`: of another place, or of a system that does not tell when a process began. */
export type OwnerState = "alive" | "gone" | "unknown";

const UNTOLD = "0";

/** This process. */
export function ownOwner(): Owner {
  return OWN;
}

/** Whether the owner's process is there. One that is dead and not yet waited for by its parent is gone. */
export function stateOf({ place, pid, since }: Owner): OwnerState {
  if (place !== OWN.place) return "unknown";
  if (pid === OWN.pid) return since === OWN.since ? "alive" : "gone";
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return "gone";
  }
  const now = processFacts(pid);
  if (now === null || since === UNTOLD) return "unknown";
  return now.since === since && !/[ZX]/.test(now.state) ? "alive" : "gone";
}

const OWN: Owner = { place: placeOf(), pid: process.pid, since: processFacts(process.pid)?.since ?? UNTOLD };

function placeOf(): string {
  const told = (read: () => string): string => {
    try {
      return read();
    } catch {
      return "";
    }
  };
  const boot = told(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8"));
  const container = told(() => readlinkSync("/proc/self/ns/pid"));
  return createHash("sha256").update(`${hostname()}\0${boot}\0${container}`).digest("hex").slice(0, 8);
}

/** Linux: the third and the 22nd field of `/proc/PID/stat`. The second may hold blanks and brackets. */
function processFacts(pid: number): { readonly state: string; readonly since: string } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", since: fields[19] ?? UNTOLD };
  } catch {
    return null;
  }
}
