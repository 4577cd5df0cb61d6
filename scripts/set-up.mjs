/**
 * Makes a checkout ready to run: dependencies where they are missing or not those of the lock file, then `dist/` where
 * it is older than the sources. Doing nothing takes a few milliseconds, so `npm start` and `npm test` call it each time.
 * Knows nothing about what is run afterwards.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const [major, minor] = process.versions.node.split(".").map(Number);

/** Runs a program with its output on standard error, so that standard output stays the caller's. */
function run(what, program, args, env = {}) {
  process.stderr.write(`set-up: ${what}\n`);
  const { status, error } = spawnSync(program, args, {
    cwd: root,
    stdio: ["ignore", 2, 2],
    env: { ...process.env, ...env },
    shell: process.platform === "win32" && program === "npm",
  });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} failed${error ? `: ${error.message}` : ""}`);
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return null;
  }
}

/** Every package that the lock file asks for is there in the same version; optional ones for other machines may lack. */
function dependenciesAreCurrent() {
  const wanted = readJson(join(root, "package-lock.json"))?.packages ?? {};
  const installed = readJson(join(root, "node_modules/.package-lock.json"))?.packages;
  if (installed === undefined) return false;
  return Object.entries(wanted).every(([path, { version, optional, peer }]) => {
    if (path === "" || ((optional || peer) && installed[path] === undefined)) return true;
    return installed[path]?.version === version && existsSync(join(root, path));
  });
}

/** Installs what the lock file says. ONNX Runtime's install script would fetch GPU libraries, which nothing here uses. */
export function installDependencies() {
  if (dependenciesAreCurrent()) return;
  run("installing dependencies (npm ci)", "npm", ["ci", "--no-audit", "--no-fund"], {
    ONNXRUNTIME_NODE_INSTALL: "skip",
  });
}

/** Names the state of everything that `dist/` is made from. */
function sourceStamp() {
  const hash = createHash("sha256");
  const visit = (path) => {
    const stat = statSync(path);
    if (stat.isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
    else hash.update(`${relative(root, path)}\0${readFileSync(path)}\0`);
  };
  for (const name of [
    "src",
    "scripts/web",
    "scripts/bundle-programs.mjs",
    "tsconfig.json",
    "tsconfig.build.json",
    "tsconfig.web.json",
    "package-lock.json",
  ])
    visit(join(root, name));
  return hash.digest("hex");
}

/** Compiles `src/` into `dist/`. The old `dist/` is replaced only by a whole new one. */
export function build() {
  const dist = join(root, "dist");
  const stamp = sourceStamp();
  const stampFile = join(dist, ".stamp");
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return;
  const fresh = join(root, `dist.${process.pid}`);
  try {
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    run("building (tsc)", process.execPath, [tsc, "-p", "tsconfig.build.json", "--outDir", fresh]);
    run("declaring what browsers have (tsc)", process.execPath, [
      ...[tsc, "-p", "tsconfig.web.json", "--noEmit", "false", "--emitDeclarationOnly"],
      ...["--rootDir", "src", "--outDir", fresh],
    ]);
    run("bundling for browsers (rolldown)", process.execPath, [
      join(root, "scripts/web/build.mjs"),
      join(fresh, "web"),
    ]);
    run("bundling the command line (rolldown)", process.execPath, [join(root, "scripts/bundle-programs.mjs"), fresh]);
    chmodSync(join(fresh, "cli/main.js"), 0o755);
    writeFileSync(join(fresh, ".stamp"), stamp);
    rmSync(dist, { recursive: true, force: true });
    renameSync(fresh, dist);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    if (major < 20 || (major === 20 && minor < 11)) {
      throw new Error(`Node.js ${process.versions.node} is too old; cllm needs 20.11 or newer`);
    }
    installDependencies();
    build();
  } catch (error) {
    process.stderr.write(`set-up: ${error.message}\n`);
    process.exitCode = 1;
  }
}
