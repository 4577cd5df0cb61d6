/** Before all tests: `dist/` is what the sources are, once, so that no test finds it half replaced by another's build. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export default function build(): void {
  const script = fileURLToPath(new URL("../scripts/set-up.mjs", import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
}
