/**
 * The page that compares ways to decode, from `bench/results/comparison-TASK.json`, which `npm run bench -- comparison --save` writes: a table
 * for each task that was measured. Where none was, there is no page. Knows no measurement: figures come from the JSON alone.
 *
 *     node scripts/docs/comparison.mjs [--check]
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { readResult, renderTable, root } from "./tables.mjs";

const TASKS = { spider: "Spider", gsm8k: "GSM8K", humaneval: "HumanEval", "mt-bench": "MT-bench" };

/** Names of the results, in the order of the page. */
export function measuredTasks(folder = join(root, "bench/results")) {
  const there = readdirSync(folder);
  return Object.keys(TASKS).filter((task) => there.includes(`comparison-${task}.json`));
}

/** The whole page; null where nothing was measured. */
export function comparisonPage(tasks = measuredTasks(), { table = renderTable, result = readResult } = {}) {
  if (tasks.length === 0) return null;
  const sections = tasks.map((task) => {
    const name = `comparison-${task}`;
    const all = result(name).rows.every(({ trainingMinutes }) => trainingMinutes !== null);
    const note = all ? "" : "\n\nMinutes are empty where the run's log is not there.";
    return `## ${TASKS[task]}\n\n<!-- table: ${name} -->\n\n${table(name)}\n\n<!-- /table -->${note}`;
  });
  return `# Ways to decode, side by side

One engine, one base, the same questions: each question goes to every way before the next one.
Speed-ups are over the base's \`ar\` in the same run, by decoding alone.

- Answers that differ are counted token by token. A lossless way has none. A CLLM and Medusa-2 are other models, so theirs differ.
- Medusa verifies exactly here. The paper's typical acceptance is left out, because it changes the text.
- The last column is **computed, not measured**. It is the tokens of the recorded passes, over their number.
  A pass of up to 32 rows counts as one, a pass of up to 64 as two. It says what a machine would give on which rows are free.
  What runs beside a pass, such as heads, counts nothing there.
- Only ways that were measured have a line.
- Tables compare within themselves. Since the older ones, drafts from texts have become better: see [the log](../log/adapters.md#drafts-from-the-text-and-from-earlier-answers).

${sections.join("\n\n")}
`;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const file = join(root, "docs/results/comparison.md");
  const before = existsSync(file) ? readFileSync(file, "utf8") : null;
  const after = comparisonPage();
  if (before !== after) {
    if (process.argv.includes("--check")) {
      console.error("docs/results/comparison.md: it is not what bench/results says; run npm run docs");
      process.exitCode = 1;
    } else if (after === null) rmSync(file);
    else writeFileSync(file, after);
  }
}
