/**
 * Bundles what is a program or a thread of its own, `node scripts/bundle-programs.mjs FOLDER`: few files are read in place of three
 * hundred, which is a third of the time that `cllm --help` takes. The library's modules stay beside it, as they are.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { rolldown } from "rolldown";

const ENTRIES = ["cli/main", "runtime/prepare-worker", "serve/worker", "serve/prompt-worker"];
/** Packages that are many files. All others are imported from where they are installed. */
const BUNDLED = ["zod"];

/** A module finds files by where it was, and not by where the bundle is. All bundles are one folder below `dist/`. */
const whereFilesAre = (dist) => ({
  name: "where-files-are",
  transform(code, id) {
    const path = relative(dist, id).replaceAll("\\", "/");
    if (path.startsWith("..") || !code.includes("import.meta.url")) return null;
    return code.replaceAll("import.meta.url", `new URL("../${path}", import.meta.url).href`);
  },
});

/** The licences of what is bundled, as these ask for. */
function licences(packages) {
  const texts = packages.map((name) => {
    const folder = join(import.meta.dirname, "../node_modules", name);
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${name} has no licence file: do not bundle it`);
    return `${name}\n\n${readFileSync(join(folder, file), "utf8")}`;
  });
  return `Parts of these packages are in the bundles:\n\n${texts.join("\n\n")}`;
}

async function bundlePrograms(dist) {
  const isOurs = (id) => /^[./\\]|^[A-Za-z]:|^\0/.test(id);
  const build = await rolldown({
    input: Object.fromEntries(ENTRIES.map((name) => [name, join(dist, `${name}.js`)])),
    platform: "node",
    external: (id) => !isOurs(id) && !BUNDLED.some((name) => id === name || id.startsWith(`${name}/`)),
    plugins: [whereFilesAre(dist)],
    treeshake: { moduleSideEffects: (id) => !/\/node_modules\//.test(id.replaceAll("\\", "/")) },
    onLog(level, log, handler) {
      if (level === "warn") throw new Error(`rolldown: ${log.message}`);
      handler(level, log);
    },
  });
  try {
    const names = { entryFileNames: "[name].js", chunkFileNames: "chunks/[name]-[hash].js" };
    const { output } = await build.write({ dir: dist, format: "esm", ...names });
    const elsewhere = output.find(({ fileName }) => fileName.split("/").length !== 2);
    if (elsewhere !== undefined) throw new Error(`${elsewhere.fileName} is not one folder below dist/`);
    for (const name of ENTRIES) rmSync(join(dist, `${name}.js.map`), { force: true }); // of the file that is replaced
    writeFileSync(join(dist, "licences.txt"), licences(BUNDLED));
  } finally {
    await build.close();
  }
}

await bundlePrograms(process.argv[2]);
