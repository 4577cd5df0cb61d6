/** What a browser is like. The twin of `host.ts`. */
import type { HostPrecision } from "../model/precision.ts";

export const HOST = "this browser";

/** In WebAssembly, int8 saves bytes and no time. */
export const DEFAULT_PRECISION: HostPrecision = "fp32";

/** Threads of one pass where none are asked for: several only in a page that is isolated, because they share memory. */
export function defaultThreads(): number {
  return globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;
}

export const processorTime = (): number | null => null;

export function warn(line: string): void {
  console.warn(line);
}
