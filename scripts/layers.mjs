/**
 * The rule of the rooms: imports in `src/` go downward only, and no files import each other in a circle, types included.
 * Reads every import of every file and reports those that climb, circles, and files in rooms that it does not know.
 * Run alone it prints the violations and fails if there are any; `layerViolations(folder)` and `importCircles(folder)`
 * are for tests.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** Lowest first. A file directly in `src/` counts as the room of its name. */
const ROOMS = [
  "error",
  "hash",
  "wasm",
  "files",
  "drawing",
  "graph",
  "model",
  "checkpoint",
  "text",
  "grammar",
  "runtime",
  "decode",
  "generate",
  "data",
  "tasks",
  "trajectory",
  "train",
  "eval",
  "recipes",
  "serve",
  "web",
  "ai-sdk",
  "index",
  "cli",
];

const IMPORT = /(?:\bfrom\s*|\bimport\s*\(\s*|\bimport\s+|\bnew URL\(\s*)(["'])(\.{1,2}\/[^"']+)\1/g;

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (/\.[cm]?[jt]s$/.test(entry.name)) yield path;
  }
}

/** One line per import that breaks the rule: `file:line: room must not import room`. */
export function layerViolations(folder) {
  const src = resolve(folder);
  const roomOf = (path) => {
    const [first] = relative(src, path).split(sep);
    return first.replace(/\.[cm]?[jt]s$/, "");
  };
  const violations = [];
  for (const file of sources(src)) {
    const text = readFileSync(file, "utf8");
    const room = roomOf(file);
    const name = relative(src, file).replaceAll(sep, "/");
    if (!ROOMS.includes(room)) violations.push(`${name}: room ${room} has no place in scripts/layers.mjs`);
    for (const match of text.matchAll(IMPORT)) {
      const path = resolve(dirname(file), match[2]);
      if (!path.startsWith(src + sep)) continue; // the package's own files, outside the rooms
      const target = roomOf(path);
      if (ROOMS.indexOf(target) <= ROOMS.indexOf(room) && ROOMS.includes(target)) continue;
      const line = text.slice(0, match.index).split("\n").length;
      violations.push(`${name}:${line}: ${room} must not import ${target} (${match[2]}); imports go downward only`);
    }
  }
  return violations;
}

/**
 * One line per circle: `a.ts > b.ts > a.ts`. Biome's `noImportCycles` does not see those that types alone make, and they
 * tie files together all the same: neither can be read, moved or tested without the other.
 */
export function importCircles(folder) {
  const src = resolve(folder);
  const imports = new Map();
  for (const file of sources(src)) {
    const targets = [...readFileSync(file, "utf8").matchAll(IMPORT)].map((match) => resolve(dirname(file), match[2]));
    imports.set(file, new Set(targets));
  }
  const circles = [];
  const done = new Set();
  const path = [];
  const visit = (file) => {
    const start = path.indexOf(file);
    if (start >= 0) circles.push([...path.slice(start), file]);
    if (start >= 0 || done.has(file)) return;
    path.push(file);
    for (const target of imports.get(file)) if (imports.has(target)) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of imports.keys()) visit(file);
  return circles.map((files) => files.map((file) => relative(src, file).replaceAll(sep, "/")).join(" > "));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const src = fileURLToPath(new URL("../src", import.meta.url));
  const violations = [...layerViolations(src), ...importCircles(src).map((circle) => `circle of imports: ${circle}`)];
  for (const violation of violations) console.error(violation);
  process.exitCode = violations.length === 0 ? 0 : 1;
}
