// Runs a recipe: npm run recipe -- NAME --model MODEL [--data-dir FOLDER --out FOLDER --small]. The same command goes on.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runnerImport } from "vite";
import { dataSets } from "./real-data.mjs";

const root = join(import.meta.dirname, "..");
const folder = join(root, "recipes");
const names = readdirSync(folder).filter((entry) => existsSync(join(folder, entry, "recipe.ts")));
const fail = (message) => {
  console.error(`recipe: ${message}`);
  process.exit(2);
};
let parsed;
try {
  parsed = parseArgs({
    allowPositionals: true,
    options: {
      model: { type: "string", default: "HuggingFaceTB/SmolLM2-135M-Instruct" },
      "data-dir": { type: "string", default: dataSets() },
      out: { type: "string" },
      small: { type: "boolean", default: false },
    },
  });
} catch (error) {
  fail(error.message);
}
const { values, positionals } = parsed;
const [name = ""] = positionals;
if (!names.includes(name)) fail(`no recipe "${name}". There are: ${names.join(", ")}`);
if (!existsSync(values["data-dir"]))
  fail(`no folder ${values["data-dir"]}: name that of the data sets with --data-dir`);

const options = { configFile: false, logLevel: "warn", oxc: { target: "es2022" } };
const { module } = await runnerImport(join(folder, name, "recipe.ts"), options);
const { module: steps } = await runnerImport(join(folder, "steps.ts"), options);
const out = values.out ?? join(root, "runs", name);
const chosen = module.recipe({ model: values.model, dataDir: values["data-dir"], out, small: values.small });
process.on("SIGINT", () => {}); // the command that runs gets it too, and says how to go on
process.exitCode = await steps.runSteps(chosen, (line) => console.error(`recipe ${name}: ${line}`));
