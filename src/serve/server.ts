/**
 * The server as a process's part: an app that listens, drains and ends. Knows no routes.
 */
import { setMaxListeners } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { getRequestListener } from "@hono/node-server";
import { getConnInfo } from "@hono/node-server/conninfo";
import type { Hono } from "hono";
import { CllmError } from "../error.ts";
import { type AppOptions, createApp, DEFAULT_TIMEOUT_MS } from "./app.ts";
import { MAX_AHEAD, oneAtATime } from "./connections.ts";

export interface ListenOptions extends Omit<AppOptions, "clientOf" | "draining" | "closing" | "stallMs"> {
  readonly host: string;
  /** 0 takes any port that is free. */
  readonly port: number;
  /** Most time that running requests have once the server is to end. Default: 30 seconds. */
  readonly drainMs?: number;
}

export interface RunningServer {
  readonly app: Hono;
  /** Such as `http://127.0.0.1:8000`. */
  readonly url: string;
  /**
   * Takes no new requests, and comes back when those that run are answered, at the latest a second after `drainMs`: then they are
   * told that the server ends. The models are the caller's to dispose of.
   */
  drain(): Promise<void>;
}

const HEADERS_MS = 30_000;
const BODY_MS = 60_000;
const KEEP_ALIVE_MS = 75_000; // longer than clients keep theirs, so that none sends into a connection that is closing
const CHECK_MS = 1_000; // how often connections are looked at that are late
const DRAIN_MS = 30_000;
const CLOSING_MS = 50;
const LAST_WORDS_MS = 1_000; // for the error answers to requests that are given up
const STALL_MS = 10; // how often the event loop is looked at

/**
 * Throws `usage` where the address cannot be listened on.
 *
 * @example
 * const server = await listen({ host: "127.0.0.1", port: 8000, models });
 * console.log(server.url);
 * await server.drain();
 */
export async function listen({ host, port, drainMs = DRAIN_MS, ...options }: ListenOptions): Promise<RunningServer> {
  const draining = new AbortController();
  const closing = new AbortController();
  setMaxListeners(0, closing.signal); // every request listens
  const delay = monitorEventLoopDelay({ resolution: STALL_MS });
  const app = createApp({
    ...options,
    draining: draining.signal,
    closing: closing.signal,
    stallMs: () => Math.max(0, delay.max / 1e6 - STALL_MS), // what is recorded is the time between two looks
    clientOf: (c) => {
      const { address = "", port: connection = 0 } = getConnInfo(c).remote;
      return { address, name: `connection ${connection}` };
    },
  });
  const connections = oneAtATime(getRequestListener(app.fetch, { overrideGlobalObjects: false }), () =>
    options.note?.(`a connection was cut that sent more than ${MAX_AHEAD} requests ahead`),
  );
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const server = createServer(
    {
      headersTimeout: Math.min(HEADERS_MS, timeoutMs),
      requestTimeout: Math.min(BODY_MS, timeoutMs + 2 * CHECK_MS), // after the answer that the app gives itself
      connectionsCheckingInterval: CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    connections.listener,
  );
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      const next = "give another --host or --port";
      reject(new CllmError("usage", `cannot listen on ${host}, port ${port} (${cause.message}); ${next}`, { cause }));
    });
    server.listen(port, host, resolve);
  });
  delay.enable();
  const { address, family, port: bound } = server.address() as AddressInfo;
  return {
    app,
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${bound}`,
    drain: () => {
      draining.abort();
      return new Promise((resolve) => {
        // Connections that are kept alive, or were opened and never used, would hold the server.
        const sweep = (): void =>
          connections.answering === 0 ? server.closeAllConnections() : server.closeIdleConnections();
        const sweeping = setInterval(sweep, CLOSING_MS);
        const timers = [
          setTimeout(() => closing.abort(), drainMs),
          setTimeout(() => server.closeAllConnections(), drainMs + LAST_WORDS_MS),
        ];
        server.close(() => {
          clearInterval(sweeping);
          for (const timer of timers) clearTimeout(timer);
          delay.disable();
          resolve();
        });
      });
    },
  };
}
