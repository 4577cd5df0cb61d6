/** Names of requests, for logs on both sides of a proxy: the one that came with it, or a new one. Knows no routes. */
import { randomUUID } from "node:crypto";

/** The header that carries it, in and out. */
export const REQUEST_ID = "X-Request-Id";

const SOUND = /^[\x21-\x7e]{1,128}$/; // visible ASCII: it goes into a header and a log

/**
 * The id of a request. One that no log should hold is replaced.
 *
 * @example requestId("abc-1"); // "abc-1"
 */
export function requestId(given: string | undefined): string {
  return given !== undefined && SOUND.test(given) ? given : randomUUID();
}
