// Makes a model of the repository from nothing: npm run model:text-to-sql [-- --out FOLDER --seed N --small]. Resumable.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runnerImport } from "vite";

const root = join(import.meta.dirname, "..");
const { values } = parseArgs({
  options: {
    out: { type: "string", default: join(root, "runs", "text-to-sql") },
    seed: { type: "string", default: "0" },
    small: { type: "boolean", default: false },
  },
});
const { module } = await runnerImport(join(root, "src/recipes/text-to-sql.ts"), {
  configFile: false,
  logLevel: "warn",
  oxc: { target: "es2022" },
});
const { makeTextToSql, SHIPPED, SMALL } = module;
const controller = new AbortController();
process.once("SIGINT", () => controller.abort());

const begin = Date.now();
let [loss, noisy, seconds, count] = [0, 0, 0, 0];
const options = { seed: Number(values.seed), signal: controller.signal };
for await (const record of makeTextToSql(values.out, values.small ? SMALL : SHIPPED, options)) {
  const minutes = ((Date.now() - begin) / 60_000).toFixed(1);
  if (record.type === "stage") console.log(`${minutes} min  ${record.stage}: ${record.done ? "done" : "begins"}`);
  else if (record.type === "evaluation") {
    const { stage, step, accuracy, tokensPerForward } = record;
    const right = `${(100 * accuracy).toFixed(1)} % as expected`;
    console.log(`${minutes} min  ${stage} ${step}: ${right}, ${tokensPerForward.toFixed(2)} tokens per forward`);
  } else {
    count++;
    loss += record.arLoss ?? 0;
    noisy += record.consistencyLoss ?? 0;
    seconds += record.seconds;
    if (record.step % 50 !== 0 && record.step !== record.steps) continue;
    const means = `loss ${(loss / count).toFixed(4)}, of noisy points ${(noisy / count).toFixed(4)}`;
    console.log(
      `${minutes} min  ${record.stage} ${record.step}/${record.steps}: ${means}, ${(seconds / count).toFixed(2)} s a step`,
    );
    [loss, noisy, seconds, count] = [0, 0, 0, 0];
  }
}
console.log(`the models are in ${values.out}: ar/ and cllm/`);
