/** The adapters that come with the package, by name: `spider` means `adapters/spider`. Opens none of them. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Where they are, in a checkout as in an installed package. */
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
