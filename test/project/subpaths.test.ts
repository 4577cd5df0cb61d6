/** The package's subpaths: `cllm/decode` is for browsers too, and every public name can be reached from the built package. */
import { readFileSync } from "node:fs";
import { createContext, Script } from "node:vm";
import { build, type Rollup } from "vite";
import { expect, test } from "vitest";

const root = new URL("../../", import.meta.url);

/** The subpath as one script for a browser. Vite fails, or leaves a trace, where a module of Node is imported. */
async function bundled(entry: string): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: "silent",
    root: root.pathname,
    build: {
      write: false,
      minify: false,
      target: "es2022",
      lib: { entry: new URL(entry, root).pathname, formats: ["iife"], name: "cllm" },
    },
  });
  const { output } = (Array.isArray(result) ? result[0]! : result) as Rollup.RollupOutput;
  expect(output.map(({ type }) => type)).toEqual(["chunk"]);
  const [chunk] = output;
  expect([...chunk.imports, ...chunk.dynamicImports]).toEqual([]);
  expect(Object.keys(chunk.modules).filter((id) => /browser-external|node_modules|^node:/.test(id))).toEqual([]);
  return chunk.code;
}

test("cllm/decode has no module of Node in it, and decodes where there is nothing but JavaScript", async () => {
  const code = await bundled("src/decode/index.ts");
  const context = createContext({ AbortController, AbortSignal }); // what a browser has, too
  new Script(code).runInContext(context);
  const run = `(async () => {
    const { ar, jacobi, auto, consistentModel, scriptedSession, sampled, tokensPerForward } = cllm;
    const model = consistentModel(500, 0.9);
    const prompt = Int32Array.of(1, 2, 3);
    const write = async (decoder, more) => {
      const session = sampled(scriptedSession(model), { temperature: 0.5, seed: 3 });
      const tokens = [];
      for await (const { accepted } of decoder(session, prompt, { maxNewTokens: 30, ...more })) tokens.push(...accepted);
      await session.dispose();
      return tokens.join();
    };
    const costs = new Map([[1, 1], [32, 1.2]]);
    return JSON.stringify([await write(ar), await write(jacobi), await write(auto, { costs }), tokensPerForward([3, 1])]);
  })()`;
  const [plain, ...others] = JSON.parse(await new Script(run).runInContext(context)) as unknown[];
  expect(others).toEqual([plain, plain, 2]);
  expect(String(plain).split(",").length).toBe(30);
});

test("the check would see a module of Node", async () => {
  await expect(bundled("src/serve/queue.ts").then(() => bundled("src/generate/cost-store.ts"))).rejects.toThrow();
});

test("every subpath of the package has its file in the source", () => {
  const { exports } = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as {
    exports: Record<string, string | { types: string; default: string; browser?: { types: string; default: string } }>;
  };
  const targets = Object.values(exports).flatMap((target) =>
    typeof target === "string" ? [] : [target, ...(target.browser ? [target.browser] : [])],
  );
  for (const target of targets) {
    const source = target.types.replace("./dist/", "src/").replace(/\.d\.ts$/, ".ts");
    expect(readFileSync(new URL(source, root), "utf8")).toMatch(/^export /m);
    expect(target.default).toBe(target.types.replace(/(\.web)?\.d\.ts$/, ".js")); // X.web.ts is what browsers have of X
    expect(readFileSync(new URL(target.default, root), "utf8")).toMatch(/\bexport\b/);
  }
  expect(Object.keys(exports)).toEqual([
    ".",
    "./ai-sdk",
    "./decode",
    "./serve",
    "./train",
    "./worker",
    "./package.json",
  ]);
});
