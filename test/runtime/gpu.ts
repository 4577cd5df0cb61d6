/** The GPU that tests run on: this machine's, or else the software driver that comes with Debian's Chromium. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { Device } from "../../src/runtime/devices/device.ts";
import { openWebgpu } from "../../src/runtime/devices/webgpu.ts";

const SWIFTSHADER = "/usr/lib/chromium/libvk_swiftshader.so";

/** A folder of the test file's own, with the driver's description. Removed at its end. */
export const scratch: string = mkdtempSync(join(tmpdir(), "cllm-webgpu-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

if (process.env["VK_ICD_FILENAMES"] === undefined && existsSync(SWIFTSHADER)) {
  const driver = join(scratch, "driver.json"); // has to be chosen before the first session
  const icd = { library_path: SWIFTSHADER, api_version: "1.0.5" };
  writeFileSync(driver, JSON.stringify({ file_format_version: "1.0.0", ICD: icd }));
  process.env["VK_ICD_FILENAMES"] = driver;
}
process.env["XDG_RUNTIME_DIR"] ??= scratch;

/** Null where there is none: then `what` is skipped, and that is said. */
export const gpu = (what: string): Promise<Device | null> =>
  openWebgpu().catch((error: unknown) => {
    console.warn(`skipped: ${what} (${String(error)})`);
    return null;
  });
