/**
 * Before all tests: `dist/` is what the sources are, once, so that no test finds it half replaced by another's build; and what
 * models leave in the cache goes into a folder of the tests' own, not into the user's.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export default function build(): () => void {
  const script = fileURLToPath(new URL("../scripts/set-up.mjs", import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  const cache = mkdtempSync(join(tmpdir(), "cllm-test-cache-"));
  process.env["CLLM_CACHE"] = cache; // the processes that run tests take it over
  return () => rmSync(cache, { recursive: true, force: true });
}
