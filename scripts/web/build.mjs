/** Fills the folder that is named with the bundles for browsers: a process of its own, which set-up starts once all is installed. */
import { buildWeb } from "./bundle.mjs";

await buildWeb(process.argv[2]);
