/** What the server and a model's worker say to each other, as JSON, failures too; and where the worker's pulse is felt. */
import { CllmError, type ErrorCode } from "../error.ts";
import type { LoadOptions } from "../generate/types.ts";
import type { PassEvent, RunsOn, ServedGeneration, ServedRequest } from "./backend.ts";

/** The worker writes a byte to this descriptor at every beat. */
export const PULSE_FD = 4;
export const BEAT_MS = 500;

export type LoadSettings = Omit<LoadOptions, "onProgress" | "onWarning" | "signal">;

/** What a worker is started with. */
export interface WorkerData {
  readonly model: string;
  readonly options: LoadSettings;
}

export type ToWorker =
  | { readonly type: "load" } // the memory that was asked for is granted
  | { readonly type: "run"; readonly id: number; readonly request: ServedRequest }
  | { readonly type: "abort"; readonly id: number }
  | { readonly type: "close" };

export interface Failure {
  readonly code: ErrorCode | "internal";
  readonly message: string;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof CllmError) return { code: error.code, message: error.message };
  return { code: "internal", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

export function revive({ code, message }: Failure): Error {
  return code === "internal" ? new Error(message) : new CllmError(code, message);
}

/** About one request; `done` and `failed` end it. */
export type RunMessage =
  | { readonly type: "pass"; readonly id: number; readonly event: PassEvent }
  | { readonly type: "done"; readonly id: number; readonly generation: ServedGeneration }
  | { readonly type: "failed"; readonly id: number; readonly failure: Failure };

export type FromWorker =
  | { readonly type: "opened"; readonly bytes: number } // an estimate of what the model will take
  | { readonly type: "ready"; readonly runsOn: RunsOn }
  | { readonly type: "unloadable"; readonly failure: Failure }
  | RunMessage;
