/**
 * What goes wrong between us and the hub, as errors that say what to do about it. Knows no repository and no file.
 */
import { HubApiError, InvalidApiResponseFormatError } from "@huggingface/hub";
import { CllmError } from "../../error.ts";
import { writeError } from "../../files/file-error.ts";

interface Circumstances {
  readonly endpoint: string;
  readonly revision: string;
  readonly token: string | null;
  readonly signal: AbortSignal | null;
}

/** An answer of the hub that is no success, to a request of ours or of its library. */
export class HttpStatusError extends Error {
  readonly status: number;
  constructor(status: number, url: string) {
    super(`status ${status} from ${new URL(url).origin}`);
    this.name = "HttpStatusError";
    this.status = status;
  }
}

/** The status of a failed request, or null where there was no answer. */
export function statusOf(error: unknown): number | null {
  if (error instanceof HttpStatusError) return error.status;
  return error instanceof HubApiError ? error.statusCode : null;
}

/** Any error of a download as one of ours; ours pass unchanged. */
export function hubError(error: unknown, repo: string, circumstances: Circumstances): CllmError {
  const { endpoint, revision, token, signal } = circumstances;
  if (error instanceof CllmError) return error;
  if (signal?.aborted) {
    const message = `fetching ${repo} was cancelled; what was fetched is kept: run again to go on`;
    return new CllmError("aborted", message, { cause: error });
  }
  const make = (code: "not-found" | "network", message: string): CllmError =>
    new CllmError(code, message, { cause: error });
  const status = statusOf(error);
  if (status === 401) {
    const next =
      token === null
        ? "check the name; if it is private or gated, run hf auth login or set HF_TOKEN"
        : "check the name, and the token of HF_TOKEN or hf auth login";
    return make("not-found", `${endpoint} has no ${repo} that anyone may read (status 401): ${next}`);
  }
  if (status === 403) {
    const next = `accept its terms at ${endpoint}/${repo} and run hf auth login or set HF_TOKEN for that account`;
    return make("not-found", `${repo} is gated or private (status 403): ${next}`);
  }
  if (status === 404) {
    const next = "check the name, and that no local path was meant";
    return make("not-found", `${endpoint} has no ${repo} at revision ${revision} (status 404); ${next}`);
  }
  if (status !== null)
    return make("network", `${endpoint} answered with status ${status} for ${repo}; try again later`);
  if (error instanceof InvalidApiResponseFormatError) {
    return make("network", `${endpoint} does not answer as a hub does (${error.message}); check HF_ENDPOINT`);
  }
  if (isSystemError(error)) return writeError(error, error.path ?? "the cache");
  return make(
    "network",
    `${endpoint} cannot be reached for ${repo} (${reasonOf(error)}); check the connection, or use --offline`,
  );
}

/** An error of a file operation: those of sockets come wrapped in fetch's TypeError. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === "string" && "errno" in error;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
