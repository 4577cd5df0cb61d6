/**
 * The server as a process's part: an app that listens, drains and ends. Knows no routes.
 */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createAdaptorServer } from "@hono/node-server";
import { getConnInfo } from "@hono/node-server/conninfo";
import type { Hono } from "hono";
import { CllmError } from "../error.ts";
import { type AppOptions, createApp } from "./app.ts";

export interface ListenOptions extends Omit<AppOptions, "clientOf" | "draining" | "stallMs"> {
  readonly host: string;
  /** 0 takes any port that is free. */
  readonly port: number;
}

export interface RunningServer {
  readonly app: Hono;
  /** Such as `http://127.0.0.1:8000`. */
  readonly url: string;
  /** Takes no new requests, and comes back when those that run are answered. The models are the caller's to dispose of. */
  drain(): Promise<void>;
}

const HEADERS_MS = 30_000;
const KEEP_ALIVE_MS = 75_000; // longer than clients keep theirs, so that none sends into a connection that is closing
const CLOSING_MS = 50;
const STALL_MS = 10; // how often the event loop is looked at

/** Throws `usage` where the address cannot be listened on. */
export async function listen({ host, port, ...options }: ListenOptions): Promise<RunningServer> {
  const draining = new AbortController();
  const delay = monitorEventLoopDelay({ resolution: STALL_MS });
  const app = createApp({
    ...options,
    draining: draining.signal,
    stallMs: () => Math.max(0, delay.max / 1e6 - STALL_MS), // what is recorded is the time between two looks
    clientOf: (c) => getConnInfo(c).remote.address ?? "",
  });
  const server = createAdaptorServer({
    fetch: app.fetch,
    overrideGlobalObjects: false,
    serverOptions: { headersTimeout: HEADERS_MS, requestTimeout: 2 * HEADERS_MS, keepAliveTimeout: KEEP_ALIVE_MS },
  }) as Server;
  let answering = 0;
  server.on("request", (_, response) => {
    answering++;
    response.once("close", () => {
      answering--;
    });
  });
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
        const close = (): void => (answering === 0 ? server.closeAllConnections() : server.closeIdleConnections());
        const closing = setInterval(close, CLOSING_MS);
        server.close(() => {
          clearInterval(closing);
          delay.disable();
          resolve();
        });
      });
    },
  };
}
