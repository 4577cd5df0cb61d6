/**
 * How the program is ended from outside: by Ctrl-C, a termination signal, or a reader that has seen enough. What runs is
 * cancelled and ends by itself; where it does not, the process ends all the same. Knows no command.
 */
import { setTimeout as delay } from "node:timers/promises";
import { writesUnderWay } from "../files/write-whole.ts";

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
type SignalName = keyof typeof SIGNALS;

/** After a signal, for what is cancelled. A pass blocks this timer, so it begins after the present pass. */
const GRACE_MS = 1000;
/** For a checkpoint that is being written. Whatever is cut off then leaves the one before it in place. */
const SAVE_MS = 30_000;
const LOOK_MS = 50;
const SHOW_CURSOR = "\x1b[?25h";

export interface Interrupt {
  /** Aborted when something ended the program from outside. */
  readonly signal: AbortSignal;
  /** The exit code that goes with it; null while nothing did. */
  readonly ended: number | null;
  /** Cancels what runs; the process ends with this code. */
  end(code: number): void;
  /** A command ends by itself within this time after a signal, such as a server with its last answers. */
  allow(graceMs: number): void;
  /** Ends the process, with the code of what ended it from outside, if anything did. */
  leave(code: number): Promise<never>;
}

/** Takes over the process's signals. */
export function createInterrupt(): Interrupt {
  const controller = new AbortController();
  let ended: number | null = null;
  let by: SignalName | null = null;
  let graceMs = GRACE_MS;

  const end = (code: number): void => {
    if (ended !== null) return;
    ended = code;
    controller.abort();
    void endLate();
  };
  const endLate = async (): Promise<void> => {
    const begin = performance.now();
    for (let spent = 0; spent < graceMs || (spent < SAVE_MS && writesUnderWay() > 0); ) {
      await delay(LOOK_MS);
      spent = performance.now() - begin;
    }
    quit(ended ?? 1, by);
  };
  for (const [name, code] of Object.entries(SIGNALS) as [SignalName, number][]) {
    process.on(name, () => {
      if (ended !== null) quit(ended, name); // the second one waits for nothing
      by = name;
      end(code);
    });
  }
  return {
    signal: controller.signal,
    get ended() {
      return ended;
    },
    end,
    allow: (ms) => {
      graceMs = Math.max(graceMs, ms);
    },
    leave: async (code) => {
      if (ended !== null) await settled();
      return quit(ended ?? code, by);
    },
  };
}

/**
 * Ends the process. Node.js waits for its threads on the way out, and one that a system call holds, such as the look-up of a
 * name, would never come: then the signal itself ends the process, as it would without us.
 */
function quit(code: number, by: SignalName | null): never {
  if (process.stderr.isTTY) process.stderr.write(SHOW_CURSOR);
  if (by !== null && hasBlockedThreads()) {
    process.emit("exit", code); // leftovers and locks go
    process.removeAllListeners(by);
    process.kill(process.pid, by);
  }
  process.exit(code);
}

/** Short calls end by themselves. */
async function settled(): Promise<void> {
  for (let spent = 0; spent < 4 * LOOK_MS && hasBlockedThreads(); spent += LOOK_MS) await delay(LOOK_MS);
}

const hasBlockedThreads = (): boolean => process.getActiveResourcesInfo().some((name) => /^(FSReq|GetAddr)/.test(name));
