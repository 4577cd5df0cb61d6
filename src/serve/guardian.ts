/**
 * Ends a child process when its parent is gone, however the parent ended and whatever the child does: a child that is
 * stopped or in a long pass cannot end itself. Knows nothing of what the child is for.
 *
 * A shell reads from a pipe that only the parent writes to, and never does: the end of the pipe is the end of the
 * parent. In a session of its own, so that a signal to the parent's group does not reach it first. `prctl` would need
 * native code.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";

const SCRIPT = 'trap "" HUP INT TERM; read -r _; kill -9 "$0"';

/** Guards a child until the function that it gives is called. Without a shell the child must see to itself (see `pulse.ts`). */
export function outliveNot({ pid }: ChildProcess): () => void {
  if (pid === undefined || process.platform === "win32") return () => {};
  const guardian = spawn("/bin/sh", ["-c", SCRIPT, String(pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
    env: {},
  });
  guardian.on("error", () => {}); // no shell
  guardian.unref();
  guardian.stdin.on("error", () => {});
  (guardian.stdin as Socket).unref();
  return () => void guardian.kill("SIGKILL");
}
