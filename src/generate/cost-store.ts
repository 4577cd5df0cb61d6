/**
 * Where the costs of passes are kept: in the cache folder, under everything that they depend on. A cache that is damaged or cannot
 * be written is no error; costs are measured again. Its twin for browsers is `cost-store.web.ts`.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { cpus, platform } from "node:os";
import { join } from "node:path";
import { defaultCacheFolder } from "../files/cache-folder.ts";
import { readJsonObject } from "../files/json.ts";
import { removeLeftovers } from "../files/scratch.ts";
import { writeWhole } from "../files/write-whole.ts";
import { CALIBRATED_SIZES, type Calibration, METHOD } from "./calibrate.ts";
import { costsSchema, isFresh } from "./kept-costs.ts";

const MAX_FILE_BYTES = 1 << 20;

const packageFile = new URL("../../package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(packageFile, "utf8")) as { readonly version: string };

/**
 * The costs under `key` in the cache folder, or else what `measure` gives, kept for the next time where it is good. The key names everything that
 * the costs depend on; processor, runtime and this package's version are added to it here. Older than a week, they are
 * measured again.
 */
export async function cachedPassCosts(
  cacheDir: string | undefined,
  key: readonly (string | number)[],
  measure: () => Promise<Calibration>,
): Promise<Calibration> {
  const folder = cacheDir ?? defaultCacheFolder();
  const machine = [cpus().length, cpus()[0]?.model, platform(), process.versions.node];
  const whole = JSON.stringify([...key, CALIBRATED_SIZES, METHOD, version, ...machine]);
  const name = createHash("sha256").update(whole).digest("hex").slice(0, 24);
  const file = join(folder, "calibration", `${name}.json`);
  await removeLeftovers(join(folder, "calibration"));
  try {
    const known = costsSchema.parse(await readJsonObject(file, MAX_FILE_BYTES));
    const { mtimeMs } = await stat(file);
    if (known.key === whole && isFresh(mtimeMs)) return { costs: new Map(known.costs), verdict: "good" };
  } catch {
    // None yet, or damaged.
  }
  const measured = await measure();
  if (measured.verdict !== "good") return measured;
  const content = JSON.stringify({ key: whole, costs: [...measured.costs] });
  await writeWhole(file, (handle) => handle.writeFile(content)).catch(() => {});
  return measured;
}
