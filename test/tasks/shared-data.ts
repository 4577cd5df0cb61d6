/** Where the real data sets are, for tests that are skipped with a message where they are not. */
import { existsSync } from "node:fs";
import { dataSets } from "../../scripts/real-data.mjs";

export const SHARED_DATA: string = dataSets();
export const hasSharedData: boolean = existsSync(SHARED_DATA);
export const skipNote: string = `(skipped where ${SHARED_DATA} is not)`;
