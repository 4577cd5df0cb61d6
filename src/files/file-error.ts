/**
 * What the system says about files, as errors that name the file and the next move. Knows no format.
 */
import { CllmError } from "../error.ts";

/** What the system said on reading `path`, as one of our errors; ours pass unchanged. */
export function readError(error: unknown, path: string): CllmError {
  if (error instanceof CllmError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new CllmError("not-found", `${path} does not exist; check the path`, { cause: error });
  }
  if (code === "EISDIR") {
    return new CllmError("bad-file", `${path} is a directory where a file is expected`, { cause: error });
  }
  if (code === "EACCES" || code === "EPERM") {
    return new CllmError("disk", `${path} may not be read (${code}); change its permissions`, { cause: error });
  }
  return new CllmError("disk", `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });
}

/** What the system said on writing `path`, as one of our errors; ours pass unchanged. */
export function writeError(error: unknown, path: string): CllmError {
  if (error instanceof CllmError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const reason = error instanceof Error ? error.message : String(error);
  const next =
    code === "ENOSPC" || code === "EDQUOT"
      ? "the disk is full: free some space and run again"
      : "choose a folder that you may write to";
  return new CllmError("disk", `${path} cannot be written (${reason}); ${next}`, { cause: error });
}
