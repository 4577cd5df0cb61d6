/**
 * Who may ask: the host name that a request is for, and its key. Knows no routes.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { isIPv4 } from "node:net";
import { CllmError } from "../error.ts";

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

/**
 * Whether an address to listen on can be reached from this machine only.
 *
 * @example isLoopback("127.0.0.1"); // true
 */
export function isLoopback(host: string): boolean {
  return LOOPBACK.has(host) || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

/**
 * A page from elsewhere can point its own name at this machine and so talk to a server that listens on it alone
 * (DNS rebinding); its requests carry that name. Throws `forbidden` for every name that is not the machine's own.
 */
export function requireLocalName(host: string | undefined): void {
  const name = (host ?? "").replace(/:\d*$/, "").toLowerCase();
  if (LOOPBACK.has(name) || isLoopback(name)) return;
  const next = "ask for localhost, or start the server with --host and --api-key";
  throw new CllmError(
    "forbidden",
    `this server answers to this machine's own names, not to ${name.slice(0, 100)}; ${next}`,
  );
}

/**
 * Who shares a memory of earlier answers: those who send the same `Authorization` header, known by its hash. Undefined for those who
 * send none.
 */
export const memoryScopeOf = (authorization: string | undefined): string | undefined =>
  authorization && createHash("sha256").update(authorization).digest("base64url");

/** Checks the `Authorization` header in a time that does not depend on where a wrong key differs. */
export function keyCheck(apiKey: string): (authorization: string | undefined) => void {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  const wanted = digest(apiKey);
  return (authorization) => {
    const given = /^Bearer +(.+)$/i.exec(authorization ?? "")?.[1];
    if (given !== undefined && timingSafeEqual(digest(given), wanted)) return;
    const what = given === undefined ? "no API key was given" : "the API key is not this server's";
    throw new CllmError("unauthorized", `${what}; send it as Authorization: Bearer KEY`);
  };
}
