/**
 * The one error class of the project. An error names the value, the limit and the next move, and carries a code that
 * programs can switch on. Knows nothing about where it is raised or shown.
 */

/** What went wrong, for programs. The command maps `usage` to exit code 2 and all others to 1. */
export type ErrorCode =
  | "usage" // a flag, option or argument is wrong
  | "not-found" // a file, directory or repository does not exist
  | "bad-file" // a file is truncated, lies about itself or is not what it should be
  | "unsupported" // a family, dtype, operator or feature that is not built
  | "bad-input" // token ids, prompts or messages that the model cannot take
  | "context-overflow" // the prompt and the output budget exceed the context length
  | "bad-weights" // weights that are NaN, infinite or of the wrong shape
  | "bad-template" // a chat template that fails, loops or is missing
  | "network" // a download failed
  | "offline" // a download would be needed, but `offline` forbids it
  | "disk" // writing failed: full disk, no permission
  | "aborted" // the caller's AbortSignal fired
  | "engine" // ONNX Runtime failed
  | "diverged" // training went wrong: a loss that is not finite, or a collapse
  | "unauthorized" // a server's key is missing or wrong
  | "forbidden" // a request that the server takes from nobody, such as one for another host's name
  | "too-large" // a request's body exceeds the server's limit
  | "busy" // the server's queue is full
  | "timeout" // a request took longer than the server allows
  | "unavailable" // a model's worker ended, or the server is shutting down
  | "disposed"; // used after dispose()

/**
 * What went wrong, what to do about it, and a code for programs.
 *
 * @example
 * try {
 *   await load("./no-such-model");
 * } catch (error) {
 *   if (error instanceof CllmError && error.code === "not-found") console.error(error.message);
 * }
 */
export class CllmError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "CllmError";
    this.code = code;
  }
}
