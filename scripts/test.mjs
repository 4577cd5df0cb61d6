/**
 * Everything that must hold before a change goes in, each part under its heading: form, types, layers, tests, package.
 * Runs all parts even after one fails. The last line is the sum: `N passed, N failed`, and `, N skipped` where some were.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "cllm-test-"));
const report = join(scratch, "vitest.json");
const node = (script, ...args) => [join(root, script), ...args];

/** Counts of the tests that ran; a run without a readable report counts as one failure. */
function vitestCounts(failed) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, numFailedTestSuites } = JSON.parse(
      readFileSync(report, "utf8"),
    );
    const failures = Math.max(numFailedTests, failed ? Math.max(1, numFailedTestSuites) : 0);
    return { passed: numPassedTests, failed: failures, skipped: numPendingTests + numTodoTests };
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

const parts = [
  { heading: "form and lint (biome)", command: node("node_modules/@biomejs/biome/bin/biome", "ci", ".") },
  { heading: "types (tsc)", command: node("node_modules/typescript/bin/tsc", "-p", "tsconfig.json") },
  { heading: "layers: imports go downward only", command: node("scripts/layers.mjs") },
  { heading: "generated parts of the documentation", command: node("scripts/docs/site.mjs", "--check") },
  {
    heading: "tests (vitest)",
    command: node(
      "node_modules/vitest/vitest.mjs",
      "run",
      "--reporter=default",
      "--reporter=json",
      `--outputFile=${report}`,
    ),
    counts: vitestCounts,
  },
  { heading: "the package, installed by a stranger", command: node("scripts/package-check.mjs") },
  { heading: "the documentation's site: links, accessibility", command: node("scripts/docs/check-site.mjs") },
];

/** What a part ends with that cannot run here. */
const SKIPPED = 77;
const total = { passed: 0, failed: 0, skipped: 0 };
try {
  for (const { heading, command, counts } of parts) {
    process.stdout.write(`\n== ${heading}\n`);
    const start = performance.now();
    const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: ["ignore", 1, 1] });
    const skipped = status === SKIPPED;
    const failed = status !== 0 && !skipped;
    const one = { passed: failed || skipped ? 0 : 1, failed: failed ? 1 : 0, skipped: skipped ? 1 : 0 };
    const counted = counts?.(failed) ?? one;
    for (const key of Object.keys(total)) total[key] += counted[key];
    process.stdout.write(`== ${failed ? "FAILED" : "ok"}: ${heading} (${Math.round(performance.now() - start)} ms)\n`);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed${skipped}\n`);
process.exitCode = total.failed === 0 ? 0 : 1;
