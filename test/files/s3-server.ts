/** A store that speaks as much of S3 as is used here, and misbehaves as it is told to: busy, half a body, another time. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What becomes of the next request; `half` also of an upload, which is dropped after its first half. */
export type Mishap = "busy" | "half" | "hang up" | "skewed" | "expired";

export interface S3Server extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>;
  readonly objects: Map<string, Buffer>;
  /** Done in this order, each once. */
  readonly mishaps: Mishap[];
  /** Methods and keys of all requests. */
  readonly requests: string[];
}

const THEIRS = "Mon, 01 Jan 2035 00:00:00 GMT";

export async function startS3(bucket = "mine"): Promise<S3Server> {
  const objects = new Map<string, Buffer>();
  const mishaps: Mishap[] = [];
  const requests: string[] = [];
  const fail = (response: ServerResponse, status: number, code: string): void => {
    response.writeHead(status, { "content-type": "application/xml", date: THEIRS });
    response.end(`<?xml version="1.0"?><Error><Code>${code}</Code></Error>`);
  };
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, "http://localhost");
    const key = decodeURIComponent(url.pathname.slice(`/${bucket}/`.length));
    requests.push(`${request.method} ${key}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const mishap = mishaps.shift();
    if (mishap === "busy") return fail(response, 503, "SlowDown");
    if (mishap === "hang up" || (mishap === "half" && request.method !== "GET")) return void request.socket.destroy();
    if (mishap === "skewed") return fail(response, 403, "RequestTimeTooSkewed");
    if (mishap === "expired") return fail(response, 400, "ExpiredToken");
    if (!request.headers.authorization?.includes("Credential=key/")) return fail(response, 403, "AccessDenied");
    if (!url.pathname.startsWith(`/${bucket}/`)) return fail(response, 404, "NoSuchBucket");
    if (request.method === "PUT") {
      const sum = createHash("md5").update(body).digest("base64");
      if (request.headers["content-md5"] !== sum) return fail(response, 400, "BadDigest");
      objects.set(key, body);
      return void response.end();
    }
    if (request.method === "DELETE") {
      objects.delete(key);
      return void response.writeHead(204).end();
    }
    if (key === "") {
      const prefix = url.searchParams.get("prefix") ?? "";
      const after = url.searchParams.get("continuation-token") ?? "";
      const keys = [...objects.keys()].sort().filter((each) => each.startsWith(prefix) && each > after);
      const page = keys.slice(0, 3); // so that there are pages
      const next = keys.length > 3 ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : "";
      const escaped = page.map((each) => `<Contents><Key>${each.replaceAll("&", "&amp;")}</Key></Contents>`);
      return void response.end(`<ListBucketResult>${escaped.join("")}${next}</ListBucketResult>`);
    }
    const found = objects.get(key);
    if (found === undefined) return fail(response, 404, "NoSuchKey");
    response.writeHead(200, { "content-length": found.length });
    if (mishap !== "half") return void response.end(found);
    response.write(found.subarray(0, found.length >> 1), () => request.socket.destroy());
  }
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    env: {
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
      ...{ AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret", AWS_REGION: "us-east-1" },
    },
    ...{ objects, mishaps, requests },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
