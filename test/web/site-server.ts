/** A server of static files for tests of the browser: parts of files, tags, and what was asked for. */
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".json": "application/json",
  ".css": "text/css",
};

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly range: string | null;
  /** Bytes of the body that were sent, or begun to be. */
  bytes: number;
}

export interface SiteServer extends AsyncDisposable {
  readonly url: string;
  readonly asked: Asked[];
  /** Breaks off the next file of this name after so many bytes; one that `stays` says nothing more until the page hangs up. */
  cut: { readonly name: string; readonly after: number; readonly stays?: boolean } | null;
}

/** Serves what stands in `memory` by its path, and files of `folders` below theirs. */
export async function serveSite(
  memory: ReadonlyMap<string, string>,
  folders: ReadonlyMap<string, string>,
  { isolated = false }: { readonly isolated?: boolean } = {},
): Promise<SiteServer> {
  const asked: Asked[] = [];
  const bytesOf = (path: string): Uint8Array | null => {
    const text = memory.get(path);
    if (text !== undefined) return Buffer.from(text);
    for (const [prefix, folder] of folders) {
      if (!path.startsWith(prefix)) continue;
      const file = join(folder, path.slice(prefix.length));
      if (statSync(file, { throwIfNoEntry: false })?.isFile()) return readFileSync(file);
    }
    return null;
  };
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    const entry: Asked = { method: request.method ?? "", path, range: request.headers.range ?? null, bytes: 0 };
    asked.push(entry);
    const bytes = bytesOf(path.endsWith("/") ? `${path}index.html` : path);
    if (isolated) {
      response.setHeader("cross-origin-opener-policy", "same-origin");
      response.setHeader("cross-origin-embedder-policy", "require-corp");
    }
    if (bytes === null) {
      response.writeHead(404).end();
      return;
    }
    const [, from = "0"] = /^bytes=(\d+)-$/.exec(entry.range ?? "") ?? [];
    const start = Number(from);
    response.writeHead(entry.range === null ? 200 : 206, {
      "content-type": TYPES[extname(path.endsWith("/") ? "index.html" : path)] ?? "application/octet-stream",
      "content-length": bytes.length - start,
      "accept-ranges": "bytes",
      etag: `"${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}"`,
      ...(entry.range !== null && { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
    });
    if (entry.method === "HEAD") {
      response.end();
      return;
    }
    const { cut } = site;
    if (cut !== null && path.endsWith(cut.name)) {
      site.cut = null;
      entry.bytes = cut.after;
      const part = bytes.subarray(start, start + cut.after);
      if (cut.stays) response.write(part);
      else response.write(part, () => setTimeout(() => response.destroy(), 300));
      return;
    }
    entry.bytes = bytes.length - start;
    response.end(bytes.subarray(start));
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const site: SiteServer = {
    url: `http://127.0.0.1:${port}`,
    asked,
    cut: null,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return site;
}
