/** What the machine that runs models is like, in Node. Its twin for browsers is `host.web.ts`. */
import { availableParallelism } from "node:os";
import type { HostPrecision } from "../model/precision.ts";

/** What it is, for people. */
export const HOST: string = `${process.platform} ${process.arch}`;

/** The precision that a model has where none is asked for. */
export const DEFAULT_PRECISION: HostPrecision = "int8";

/** Threads of one pass where none are asked for. */
export function defaultThreads(): number {
  return Math.min(availableParallelism(), 8);
}

/** Milliseconds of processor time that this process has had, all threads together; null where nobody knows. */
export function processorTime(): number | null {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Says what was passed over or is slower than asked for, where nobody takes it. */
export function warn(line: string): void {
  process.emitWarning(line, "CllmWarning");
}
