/**
 * The library in Chromium, in WebAssembly, with the model that ships: the tokens are those of `ar` and of Node, and what was
 * downloaded stays. Skipped where there is no browser; CLLM_BROWSER names one.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeGguf } from "../../src/checkpoint/gguf/write.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { load } from "../../src/generate/load.ts";
import { PLAIN_DECODERS } from "../../src/generate/types.ts";
import { toGgufTokenizer } from "../../src/text/to-gguf.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { bundler, root } from "./bundler.ts";
import { type SiteServer, serveSite } from "./site-server.ts";

declare const WebAssembly: { validate: () => boolean };
declare global {
  /** In the page: what the bundles export. */
  // biome-ignore lint/suspicious/noExplicitAny: the page's own, which is tested by what it does
  var cllm: any;
  var crossOriginIsolated: boolean;
}

const model = fileURLToPath(new URL("models/text-to-sql/", root));
const prompts = readFileSync(`${model}held-out.jsonl`, "utf8")
  .trim()
  .split("\n")
  .slice(0, 5)
  .map((line) => (JSON.parse(line) as { prompt: string }).prompt);

const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const browserPath = process.env["CLLM_BROWSER"] ?? BROWSERS.find((path) => existsSync(path));
if (browserPath === undefined) {
  process.stderr.write(`The library in a browser is not tested: no browser at ${BROWSERS.join(", ")}.\n`);
}

const GPU_TIME = 180_000;
/** What makes Chromium take its driver in software. */
const SWIFTSHADER = [
  ...["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan,WebGPU"],
  ...["--use-vulkan=swiftshader", "--disable-vulkan-surface"],
];

/** Our JavaScript, minified and gzipped, without the engine and without what is loaded on demand. */
const MOST_BYTES = 130_000;

test("the bundles hold nothing of Node, and are small", async () => {
  const chunks = await bundler.webChunks(); // throws for what is of Node
  expect(bundler.foreignModules(chunks)).toEqual([]);
  expect(bundler.foreignModules([{ fileName: "a.js", code: 'import{a}from"node:fs";' }])).toEqual(["node:fs"]);
  expect(chunks.map(({ code }) => code).join("")).not.toMatch(/\bBuffer\.(?:from|alloc|concat)/);
  const first = bundler.firstChunks(chunks);
  expect(first.length).toBeLessThan(chunks.length);
  const bytes = bundler.gzipped(first);
  const all = bundler.gzipped(chunks);
  process.stderr.write(
    `bundles for browsers: ${bytes} bytes gzipped, without the engine; ${all} with what is loaded on demand\n`,
  );
  expect(bytes).toBeLessThan(MOST_BYTES);
});

describe.skipIf(browserPath === undefined)("in Chromium", () => {
  let [browser, memory] = [] as unknown as [Browser, Map<string, string>];
  const folders = new Map([
    ["/model/", model],
    ["/ort/", fileURLToPath(new URL("node_modules/onnxruntime-web/dist/", root))],
  ]);

  beforeAll(async () => {
    const chunks = await bundler.bundle(bundler.ENTRIES, bundler.WITH_ENGINE);
    memory = new Map(chunks.map(({ fileName, code }) => [`/app/${fileName}`, code]));
    memory.set(
      "/start.js",
      `import * as cllm from "./app/index.js"; import * as worker from "./app/worker.js";
       cllm.engineFilesAt("/ort/"); globalThis.cllm = { ...cllm, ...worker };`,
    );
    memory.set(
      "/index.html",
      "<!doctype html><link rel=icon href=data:,><title>cllm</title><script type=module src=start.js></script>",
    );
    browser = await chromium.launch({ executablePath: browserPath!, args: ["--no-sandbox", "--disable-gpu"] });
  });
  afterAll(() => browser?.close());

  interface Opened extends AsyncDisposable {
    readonly page: Page;
    readonly site: SiteServer;
    readonly context: BrowserContext;
    /** Errors of the page, and requests to elsewhere. */
    readonly complaints: string[];
  }

  async function open(options: { readonly isolated?: boolean; readonly on?: Browser } = {}): Promise<Opened> {
    const site = await serveSite(memory, folders, options);
    const context = await (options.on ?? browser).newContext();
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    context.on("request", (request) => {
      if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(site.url)) complaints.push(request.url());
    });
    await page.goto(`${site.url}/`);
    await page.waitForFunction(() => globalThis.cllm !== undefined);
    return {
      ...{ page, site, context, complaints },
      async [Symbol.asyncDispose]() {
        await context.close();
        await site[Symbol.asyncDispose]();
      },
    };
  }

  /** Tokens of all prompts by decoder, loaded in the page. */
  async function tokensIn(page: Page, requests: readonly object[], options: object): Promise<number[][][]> {
    return await page.evaluate(
      async ({ requests, options, prompts }) => {
        const { load } = globalThis.cllm;
        const model = await load("/model", options);
        const all: number[][][] = [];
        for (const request of requests) {
          const tokens: number[][] = [];
          for (const prompt of prompts) tokens.push([...(await model.generate({ ...request, prompt })).tokens]);
          all.push(tokens);
        }
        await model.dispose();
        return all;
      },
      { requests, options, prompts },
    );
  }

  async function tokensInNode(requests: readonly object[]): Promise<number[][][]> {
    await using loaded = await load(model, { precision: "fp32", threads: 1 });
    const all: number[][][] = [];
    for (const request of requests) {
      const tokens: number[][] = [];
      for (const prompt of prompts) tokens.push([...(await loaded.generate({ ...request, prompt })).tokens]);
      all.push(tokens);
    }
    return all;
  }

  const SAMPLED = { temperature: 1, topP: 0.95, seed: 7 };

  test("every decoder writes the tokens of ar and of Node, sampled ones too", async () => {
    await using opened = await open();
    const requests = PLAIN_DECODERS.flatMap((decoder) => [{ decoder }, { decoder, ...SAMPLED }]);
    const tokens = await tokensIn(opened.page, requests, {});
    const [greedy, sampled] = await tokensInNode([{ decoder: "ar" }, { decoder: "ar", ...SAMPLED }]);
    for (const [i, request] of requests.entries()) {
      expect(tokens[i], JSON.stringify(request)).toEqual("seed" in request ? sampled : greedy);
    }
    expect(opened.complaints).toEqual([]);
  });

  test.each(["int8", "int4"])("in %s, too, every decoder writes the tokens of ar", async (precision) => {
    await using opened = await open();
    const requests = PLAIN_DECODERS.map((decoder) => ({ decoder }));
    const tokens = await tokensIn(opened.page, requests, { precision });
    const ar = tokens[PLAIN_DECODERS.indexOf("ar")];
    for (const [i, decoder] of PLAIN_DECODERS.entries()) expect(tokens[i], decoder).toEqual(ar);
  });

  test("a GGUF file is read in the page as it is in Node", async () => {
    const folder = mkdtempSync(join(tmpdir(), "cllm-gguf-"));
    const path = join(folder, "small.Q8_0.gguf");
    const { name, config, weights, tokenizer, close } = await openCheckpoint(model);
    const content = { name, config, weights, tokenizer: toGgufTokenizer(tokenizer, config.vocabSize) };
    await writeGguf(path, content, { dtype: "Q8_0" });
    await close();
    folders.set("/gguf/", `${folder}/`);
    try {
      await using opened = await open();
      const found = await opened.page.evaluate(async (prompt) => {
        const { load } = globalThis.cllm;
        const model = await load("/gguf/small.Q8_0.gguf");
        const { tokens } = await model.generate({ prompt, decoder: "jacobi" });
        const missing = await load("/gguf/other.gguf").catch(({ message }: { message: string }) => message);
        return { name: model.name as string, tokens: [...tokens] as number[], missing: missing as string };
      }, prompts[0]!);
      await using inNode = await load(path, { precision: "fp32", threads: 1 });
      const { tokens } = await inNode.generate({ prompt: prompts[0]!, decoder: "ar" });
      expect(found).toEqual({
        name: "small.Q8_0",
        tokens: [...tokens],
        missing: expect.stringMatching(/other\.gguf does not exist; check the address$/),
      });
      expect(opened.complaints).toEqual([]);
    } finally {
      folders.delete("/gguf/");
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("with two threads in a page that is isolated the tokens are the same", async () => {
    await using opened = await open({ isolated: true });
    expect(await opened.page.evaluate(() => globalThis.crossOriginIsolated)).toBe(true);
    const requests = [{ decoder: "ar" }, { decoder: "jacobi" }];
    const [ar, jacobi] = await tokensIn(opened.page, requests, { threads: 2 });
    const [node] = await tokensInNode([{ decoder: "ar" }]);
    expect(ar).toEqual(node);
    expect(jacobi).toEqual(node);
  });

  test("a second visit loads no bytes of the model, and works without the network", async () => {
    await using opened = await open();
    const { page, site, context } = opened;
    const [first] = await tokensIn(page, [{ decoder: "jacobi" }], {});
    const modelBytes = (): number =>
      site.asked.filter(({ path }) => path.startsWith("/model/")).reduce((sum, { bytes }) => sum + bytes, 0);
    expect(modelBytes()).toBeGreaterThan(10_000_000);
    await page.reload();
    await page.waitForFunction(() => globalThis.cllm !== undefined);
    site.asked.length = 0;
    expect((await tokensIn(page, [{ decoder: "jacobi" }], {}))[0]).toEqual(first);
    expect(modelBytes()).toBe(0);
    expect(site.asked.some(({ path, method }) => path.endsWith("/model.safetensors") && method === "HEAD")).toBe(true);
    const offline = await page.evaluate(async () => {
      const { load } = globalThis.cllm;
      const model = await load("/model", { offline: true });
      return model.name as string;
    });
    expect(offline).toBe("model");
    await context.setOffline(false);
    expect(opened.complaints).toEqual([]);
  });

  test("a download that breaks off, or is aborted, goes on where it was", async () => {
    await using opened = await open();
    const { page, site } = opened;
    const failing = async (abort: boolean): Promise<string> =>
      await page.evaluate(async (abort) => {
        const { load } = globalThis.cllm;
        const controller = new AbortController();
        const onProgress = ({ what, done }: { what: string; done: number }): void => {
          if (abort && what === "model.safetensors" && done > 8 << 20) controller.abort();
        };
        return await load("/model", { signal: controller.signal, onProgress }).then(
          () => "loaded",
          ({ code }: { code: string }) => code,
        );
      }, abort);
    site.cut = { name: "model.safetensors", after: 5 << 20 };
    expect(await failing(false)).toBe("network");
    site.cut = { name: "model.safetensors", after: 9 << 19, stays: true }; // of the rest: it never comes to its end
    expect(await failing(true)).toBe("aborted");
    site.asked.length = 0;
    const [tokens] = await tokensIn(page, [{ decoder: "ar" }], {});
    const parts = site.asked.filter(({ path, method }) => path.endsWith("/model.safetensors") && method === "GET");
    expect(parts.map(({ range }) => range)).toEqual([`bytes=${8 << 20}-`]);
    expect(tokens).toEqual((await tokensInNode([{ decoder: "ar" }]))[0]);
  });

  test("a file that has changed is loaded again; one that is missing is an error", async () => {
    await using opened = await open();
    const { page } = opened;
    memory.set("/model/cllm.json", '{ "demonstration": null }\n');
    try {
      await tokensIn(page, [{ decoder: "jacobi" }], {});
    } finally {
      memory.delete("/model/cllm.json");
    }
    opened.site.asked.length = 0;
    await tokensIn(page, [{ decoder: "jacobi" }], {});
    const loaded = opened.site.asked.filter(({ method, path }) => method === "GET" && path.startsWith("/model/"));
    expect(loaded.map(({ path }) => path).filter((path) => !path.includes("special_tokens"))).toEqual([
      "/model/cllm.json",
      "/model/ngrams.safetensors",
    ]);
    const missing = await page.evaluate(async () => {
      const { load } = globalThis.cllm;
      return await load("/nothing").catch(
        ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
      );
    });
    expect(missing).toMatch(/^not-found: .*\/nothing\/config\.json/);
  });

  test("on a GPU, here a driver in software, every decoder writes the tokens of ar", { timeout: GPU_TIME }, async ({
    skip,
  }) => {
    const folder = mkdtempSync(join(tmpdir(), "cllm-gpu-"));
    const on = await chromium.launch({ executablePath: browserPath!, args: ["--no-sandbox", ...SWIFTSHADER] });
    try {
      folders.set("/tiny/", `${writeTinyCheckpoint(folder, { contextLength: 128 })}/`);
      await using opened = await open({ on });
      const request = { prompt: "a b", maxNewTokens: 12, ignoreEos: true };
      const found = await opened.page.evaluate(
        async ({ request, decoders }) => {
          const { load } = globalThis.cllm;
          const model = await load("/tiny", { device: "webgpu" }).catch(({ message }: { message: string }) => message);
          if (typeof model === "string") return model;
          const tokens: number[][] = [];
          for (const decoder of decoders) tokens.push([...(await model.generate({ ...request, decoder })).tokens]);
          return { device: model.device as string, tokens };
        },
        { request, decoders: PLAIN_DECODERS.filter((name) => name !== "auto") },
      );
      if (typeof found === "string") {
        expect(found).toMatch(/no GPU that WebGPU can use/);
        return skip("this browser has no driver in software");
      }
      expect(found.device).toBe("webgpu");
      await using node = await load(folder, { precision: "fp32", threads: 1 });
      const { tokens } = await node.generate({ ...request, decoder: "ar" });
      for (const each of found.tokens) expect(each).toEqual([...tokens]);
    } finally {
      await on.close();
      folders.delete("/tiny/");
      rmSync(folder, { recursive: true });
    }
  });

  test("what a page lacks is a note and the slower way, or one clear error", async () => {
    await using opened = await open();
    const { page } = opened;
    await page.addInitScript("Object.defineProperty(globalThis, 'caches', { value: undefined })");
    await page.reload();
    await page.waitForFunction(() => globalThis.cllm !== undefined);
    const said = await page.evaluate(async (prompt) => {
      const { load, loadInWorker } = globalThis.cllm;
      const refused = ({ code, message }: { code: string; message: string }): string => `${code}: ${message}`;
      const engine = await loadInWorker("/model", { engineFiles: "/nowhere/" }).catch(refused);
      const gpu = await load("/model", { device: "webgpu" }).catch(refused);
      const warnings: string[] = [];
      const onWarning = (line: string): void => void warnings.push(line);
      const model = await load("/model", { device: "auto", onWarning });
      const { tokens } = await model.generate({ prompt });
      const { device, deviceWhy } = model;
      await model.dispose();
      WebAssembly.validate = () => false;
      const simd = await load("/model").catch(refused);
      return { engine, gpu, warnings, tokens: [...tokens], device, deviceWhy, simd };
    }, prompts[0]!);
    expect(said.engine).toMatch(/^engine: the engine could not be loaded from .*\/nowhere\/: serve the ort-wasm/);
    expect(said.gpu).toMatch(/^unsupported: .*take device cpu/);
    expect(said.simd).toMatch(/^unsupported: this browser has no SIMD in WebAssembly/);
    expect(said.warnings.join()).toMatch(/cannot keep downloads/);
    expect([said.device, said.deviceWhy]).toEqual(["wasm", expect.stringContaining("no GPU that WebGPU can use")]);
    expect(said.tokens).toEqual((await tokensInNode([{ decoder: "ar" }]))[0]![0]);
    expect(opened.complaints).toEqual([]);
  });

  test("a model in a worker streams, is aborted, and ends with the worker", async () => {
    await using opened = await open();
    const [expected] = await tokensInNode([{ decoder: "jacobi" }]);
    const said = await opened.page.evaluate(async (prompt) => {
      const { loadInWorker } = globalThis.cllm;
      const stages = new Set<string>();
      const onProgress = ({ stage }: { stage: string }): void => void stages.add(stage);
      const model = await loadInWorker("/model", { engineFiles: "/ort/", onProgress });
      const codeOf = ({ code }: { code: string }): string => code;
      let text = "";
      let passes = 0;
      for await (const chunk of model.stream({ prompt, decoder: "jacobi" })) {
        text += chunk.text;
        passes += chunk.pass === undefined ? 0 : 1;
      }
      const generation = await model.generate({ prompt, decoder: "jacobi" });
      const long = { prompt, decoder: "ar", ignoreEos: true, maxNewTokens: 400 };
      const aborted = model.generate({ ...long, signal: AbortSignal.timeout(150) }).catch(codeOf);
      const abortCode = await aborted;
      for await (const _ of model.stream(long)) break;
      const after = await model.generate({ prompt, decoder: "jacobi" });
      const running = model.generate(long).catch(codeOf);
      await new Promise((resolve) => setTimeout(resolve, 50));
      model.end();
      return {
        ...{ stages: [...stages].sort(), text, passes, tokens: [...generation.tokens], whole: generation.text },
        ...{ abortCode, after: after.text, ended: await running, later: await model.generate(long).catch(codeOf) },
      };
    }, prompts[0]!);
    expect(said.tokens).toEqual(expected![0]);
    expect(said.text).toBe(said.whole);
    expect(said.passes).toBeGreaterThan(1);
    expect(said.after).toBe(said.whole);
    expect(said.stages).toEqual(expect.arrayContaining(["compile", "download", "quantize"]));
    expect([said.abortCode, said.ended, said.later]).toEqual(["aborted", "disposed", "disposed"]);
    expect(opened.complaints).toEqual([]);
  });
});
