/** Where the real data sets are, for tests that are skipped with a message where they are not. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const SHARED_DATA: string = fileURLToPath(new URL("../../../shared/data", import.meta.url));
export const hasSharedData: boolean = existsSync(SHARED_DATA);
export const skipNote: string = `(skipped where ${SHARED_DATA} is not)`;
