/**
 * A page in Chromium for benchmarks: the library's bundles, the engine's files, models and what else is served to it. Knows no
 * benchmark. CLLM_BROWSER names the browser.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { CllmError } from "../src/error.ts";
import { bundler, root } from "../test/web/bundler.ts";
import { type SiteServer, serveSite } from "../test/web/site-server.ts";

/** A driver in software, for machines without a GPU. */
const SWIFTSHADER = [
  ...["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan,WebGPU"],
  ...["--use-vulkan=swiftshader", "--disable-vulkan-surface"],
];
const GPUS: Readonly<Record<string, readonly string[]>> = {
  none: ["--disable-gpu"],
  swiftshader: SWIFTSHADER,
  real: ["--enable-unsafe-webgpu", "--enable-features=Vulkan,WebGPU"],
};

declare global {
  /** In the page: what the bundles export. */
  // biome-ignore lint/suspicious/noExplicitAny: the page's own
  var cllm: any;
  // biome-ignore lint/suspicious/noExplicitAny: another library's own
  var peer: any;
}

export interface BenchPage extends AsyncDisposable {
  readonly page: Page;
  readonly site: SiteServer;
  readonly context: BrowserContext;
  readonly browserVersion: string;
  /** The address of a page by its name, which is loaded anew with each visit. */
  visit(name?: string): Promise<void>;
}

export interface PageOptions {
  /** Folders that are served, by their path: "/model/". */
  readonly folders: ReadonlyMap<string, string>;
  /** Files beside ours: scripts and pages, by path. */
  readonly files?: ReadonlyMap<string, string>;
  /** `none`, `swiftshader` or `real`. */
  readonly gpu?: string;
}

/** Opens a page that is isolated, so that passes may have threads, with the library as `globalThis.cllm`. */
export async function openPage({ folders, files = new Map(), gpu = "none" }: PageOptions): Promise<BenchPage> {
  const names = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  const executablePath = process.env["CLLM_BROWSER"] ?? names.find((path) => existsSync(path));
  if (executablePath === undefined)
    throw new CllmError("usage", `no browser at ${names.join(", ")}: name one in CLLM_BROWSER`);
  const chunks = await bundler.bundle(bundler.ENTRIES, bundler.WITH_ENGINE);
  const memory = new Map(chunks.map(({ fileName, code }) => [`/app/${fileName}`, code]));
  memory.set(
    "/start.js",
    `import * as cllm from "./app/index.js"; import * as worker from "./app/worker.js";
     cllm.engineFilesAt("/engine/"); globalThis.cllm = { ...cllm, ...worker };`,
  );
  memory.set("/index.html", pageOf("<script type=module src=start.js></script>"));
  for (const [path, text] of files) memory.set(path, text);
  const engine = fileURLToPath(new URL("node_modules/onnxruntime-web/dist/", root));
  const site = await serveSite(memory, new Map([["/engine/", engine], ...folders]), { isolated: true });
  const args = ["--no-sandbox", ...(GPUS[gpu] ?? [])];
  const browser = await chromium.launch({ executablePath, args });
  const context = await browser.newContext();
  const page = await context.newPage();
  page.on("pageerror", (error) => console.error(`in the page: ${error}`));
  const visit = async (name = ""): Promise<void> => {
    await page.goto(`${site.url}/${name}`);
    if (name === "") await page.waitForFunction(() => globalThis.cllm !== undefined);
  };
  await visit();
  return {
    ...{ page, site, context, visit, browserVersion: browser.version() },
    async [Symbol.asyncDispose]() {
      await browser.close();
      await site[Symbol.asyncDispose]();
    },
  };
}

/** A page with this in it. */
export const pageOf = (content: string): string =>
  `<!doctype html><meta charset=utf-8><link rel=icon href=data:,><title>cllm</title>${content}`;
