/**
 * Objects of S3 and of stores that speak its protocol: whole ones in, whole ones out. What a store says when it is busy, and a body
 * that ends early, is tried again; a clock that is wrong is corrected by the store's. Knows nothing of what is stored.
 *
 * `aws4fetch` signs requests. The AWS SDK would do all of this in some hundred packages.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { AwsV4Signer } from "aws4fetch";
import { CllmError } from "../error.ts";

export interface ObjectStore {
  /** null where there is none. */
  get(key: string): Promise<Uint8Array | null>;
  /** It is there whole afterwards, or the one from before is. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Keys that begin so, sorted. */
  list(prefix: string): Promise<readonly string[]>;
  delete(key: string): Promise<void>;
}

export interface S3Options {
  /** Default: the process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
  /** Told before a request is tried again. */
  readonly onRetry?: ((line: string) => void) | undefined;
  /** Default: 8. */
  readonly attempts?: number;
  /** Before the second attempt; doubled each time, up to ten seconds. Default: 250. */
  readonly firstWaitMs?: number;
}

interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export const isS3 = (path: string): boolean => path.startsWith("s3://");

/** `s3://bucket/key`. Throws `usage` for what is none. */
export function parseS3(url: string): { readonly bucket: string; readonly key: string } {
  const [, bucket, key] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\/(.*)$/s.exec(url) ?? [];
  if (bucket !== undefined && key !== undefined) return { bucket, key };
  throw new CllmError("usage", `${url.slice(0, 200)} is no object of S3; give it as s3://bucket/name`);
}

const MAX_WAIT_MS = 10_000;
const TIMEOUT_MS = 300_000;
const BUSY = new Set([408, 429, 500, 502, 503, 504]);

/**
 * A bucket, by the environment's settings as AWS' own tools have them: `AWS_ACCESS_KEY_ID` and so on, or a container's role;
 * `AWS_REGION`; `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` for other stores. Throws `usage` where there are no credentials;
 * each call throws `unauthorized`, `not-found` for a bucket, and `network` when all attempts are spent.
 *
 * @example
 * const store = openS3("my-bucket");
 * await store.put("answers.jsonl", new TextEncoder().encode("{}\n"));
 */
export function openS3(bucket: string, options: S3Options = {}): ObjectStore {
  const { env = process.env, signal, onRetry = () => {}, attempts = 8, firstWaitMs = 250 } = options;
  const region = env["AWS_REGION"] || env["AWS_DEFAULT_REGION"] || "us-east-1";
  const endpoint = env["AWS_ENDPOINT_URL_S3"] || env["AWS_ENDPOINT_URL"];
  const base = endpoint ? `${endpoint.replace(/\/+$/, "")}/${bucket}` : `https://${bucket}.s3.${region}.amazonaws.com`;
  let credentials: Promise<Credentials> | null = null;
  let clockMs = 0; // how far the store's clock is ahead of ours

  /** One attempt. What is worth another one is thrown as `Again`. */
  async function attempt(
    method: string,
    path: string,
    body?: Uint8Array,
  ): Promise<{ status: number; bytes: Uint8Array }> {
    credentials ??= findCredentials(env);
    const signer = new AwsV4Signer({
      ...{ method, url: `${base}/${path}`, service: "s3", region, ...(await credentials) },
      ...(body !== undefined && { body: body as Uint8Array<ArrayBuffer>, headers: integrityOf(body) }),
      datetime: new Date(Date.now() + clockMs).toISOString().replaceAll(/[:-]|\.\d{3}/g, ""),
    });
    const request = await signer.sign();
    const limits = [AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])];
    let response: Response;
    let bytes: Uint8Array;
    try {
      const { url, headers } = request;
      response = await fetch(url, {
        method,
        headers,
        body: (body ?? null) as Uint8Array<ArrayBuffer> | null,
        signal: AbortSignal.any(limits),
      });
      bytes = new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      throw new Again(((error as Error).cause as Error | undefined)?.message ?? (error as Error).message, error);
    }
    const due = response.headers.get("content-length");
    if (method === "GET" && due !== null && Number(due) !== bytes.length && !response.headers.has("content-encoding")) {
      throw new Again(`${bytes.length} of ${due} bytes came`);
    }
    const { status } = response;
    if (BUSY.has(status)) throw new Again(`status ${status}`);
    if (status !== 403 && status !== 400) return { status, bytes };
    const said = Buffer.from(bytes).toString("utf8").slice(0, 2000);
    if (said.includes("RequestTimeTooSkewed")) {
      const theirs = Date.parse(response.headers.get("date") ?? "");
      if (Number.isFinite(theirs)) clockMs = theirs - Date.now();
      throw new Again("the clocks differ; the store's is taken");
    }
    if (/ExpiredToken|TokenRefreshRequired/.test(said)) {
      credentials = null;
      throw new Again("the credentials have expired");
    }
    if (/BadDigest|IncompleteBody|RequestTimeout/.test(said)) throw new Again("the body did not arrive whole");
    const reason = /<Code>([^<]{1,100})<\/Code>/.exec(said)?.[1] ?? `status ${status}`;
    const next = "check the credentials, and what they may do with this bucket";
    throw new CllmError("unauthorized", `s3://${bucket} refuses ${method} (${reason}); ${next}`);
  }

  async function send(method: string, path: string, body?: Uint8Array) {
    for (let count = 1; ; count++) {
      try {
        return await attempt(method, path, body);
      } catch (error) {
        if (signal?.aborted)
          throw new CllmError("aborted", `the exchange with s3://${bucket} was cancelled`, { cause: error });
        if (!(error instanceof Again)) throw error;
        const what = `s3://${bucket}: ${method} failed (${error.message})`;
        if (count >= attempts) {
          const next = "check the address and the network, and run the same command again";
          throw new CllmError("network", `${what} ${count} times; ${next}`, { cause: error.cause });
        }
        const wait = Math.min(MAX_WAIT_MS, firstWaitMs * 2 ** (count - 1)) * (0.5 + Math.random() / 2);
        onRetry(`${what}; attempt ${count + 1} of ${attempts}`);
        await delay(wait, undefined, signal ? { signal } : {}).catch(() => {});
      }
    }
  }

  const noBucket = (): CllmError =>
    new CllmError(
      "not-found",
      `s3://${bucket} does not exist there; check its name, and AWS_REGION or AWS_ENDPOINT_URL_S3`,
    );
  const requireDone = (method: string, key: string, { status, bytes }: { status: number; bytes: Uint8Array }): void => {
    if (status < 300) return;
    if (status === 404) throw noBucket();
    const said = /<Code>([^<]{1,100})<\/Code>/.exec(Buffer.from(bytes).toString("utf8"))?.[1] ?? "no reason";
    throw new CllmError("network", `s3://${bucket}/${key}: ${method} was answered with status ${status} (${said})`);
  };

  return {
    async get(key) {
      const answer = await send("GET", pathOf(key));
      if (answer.status === 404) {
        if (Buffer.from(answer.bytes).includes("NoSuchBucket")) throw noBucket();
        return null;
      }
      requireDone("GET", key, answer);
      return answer.bytes;
    },
    async put(key, bytes) {
      requireDone("PUT", key, await send("PUT", pathOf(key), bytes));
    },
    async list(prefix) {
      const keys: string[] = [];
      for (let token: string | undefined; ; ) {
        const query = new URLSearchParams({
          "list-type": "2",
          prefix,
          ...(token !== undefined && { "continuation-token": token }),
        });
        const answer = await send("GET", `?${query}`);
        requireDone("LIST", prefix, answer);
        const text = Buffer.from(answer.bytes).toString("utf8");
        for (const [, key] of text.matchAll(/<Key>([^<]*)<\/Key>/g)) keys.push(plain(key!));
        token = /<NextContinuationToken>([^<]*)</.exec(text)?.[1];
        if (token === undefined) return keys.sort();
        token = plain(token);
      }
    },
    async delete(key) {
      const answer = await send("DELETE", pathOf(key));
      if (answer.status !== 404) requireDone("DELETE", key, answer);
    },
  };
}

/** A failure that another attempt may not have. */
class Again extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
  }
}

const pathOf = (key: string): string => key.split("/").map(encodeURIComponent).join("/");
const integrityOf = (body: Uint8Array) => ({ "content-md5": createHash("md5").update(body).digest("base64") });

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
const plain = (xml: string): string =>
  xml.replaceAll(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex?: string, decimal?: string, name?: string) =>
    hex !== undefined
      ? String.fromCodePoint(Number.parseInt(hex, 16))
      : decimal !== undefined
        ? String.fromCodePoint(Number(decimal))
        : (ENTITIES[name!] ?? whole),
  );

async function findCredentials(env: Readonly<Record<string, string | undefined>>): Promise<Credentials> {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: token } = env;
  if (accessKeyId && secretAccessKey) {
    return { accessKeyId, secretAccessKey, ...(token && { sessionToken: token }) };
  }
  const relative = env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"];
  const uri = relative ? `http://169.254.170.2${relative}` : env["AWS_CONTAINER_CREDENTIALS_FULL_URI"];
  if (!uri) {
    const next =
      "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as aws configure export-credentials --format env prints them";
    throw new CllmError("usage", `there are no credentials for s3://; ${next}`);
  }
  const file = env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
  const authorization = file ? (await readFile(file, "utf8")).trim() : env["AWS_CONTAINER_AUTHORIZATION_TOKEN"];
  const response = await fetch(uri, {
    headers: authorization ? { authorization } : {},
    signal: AbortSignal.timeout(5000),
  }).catch((error: unknown) => {
    throw new Again(`the container's credentials: ${(error as Error).message}`, error);
  });
  if (!response.ok) throw new Again(`the container's credentials: status ${response.status}`);
  const found = (await response.json()) as { AccessKeyId: string; SecretAccessKey: string; Token?: string };
  return {
    accessKeyId: found.AccessKeyId,
    secretAccessKey: found.SecretAccessKey,
    ...(found.Token && { sessionToken: found.Token }),
  };
}
