/**
 * The pulse of a worker, in a thread of its own: a pass blocks the main one for as long as it takes, so that its
 * silence says nothing. If the server is gone, the process ends. Knows no model.
 */
import { writeSync } from "node:fs";
import { BEAT_MS, PULSE_FD } from "./wire.ts";

setInterval(() => {
  try {
    writeSync(PULSE_FD, ".");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") process.kill(process.pid, "SIGKILL"); // the server is gone
  }
}, BEAT_MS);
