/**
 * The adapters of the project by name: `spider` means `adapters/spider`. A checkout has them. The npm package does not:
 * one of them would make it three times as large. Opens none of them.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Those that a checkout has. */
export const PROJECT_ADAPTERS: readonly string[] = [
  "gsm8k",
  "gsm8k-draft",
  "gsm8k-target",
  "spider",
  "spider-draft",
  "spider-target",
  "text-to-sql-draft",
];

/** Where they are in a checkout. */
const FOLDER = fileURLToPath(new URL("../../../adapters", import.meta.url));

/** Names of those that are there, in order. */
export function shippedAdapters(folder: string = FOLDER): string[] {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

/** The folder of the adapter that a path or a name means. A path that exists goes before a name. */
export function adapterFolder(pathOrName: string, folder: string = FOLDER): string {
  const shipped = !existsSync(pathOrName) && shippedAdapters(folder).includes(pathOrName);
  return shipped ? join(folder, pathOrName) : pathOrName;
}

/** What to do about an adapter that is not there, after a semicolon. */
export function adapterHint(pathOrName: string): string {
  if (PROJECT_ADAPTERS.includes(pathOrName)) {
    const next = `give the path of adapters/${pathOrName} in a clone of it`;
    return `${pathOrName} is in cllm's repository and not in its npm package; ${next}`;
  }
  const there = shippedAdapters();
  const names = there.length === 0 ? "" : `, or one of ${there.join(", ")}`;
  return `give a directory with adapter_config.json and adapter_model.safetensors, as PEFT saves them${names}`;
}
