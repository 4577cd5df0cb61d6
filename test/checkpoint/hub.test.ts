/** Hub ids against a local server: what is fetched, the cache's layout, resuming, and every way to fail. */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import fc from "fast-check";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { DownloadProgress } from "../../src/checkpoint/hub/download.ts";
import { hubName, parseHubId } from "../../src/checkpoint/hub/id.ts";
import { implicitToken } from "../../src/checkpoint/hub/token.ts";
import type { OpenOptions } from "../../src/checkpoint/open.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import {
  encodeSafetensors,
  ggufBytes,
  ggufMetadata,
  ggufTensors,
  TINY,
  temporaryFolder,
  tinyConfigJson,
  tinyTensors,
} from "./files.ts";
import type { HubServer } from "./hub-server.ts";
import { etagOf, REPO, startHub } from "./hub-server.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

const tensors = tinyTensors(TINY);
const weights = encodeSafetensors(tensors);
const gguf = ggufBytes({ metadata: ggufMetadata(TINY), tensors: ggufTensors(TINY, tensors) });
const repository = new Map<string, Buffer>([
  ["README.md", Buffer.from("not needed")],
  ["config.json", Buffer.from(JSON.stringify(tinyConfigJson(TINY)))],
  ["tokenizer.json", Buffer.from("{}")],
  ["tokenizer_config.json", Buffer.from('{"chat_template":"T"}')],
  ["model.safetensors", weights],
  ["pytorch_model.bin", Buffer.alloc(5000)],
  ["onnx/model.onnx", Buffer.alloc(5000)],
]);

let hub: HubServer;
let cacheDir: string;

beforeEach(async () => {
  hub = await startHub(repository);
  cacheDir = mkdtempSync(join(folder.path, "cache-"));
  vi.stubEnv("HF_ENDPOINT", hub.url);
  vi.stubEnv("HF_HUB_OFFLINE", "");
  vi.stubEnv("HF_TOKEN", "");
  vi.stubEnv("HF_TOKEN_PATH", join(folder.path, "no-token"));
  vi.stubEnv("HUGGING_FACE_HUB_TOKEN", "");
  vi.stubEnv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
});

async function fetchTiny(options: OpenOptions = {}, id: string = REPO): Promise<string> {
  const checkpoint = await openCheckpoint(id, { cacheDir, ...options });
  for (const [name, { values }] of tensors) expect(await checkpoint.weights.read(name)).toEqual(values);
  await checkpoint.close();
  return checkpoint.path;
}

const repoFolder = (): string => join(cacheDir, "hub", "models--someone--tiny-model");
const blobs = (): string[] => (existsSync(join(repoFolder(), "blobs")) ? readdirSync(join(repoFolder(), "blobs")) : []);
const partial = (): string => join(repoFolder(), "blobs", `${etagOf(weights)}.incomplete`);
const paths = (): string[] => hub.requests.map(({ path }) => path);

describe("a repository", () => {
  test("is fetched once, only what is needed, in the layout that the Python library shares", async () => {
    const path = await fetchTiny();
    expect(path).toBe(join(repoFolder(), "snapshots", hub.sha));
    const needed = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
    expect(readdirSync(path).sort()).toEqual(needed);
    for (const name of needed) {
      const bytes = repository.get(name)!;
      expect(readlinkSync(join(path, name))).toBe(join("..", "..", "blobs", etagOf(bytes)));
      expect(readFileSync(join(path, name))).toEqual(bytes);
    }
    expect(readFileSync(join(repoFolder(), "refs", "main"), "utf8")).toBe(hub.sha);
    expect(blobs().filter((name) => name.endsWith(".incomplete"))).toEqual([]);

    hub.requests.length = 0;
    await fetchTiny();
    expect(paths()).toEqual([`/api/models/${REPO}/revision/main`]); // only whether main has moved
    hub.requests.length = 0;
    await fetchTiny({ revision: hub.sha });
    await fetchTiny({ offline: true });
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    await fetchTiny();
    expect(paths()).toEqual([]);
  });

  test("with shards is fetched by its index", async () => {
    const names = [...tensors.keys()];
    const parts = [names.slice(0, 5), names.slice(5)];
    hub.files.delete("model.safetensors");
    const map: Record<string, string> = {};
    parts.forEach((part, i) => {
      const file = `model-0000${i + 1}-of-00002.safetensors`;
      for (const name of part) map[name] = file;
      hub.files.set(file, encodeSafetensors(new Map(part.map((name) => [name, tensors.get(name)!]))));
    });
    hub.files.set("model.safetensors.index.json", Buffer.from(JSON.stringify({ weight_map: map })));
    const path = await fetchTiny();
    const shard = join(path, "model-00002-of-00002.safetensors");
    rmSync(shard);
    await expect(fetchTiny({ offline: true })).rejects.toMatchObject({
      code: "offline",
      message: expect.stringContaining("model-00002-of-00002.safetensors is missing"),
    });
    hub.files.delete("model-00002-of-00002.safetensors");
    rmSync(join(repoFolder(), "blobs"), { recursive: true });
    await expect(fetchTiny()).rejects.toMatchObject({ code: "not-found" });
  });

  test("with GGUF files gives the only one, or the one named", async () => {
    for (const name of ["model.safetensors", "pytorch_model.bin"]) hub.files.delete(name);
    hub.files.set("tiny.Q8_0.gguf", gguf);
    const path = await fetchTiny();
    expect(path).toBe(join(repoFolder(), "snapshots", hub.sha, "tiny.Q8_0.gguf"));
    hub.files.set("sub/tiny.F16.gguf", gguf);
    hub.files.set("tiny.F32.gguf", gguf);
    await expect(fetchTiny()).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining("tiny.F32.gguf"),
    });
    await fetchTiny({}, `${REPO}/tiny.F32.gguf`);
    await fetchTiny({}, `hf:${REPO}/sub/tiny.F16.gguf`);
    await fetchTiny({ offline: true }, `${REPO}/sub/tiny.F16.gguf`);
    const misspelt = { code: "not-found", message: expect.stringContaining("tiny.F32.gguf") };
    await expect(fetchTiny({}, `${REPO}/tiny.F23.gguf`)).rejects.toMatchObject(misspelt);
  });

  test("with GGUF files gives the one of a quantization, in any case, first parts of sets too", async () => {
    for (const name of ["model.safetensors", "pytorch_model.bin"]) hub.files.delete(name);
    for (const name of [
      "mmproj-Q8_0.gguf",
      "tiny-BF16.gguf",
      "tiny-F16.gguf",
      "tiny-Q4_K_M.gguf",
      "tiny-Q4_K_S.gguf",
    ]) {
      hub.files.set(name, gguf);
    }
    const file = async (tag: string, options: OpenOptions = {}): Promise<string> =>
      basename(await fetchTiny(options, `${REPO}:${tag}`));
    expect(await file("Q4_K_M")).toBe("tiny-Q4_K_M.gguf");
    expect(await file("q4_k_s")).toBe("tiny-Q4_K_S.gguf");
    expect(await file("F16")).toBe("tiny-F16.gguf"); // BF16 is another word
    expect(await file("Q4_K_M", { offline: true })).toBe("tiny-Q4_K_M.gguf");
    const checkpoint = await openCheckpoint(`hf.co/${REPO}:Q4_K_S`, { cacheDir });
    await checkpoint.close();
    expect(checkpoint.name).toBe(`${REPO}:Q4_K_S`);
    for (const tag of ["Q8_0", "Q4_K", "Q4.K_M"]) {
      const failure = {
        code: "not-found",
        message: expect.stringMatching(/no GGUF file of the quantization.*BF16.gguf/),
      };
      await expect(file(tag)).rejects.toMatchObject(failure);
    }
  });

  test("is found by the addresses of its pages, at the revision that they name", async () => {
    hub.files.set("sub/tiny.F16.gguf", gguf);
    for (const address of [
      ...[
        `${hub.url}/${REPO}`,
        `${hub.url}/${REPO}/`,
        `${hub.url}/${REPO}/tree/main`,
        `https://hf.co/${REPO}?x=1#readme`,
      ],
      ...[
        `${hub.url}/${REPO}/tree/${hub.sha}`,
        `hf://${REPO}@${hub.sha}`,
        `hf://models/${REPO}`,
        `huggingface.co/${REPO}`,
      ],
      `${hub.url}/${REPO}/blob/main/config.json`,
    ]) {
      expect(await fetchTiny({}, address)).toBe(join(repoFolder(), "snapshots", hub.sha));
    }
    for (const address of [
      ...["blob", "resolve", "raw"].map((page) => `${hub.url}/${REPO}/${page}/main/sub/tiny.F16.gguf?download=true`),
      `hf://${REPO}@main/sub/tiny.F16.gguf`,
    ]) {
      expect(await fetchTiny({}, address)).toBe(join(repoFolder(), "snapshots", hub.sha, "sub", "tiny.F16.gguf"));
    }
    const other = { code: "usage", message: expect.stringContaining("revision") };
    await expect(fetchTiny({ revision: "v2" }, `${hub.url}/${REPO}/tree/main`)).rejects.toMatchObject(other);
    await expect(fetchTiny({}, `https://hf.co/${REPO}/tree/v1`)).rejects.toMatchObject({ code: "not-found" });
  });

  test("that holds an adapter, or a file that was cut, says what to do", async () => {
    hub.files.clear();
    hub.files.set("adapter_config.json", Buffer.from("{}"));
    await expect(fetchTiny()).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining("as the adapter"),
    });
    hub.files.clear();
    for (const part of ["tiny.gguf.part1of2", "tiny.gguf.part2of2"]) hub.files.set(part, gguf);
    const join = { code: "usage", message: expect.stringContaining('cat "tiny.gguf".part*of2 > "tiny.gguf"') };
    await expect(fetchTiny()).rejects.toMatchObject(join);
  });

  test("that moved on is fetched anew, sharing what did not change", async () => {
    await fetchTiny();
    hub.sha = "f".repeat(40);
    hub.files.set("tokenizer.json", Buffer.from('{"new":true}'));
    hub.requests.length = 0;
    await fetchTiny();
    expect(paths().filter((path) => path.includes("/resolve/"))).toEqual([
      `/${REPO}/resolve/${hub.sha}/tokenizer.json`,
    ]);
  });

  test("whose update breaks off leaves the earlier copy for offline use", async () => {
    const before = await fetchTiny();
    hub.sha = "e".repeat(40);
    hub.files.set("tokenizer.json", Buffer.from('{"new":true}'));
    hub.fail = ({ path }) => (path.includes("/resolve/") ? 403 : null);
    await expect(fetchTiny()).rejects.toMatchObject({ code: "not-found" });
    expect(await fetchTiny({ offline: true })).toBe(before);
  });

  test("reports bytes that only grow and end with each file's size", async () => {
    const seen = new Map<string, DownloadProgress[]>();
    await fetchTiny({
      onProgress: (progress) => seen.set(progress.what, [...(seen.get(progress.what) ?? []), progress]),
    });
    expect([...seen.keys()]).toContain(`${REPO}/model.safetensors`);
    for (const progress of seen.values()) {
      const done = progress.map((step) => step.done);
      expect(done).toEqual(done.toSorted((a, b) => a - b));
      expect(done.at(-1)).toBe(progress[0]!.total);
    }
  });
});

describe("a download that breaks off", () => {
  test("goes on within the same run, from where it was", async () => {
    hub.cut = ({ path, range }) => (path === "/blobs/model.safetensors" && range?.startsWith("bytes=0-") ? 5000 : null);
    await fetchTiny();
    const ranges = hub.requests.filter(({ path }) => path === "/blobs/model.safetensors").map(({ range }) => range);
    const [start] = ranges.slice(1).map((range) => Number(/\d+/.exec(range!)![0]));
    expect(ranges).toHaveLength(2);
    expect(start).toBeGreaterThan(0);
    expect(start).toBeLessThanOrEqual(5000);
  });

  test("goes on in a later run, and is not taken for whole until then", async () => {
    const cancel = new AbortController();
    const onProgress = ({ what, done }: DownloadProgress): void => {
      if (what.endsWith("model.safetensors") && done > 0) cancel.abort();
    };
    hub.cut = ({ path }) => (path === "/blobs/model.safetensors" ? 5000 : null);
    const cancelled = fetchTiny({ onProgress, signal: cancel.signal });
    await expect(cancelled).rejects.toMatchObject({ code: "aborted" });
    const kept = statSync(partial()).size;
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThanOrEqual(5000);
    expect(blobs()).not.toContain(etagOf(weights));
    await expect(fetchTiny({ offline: true })).rejects.toMatchObject({ code: "offline" });

    hub.cut = () => null;
    hub.requests.length = 0;
    await fetchTiny();
    const [request] = hub.requests.filter(({ path }) => path === "/blobs/model.safetensors");
    expect(request!.range).toBe(`bytes=${kept}-${weights.length - 1}`);
    expect(existsSync(partial())).toBe(false);
  });

  test("wherever it was cut, ends as the same file", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: weights.length }), async (kept) => {
        cacheDir = mkdtempSync(join(folder.path, "cache-"));
        mkdirSync(join(repoFolder(), "blobs"), { recursive: true });
        writeFileSync(partial(), weights.subarray(0, kept));
        await fetchTiny();
      }),
      { numRuns: 12, examples: [[0], [weights.length], [weights.length - 1]] },
    );
  });

  test("with more than the whole in its place starts again", async () => {
    mkdirSync(join(repoFolder(), "blobs"), { recursive: true });
    writeFileSync(partial(), Buffer.alloc(weights.length + 1));
    await fetchTiny();
  });

  test("with other bytes in its place is refused once and then fetched anew", async () => {
    mkdirSync(join(repoFolder(), "blobs"), { recursive: true });
    writeFileSync(partial(), Buffer.alloc(100));
    await expect(fetchTiny()).rejects.toMatchObject({
      code: "bad-file",
      message: expect.stringContaining("arrived damaged"),
    });
    expect(existsSync(partial())).toBe(false);
    await fetchTiny();
  });

  test("always is a network error", async () => {
    hub.cut = ({ path }) => (path.startsWith("/blobs/") ? 0 : null);
    await expect(fetchTiny()).rejects.toMatchObject({ code: "network" });
    expect(blobs()).not.toContain(etagOf(weights));
  });

  test("several at once do each other no harm", async () => {
    hub.cut = ({ range }) => (range?.startsWith("bytes=0-") ? 3000 : null);
    for (let round = 0; round < 5; round++) {
      cacheDir = mkdtempSync(join(folder.path, "cache-"));
      await Promise.all([fetchTiny(), fetchTiny(), fetchTiny(), fetchTiny()]);
      expect(blobs().filter((name) => name.endsWith(".incomplete"))).toEqual([]);
    }
  });
});

describe("the server", () => {
  test.each([
    [401, "not-found", "HF_TOKEN"],
    [403, "not-found", "accept its terms"],
    [404, "not-found", "revision main"],
    [418, "network", "status 418"],
  ])("answering %i gives %s", async (status, code, says) => {
    hub.fail = () => status;
    await expect(fetchTiny()).rejects.toMatchObject({ code, message: expect.stringContaining(says) });
  });

  test("failing for a moment is asked again", async () => {
    let failures = 2;
    hub.fail = () => (failures-- > 0 ? 503 : null);
    await fetchTiny();
  });

  test("being away gives network, or the cached copy where there is one", async () => {
    await fetchTiny();
    await hub.close();
    await fetchTiny();
    cacheDir = mkdtempSync(join(folder.path, "cache-"));
    await expect(fetchTiny()).rejects.toMatchObject({ code: "network", message: expect.stringContaining("--offline") });
  });

  test("that cannot send ranges still serves a first download, and says so on a second", async () => {
    hub.ignoreRanges = true;
    await fetchTiny();
    cacheDir = mkdtempSync(join(folder.path, "cache-"));
    mkdirSync(join(repoFolder(), "blobs"), { recursive: true });
    writeFileSync(partial(), weights.subarray(0, 100));
    await expect(fetchTiny()).rejects.toMatchObject({ code: "network", message: expect.stringContaining("byte 100") });
  });

  test("sending damaged bytes is found out by their hash", async () => {
    hub.damage = true;
    await expect(fetchTiny()).rejects.toMatchObject({ code: "bad-file" });
    expect(blobs()).toEqual([]);
  });

  test("sees the token on its own origin only", async () => {
    await fetchTiny({ token: "hf_secret" });
    expect(
      hub.requests.filter(({ origin }) => origin === "hub").every((r) => r.authorization === "Bearer hf_secret"),
    ).toBe(true);
    const elsewhere = hub.requests.filter(({ origin }) => origin === "files");
    expect(elsewhere.length).toBeGreaterThan(0);
    expect(elsewhere.every(({ authorization }) => authorization === null)).toBe(true);
    vi.stubEnv("HF_TOKEN", "hf_other");
    hub.requests.length = 0;
    await fetchTiny();
    expect(hub.requests[0]!.authorization).toBe("Bearer hf_other");
  });

  test("sees the token that hf auth login stored, on its own origin only", async () => {
    const path = join(cacheDir, "token");
    writeFileSync(path, "hf_stored\n");
    vi.stubEnv("HF_TOKEN_PATH", path);
    await fetchTiny();
    for (const { origin, authorization } of hub.requests) {
      expect(authorization).toBe(origin === "hub" ? "Bearer hf_stored" : null);
    }
    expect(hub.requests.some(({ origin }) => origin === "files")).toBe(true);
    hub.requests.length = 0;
    writeFileSync(path, "no token at all");
    const failure = { code: "usage", message: expect.stringContaining(path) };
    await expect(fetchTiny()).rejects.toMatchObject(failure);
    await fetchTiny({ offline: true }); // needs none
    expect(hub.requests).toEqual([]);
  });

  test("is not asked with a token that is none, or for a revision that is none", async () => {
    await expect(fetchTiny({ token: "secret" })).rejects.toMatchObject({ code: "usage" });
    await expect(fetchTiny({ revision: "../../x" })).rejects.toMatchObject({ code: "usage" });
    expect(hub.requests).toEqual([]);
  });

  test("naming files outside the repository changes nothing outside the cache", async () => {
    hub.files.clear();
    hub.files.set("config.json", repository.get("config.json")!);
    hub.files.set("model.safetensors.index.json", Buffer.from('{"weight_map":{"a":"../../../x.safetensors"}}'));
    await expect(fetchTiny()).rejects.toMatchObject({ code: "bad-file" });
  });
});

describe("the disk", () => {
  test.skipIf(!existsSync("/dev/full"))("being full is a disk error that says so", async () => {
    mkdirSync(join(repoFolder(), "blobs"), { recursive: true });
    symlinkSync("/dev/full", partial());
    await expect(fetchTiny()).rejects.toMatchObject({ code: "disk", message: expect.stringContaining("disk is full") });
    expect(blobs()).not.toContain(etagOf(weights));
  });

  test("being too small is known before a byte is fetched", async () => {
    const huge = { type: "file", path: "config.json", size: 2 ** 52, oid: "a".repeat(40) };
    const real = globalThis.fetch;
    vi.stubGlobal("fetch", (url: string, init: RequestInit) =>
      String(url).includes("/paths-info/") ? Promise.resolve(Response.json([huge])) : real(url, init),
    );
    try {
      await expect(fetchTiny()).rejects.toMatchObject({ code: "disk", message: expect.stringContaining("free") });
    } finally {
      vi.unstubAllGlobals();
    }
    expect(paths().some((path) => path.includes("/resolve/"))).toBe(false);
  });

  test("with a file where the cache should be is a disk error", async () => {
    writeFileSync(join(cacheDir, "hub"), "in the way");
    await expect(fetchTiny()).rejects.toMatchObject({ code: "disk" });
  });
});

test("cancelling before anything begins touches nothing", async () => {
  await expect(fetchTiny({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
  expect(hub.requests).toEqual([]);
});

test("a copy that the Python library made is used as it is", async () => {
  const snapshot = join(repoFolder(), "snapshots", hub.sha);
  mkdirSync(join(repoFolder(), "blobs"), { recursive: true });
  mkdirSync(join(repoFolder(), "refs"));
  mkdirSync(snapshot, { recursive: true });
  for (const name of ["config.json", "tokenizer.json", "model.safetensors"]) {
    const bytes = repository.get(name)!;
    const blob = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(repoFolder(), "blobs", blob), bytes);
    symlinkSync(join("..", "..", "blobs", blob), join(snapshot, name));
  }
  writeFileSync(join(repoFolder(), "refs", "main"), hub.sha);
  await fetchTiny({ offline: true });
  rmSync(join(repoFolder(), "blobs", etagOf(weights))); // now a link leads nowhere
  await expect(fetchTiny({ offline: true })).rejects.toMatchObject({ code: "offline" });
});

describe("a stored token is found where the Python library looks for it", () => {
  const home = mkdtempSync(join(folder.path, "home-"));
  const store = (path: string, token: string): string => {
    mkdirSync(dirname(join(home, path)), { recursive: true });
    writeFileSync(join(home, path), token);
    return join(home, path);
  };
  store(".cache/huggingface/token", "hf_default");
  store("hf-home/token", "hf_home");
  store("xdg/huggingface/token", "hf_xdg");
  const named = store("elsewhere", "  hf_named\r\n");
  store("empty", "\n");

  test.each<[Record<string, string>, string | null]>([
    [{}, "hf_default"],
    [{ XDG_CACHE_HOME: join(home, "xdg") }, "hf_xdg"],
    [{ XDG_CACHE_HOME: join(home, "xdg"), HF_HOME: join(home, "hf-home") }, "hf_home"],
    [{ HF_HOME: join(home, "hf-home"), HF_TOKEN_PATH: named }, "hf_named"],
    [{ HF_TOKEN_PATH: "~/elsewhere" }, "hf_named"],
    [{ HF_TOKEN_PATH: named, HUGGING_FACE_HUB_TOKEN: "hf_old" }, "hf_old"],
    [{ HF_TOKEN_PATH: named, HUGGING_FACE_HUB_TOKEN: "hf_old", HF_TOKEN: " hf_new\n" }, "hf_new"],
    [{ HF_TOKEN_PATH: join(home, "empty") }, null],
    [{ HF_TOKEN_PATH: join(home, "nowhere") }, null],
    [{ HF_TOKEN_PATH: home }, null],
    [{ HF_TOKEN: "hf_new", HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }, null],
  ])("%j", async (variables, token) => {
    const all = { HOME: home, XDG_CACHE_HOME: "", HF_HOME: "", HF_TOKEN_PATH: "", ...variables };
    for (const [name, value] of Object.entries(all)) vi.stubEnv(name, value);
    expect(await implicitToken()).toBe(token);
  });

  test.each(["secret", "hf_two words", "hf_"])("%j is no token", async (value) => {
    vi.stubEnv("HF_TOKEN", value);
    const failure = { code: "usage", message: expect.stringContaining("HF_TOKEN") };
    await expect(implicitToken()).rejects.toMatchObject(failure);
  });
});

describe("ids", () => {
  const whole = { repo: "a/b", file: null, tag: null, revision: null };

  test.each<[string, object]>([
    ["a/b", whole],
    ["HuggingFaceTB/SmolLM2-135M-Instruct", { ...whole, repo: "HuggingFaceTB/SmolLM2-135M-Instruct" }],
    ["hf:a/b", whole],
    ["a/b/c/d.Q4_1.gguf", { ...whole, file: "c/d.Q4_1.gguf" }],
    ["a/b/D.GGUF", { ...whole, file: "D.GGUF" }],
    ["a/b:Q4_K_M", { ...whole, tag: "Q4_K_M" }],
    ["hf:a/b:q8_0", { ...whole, tag: "q8_0" }],
    ["a/b:latest", whole],
    ["hf.co/a/b", whole],
    ["hf.co/a/b:IQ4_XS", { ...whole, tag: "IQ4_XS" }],
    ["huggingface.co/a/b/", whole],
    ["https://huggingface.co/a/b", whole],
    ["HTTPS://HuggingFace.co/a/b", whole],
    ["http://www.huggingface.co/a/b?library=transformers#x", whole],
    ["https://huggingface.co/a/b/tree/main", { ...whole, revision: "main" }],
    ["https://huggingface.co/a/b/tree/refs%2Fpr%2F3", { ...whole, revision: "refs/pr/3" }],
    ["https://huggingface.co/a/b/tree/refs/pr/3", { ...whole, revision: "refs/pr/3" }],
    ["https://huggingface.co/a/b/blob/main/model.safetensors", { ...whole, revision: "main" }],
    ["https://hf.co/a/b/resolve/v1/x/c%20d.gguf?download=true", { ...whole, file: "x/c d.gguf", revision: "v1" }],
    ["hf://a/b", whole],
    ["hf://models/a/b", whole],
    ["hf://a/b@v1.0", { ...whole, revision: "v1.0" }],
    ["hf://a/b@refs/pr/2/c.gguf", { ...whole, file: "c.gguf", revision: "refs/pr/2" }],
    ["hf://a/b@main/c/d.gguf", { ...whole, file: "c/d.gguf", revision: "main" }],
  ])("%s", (text, id) => expect(parseHubId(text, "https://huggingface.co")).toEqual(id));

  test.each([
    ...["a", "a/b/c", "a/b/../c.gguf", "/a/b", "./a", "a/b.gguf", "a/b.GGUF", "a/..", "a//b", "a/b/", "a/b\n", "a/b?x"],
    ...["hf:", "-a/b", "a/b:", "a/b:x y", "a/b/c.gguf:Q4", "a/b:Q4:Q8", "C:\\models\\a", "a/b//c.gguf", ""],
  ])("%j is none", (text) => expect(parseHubId(text)).toBe(null));

  test.each([
    ["https://example.com/a/b", "example.com"],
    ["https://huggingface.co.example.com/a/b", "huggingface.co.example.com"],
    ["https://user@huggingface.co/a/b", "user@huggingface.co"],
    ["https://huggingface.co/datasets/a/b", "a data set"],
    ["https://huggingface.co/spaces/a/b", "a space"],
    ["hf://datasets/a/b", "a data set"],
    ["https://huggingface.co/a", "not the page of a model"],
    ["https://huggingface.co/a/b/discussions/1", "not the page of a model"],
    ["https://huggingface.co/a/b/tree/main/BF16", "a folder"],
    ["https://huggingface.co/a/b/blob/main/../../x.gguf", "not the page of a model"],
    ["https://huggingface.co/a/b/blob/main/%2e%2e/x.gguf", "not the page of a model"],
    ["https://huggingface.co/a/b/blob/main/%zz.gguf", "no part of an address"],
    ["hf://a", "names no model"],
  ])("%s is refused: %s", (text, says) => {
    const failure = { code: "usage", message: expect.stringContaining(says) };
    expect(() => parseHubId(text, "https://huggingface.co")).toThrow(expect.objectContaining(failure));
  });

  test("a name is read as what it is the name of", () => {
    for (const text of ["a/b", "a/b:Q4_K_M", "a/b/c/d.gguf"]) expect(hubName(parseHubId(text)!)).toBe(text);
  });
});
