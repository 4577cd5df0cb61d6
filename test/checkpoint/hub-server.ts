/**
 * A hub on 127.0.0.1 that speaks the routes a client needs: a repository's facts, its files' sizes and hashes, and the
 * files themselves, large ones by way of a redirect to a second origin as the real hub does. Breaks on request.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface Request {
  readonly origin: "hub" | "files";
  readonly method: string;
  readonly path: string;
  readonly range: string | null;
  readonly authorization: string | null;
}

export interface HubServer {
  readonly url: string;
  /** By path; those over 1000 bytes are "large". Change it to publish. */
  readonly files: Map<string, Buffer>;
  sha: string;
  readonly requests: Request[];
  /** Answer with a status before anything else is looked at, or go on by null. */
  fail: (request: Request) => number | null;
  /** Bytes to send of a body before cutting the connection, or null. */
  cut: (request: Request) => number | null;
  /** Send bodies whole even where a range is asked for. */
  ignoreRanges: boolean;
  /** Change bytes on the way. */
  damage: boolean;
  close(): Promise<void>;
}

export const REPO = "someone/tiny-model";

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const gitSha1 = (bytes: Buffer): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

/** The name of a file's blob in the cache: what the hub gives as its ETag. */
export function etagOf(bytes: Buffer): string {
  return bytes.length > 1000 ? sha256(bytes) : gitSha1(bytes);
}

export async function startHub(files: ReadonlyMap<string, Buffer>, repo: string = REPO): Promise<HubServer> {
  const listening = async (handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> => {
    const server = createServer(handler);
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return server;
  };
  const address = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const seen = (origin: Request["origin"], { method = "", url = "", headers }: IncomingMessage): Request => {
    const request = {
      ...{ origin, method, path: decodeURIComponent(new URL(url, "http://x").pathname) },
      ...{ range: headers.range ?? null, authorization: headers.authorization ?? null },
    };
    hub.requests.push(request);
    return request;
  };
  const json = (response: ServerResponse, value: unknown): void => {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(value));
  };
  const stop = (response: ServerResponse, status: number): void => {
    response.statusCode = status;
    json(response, { error: `status ${status}` });
  };

  const front = await listening((incoming, response) => {
    const request = seen("hub", incoming);
    const status = hub.fail(request);
    if (status !== null) return stop(response, status);
    const [, route, revision, path] =
      new RegExp(`^/(?:api/models/)?${repo}/(revision|paths-info|resolve)/([^/]+)/?(.*)$`).exec(request.path) ?? [];
    if (route === undefined || (revision !== "main" && revision !== hub.sha)) return stop(response, 404);
    if (route === "revision") {
      const siblings = [...hub.files.keys()].map((rfilename) => ({ rfilename }));
      return json(response, { _id: "1", id: repo, sha: hub.sha, siblings, lastModified: "2024-01-01T00:00:00Z" });
    }
    if (route === "paths-info") {
      let body = "";
      incoming.on("data", (piece) => {
        body += piece;
      });
      incoming.on("end", () => json(response, (JSON.parse(body) as { paths: string[] }).paths.flatMap(describe)));
      return;
    }
    const bytes = hub.files.get(path!);
    if (!bytes) return stop(response, 404);
    if (bytes.length <= 1000) return send(request, response, bytes);
    response.writeHead(302, { Location: `${address(back)}/blobs/${path}` });
    response.end();
  });
  const back = await listening((incoming, response) => {
    const request = seen("files", incoming);
    const bytes = hub.files.get(request.path.replace("/blobs/", ""));
    if (bytes) send(request, response, bytes);
    else stop(response, 404);
  });

  function describe(path: string): object[] {
    const bytes = hub.files.get(path);
    if (!bytes) return [];
    const size = bytes.length;
    const lfs = size > 1000 ? { lfs: { oid: sha256(bytes), size, pointerSize: 130 } } : {};
    return [{ type: "file", path, size, oid: gitSha1(bytes), ...lfs }];
  }

  function send(request: Request, response: ServerResponse, bytes: Buffer): void {
    const match = hub.ignoreRanges ? null : /^bytes=(\d+)-(\d+)$/.exec(request.range ?? "");
    const [start, end] = match
      ? [Number(match[1]), Math.min(Number(match[2]), bytes.length - 1)]
      : [0, bytes.length - 1];
    response.writeHead(match ? 206 : 200, {
      "Content-Length": end + 1 - start,
      ...(match ? { "Content-Range": `bytes ${start}-${end}/${bytes.length}` } : {}),
    });
    const body = Buffer.from(bytes.subarray(start, end + 1));
    if (hub.damage) body[0] = body[0]! ^ 255;
    const cut = hub.cut(request);
    if (cut === null) response.end(body);
    else response.write(body.subarray(0, cut), () => setTimeout(() => response.destroy(), 20));
  }

  const hub: HubServer = {
    url: address(front),
    files: new Map(files),
    sha: "0123456789abcdef0123456789abcdef01234567",
    requests: [],
    fail: () => null,
    cut: () => null,
    ignoreRanges: false,
    damage: false,
    async close() {
      for (const server of [front, back]) {
        server.closeAllConnections();
        await new Promise((done) => server.close(done));
      }
    },
  };
  return hub;
}
