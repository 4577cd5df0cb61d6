/**
 * Bundles for browsers: `X.web.ts` stands in for `X.ts` wherever there is one, modules that nothing is used of are left out, and what
 * is left must not import anything of Node. `bundle` makes them and says what came out; `buildWeb` fills `dist/web/`.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

export const root = fileURLToPath(new URL("../..", import.meta.url));
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

const twins = {
  name: "twins",
  resolveId(source, importer) {
    if (/^node:|^onnxruntime-node$/.test(source)) return { id: source, external: true, moduleSideEffects: false };
    if (!source.startsWith(".") || importer === undefined || !source.endsWith(".ts")) return null;
    const path = resolve(dirname(importer), source);
    const twin = path.replace(/(?<!\.web)\.ts$/, ".web.ts");
    return existsSync(twin) && twin !== importer ? { id: twin } : null;
  },
};

/**
 * Zod can write schemas as JSON Schema, and the code for it comes along with every schema. Only a page's own schemas are ever
 * written so, and those bring the code with them.
 */
const leftOut = {
  name: "left-out",
  load(id) {
    if (!/\/zod\/v4\/core\/(to-json-schema|json-schema-processors)\.js$/.test(id.replaceAll("\\", "/"))) return null;
    const names = [...readFileSync(id, "utf8").matchAll(/^export (?:async )?(?:const|function|class) (\w+)/gm)];
    const constants = names.map(([, name]) => {
      const value = name === "toJSONSchema" ? "(schema, options) => schema.toJSONSchema(options)" : "none";
      return `export const ${name} = ${value};`;
    });
    return `const none = () => none;\n${constants.join("\n")}`;
  },
};

/**
 * Bundles `input`, an object of names and files. With `external`, these packages stay imports; without, they are bundled.
 * Returns the chunks: file name, code, imports, and which modules they are made of.
 */
export async function bundle(input, { external = [], conditionNames } = {}) {
  const build = await rolldown({
    input,
    platform: "browser",
    external,
    plugins: [twins, leftOut],
    treeshake: {
      moduleSideEffects: (id) =>
        !/\/src\/|\/node_modules\/(zod|@huggingface)\//.test(id) || /model-worker|demo/.test(id),
    },
    transform: { define: { CLLM_VERSION: JSON.stringify(version) } },
    ...(conditionNames && { resolve: { conditionNames } }),
    onLog(level, log, handler) {
      if (level === "warn") throw new Error(`rolldown: ${log.message}`);
      handler(level, log);
    },
  });
  try {
    const { output } = await build.generate({
      format: "esm",
      minify: true,
      entryFileNames: "[name].js",
      chunkFileNames: "[name]-[hash].js",
    });
    return output.filter(({ type }) => type === "chunk");
  } finally {
    await build.close();
  }
}

/** Options that bundle the engine's script, which finds its WebAssembly where `engineFilesAt` says. */
export const WITH_ENGINE = { conditionNames: ["onnxruntime-web-use-extern-wasm", "import", "browser", "default"] };

/** What `dist/web/` has: the library, the page's side of the worker, and the worker. */
export const ENTRIES = {
  index: join(root, "src/web/index.ts"),
  worker: join(root, "src/web/worker.web.ts"),
  "model-worker": join(root, "src/web/model-worker.web.ts"),
};

/** The chunks of `dist/web/`. Throws where one imports something of Node. */
export async function webChunks() {
  const chunks = await bundle(ENTRIES, { external: [/^onnxruntime-web/] });
  const foreign = foreignModules(chunks);
  if (foreign.length > 0) throw new Error(`the bundle imports ${foreign.join(", ")}, which browsers do not have`);
  return chunks;
}

/** What chunks import that browsers do not have. By their code: the bundler also lists what it left out. */
export function foreignModules(chunks) {
  const names = chunks.flatMap(({ code }) => [...code.matchAll(/["'`](node:[\w/]+|onnxruntime-node)["'`]/g)]);
  return [...new Set(names.map(([, name]) => name))];
}

/** Writes `dist/web/`. */
export async function buildWeb(folder) {
  mkdirSync(folder, { recursive: true });
  rmSync(join(folder, "index.js.map"), { force: true }); // of the file that the bundle replaces
  for (const { fileName, code } of await webChunks()) writeFileSync(join(folder, fileName), code);
}

/** The chunks that a page loads to write text: not those that only a GPU or a form of answers asks for. */
export function firstChunks(chunks) {
  const first = new Set();
  const visit = (name) => {
    const chunk = chunks.find(({ fileName }) => fileName === name);
    if (chunk === undefined || first.has(chunk)) return;
    first.add(chunk);
    for (const each of chunk.imports) visit(each);
  };
  for (const { fileName, isEntry } of chunks) if (isEntry) visit(fileName);
  return [...first];
}

/** Bytes of some chunks, gzipped one by one. */
export const gzipped = (chunks) => chunks.reduce((sum, { code }) => sum + gzipSync(code, { level: 9 }).length, 0);
