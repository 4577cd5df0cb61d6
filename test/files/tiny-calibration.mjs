/** Keeps some calibrations, from the built package: to be killed. */
import { pathToFileURL } from "node:url";

const [folder, dist] = process.argv.slice(2);
const { cachedPassCosts } = await import(pathToFileURL(`${dist}/generate/cost-store.js`));
for (let i = 0; i < 30; i++) {
  await cachedPassCosts(folder, ["model", i], async () => ({ costs: new Map([[1, 1 + i]]), verdict: "good" }));
}
