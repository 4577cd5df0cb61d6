// Runs a benchmark from its TypeScript source: node scripts/bench.mjs NAME [flags], or npm run bench -- NAME [flags].
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { runnerImport } from "vite";

const folder = join(import.meta.dirname, "..", "bench");
const [name = "", ...flags] = process.argv.slice(2);
const file = join(folder, `${name}.ts`);
if (!/^[a-z-]+$/.test(name) || !existsSync(file)) {
  const names = readdirSync(folder).filter((entry) => entry.endsWith(".ts") && entry !== "conditions.ts");
  console.error(`bench: no benchmark "${name}". There are: ${names.map((entry) => entry.slice(0, -3)).join(", ")}`);
  process.exit(2);
}
process.argv = [process.argv[0], file, ...flags];
try {
  await runnerImport(file, { configFile: false, logLevel: "warn", oxc: { target: "es2022" } });
} catch (error) {
  const isCallers = error?.name === "CllmError" || String(error?.code).startsWith("ERR_PARSE_ARGS");
  if (!isCallers) throw error;
  console.error(`bench ${name}: ${error.message}`);
  process.exitCode = 2;
}
