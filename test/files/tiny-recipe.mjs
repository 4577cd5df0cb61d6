/** The recipe of the model that ships on a scale of seconds, from the built package: to be killed. */
import { pathToFileURL } from "node:url";

const [folder, dist] = process.argv.slice(2);
const { makeTextToSql, SMALL } = await import(pathToFileURL(`${dist}/recipes/text-to-sql.js`));
const small = { checkpointEvery: 1, batch: 1, sequenceLength: 512 };
const scale = {
  ...{ vocabSize: 400, hiddenSize: 32, layers: 1, heads: 2, kvHeads: 1, intermediateSize: 48, corpus: 300, heldOut: 2 },
  ar: { ...SMALL.ar, ...small, steps: 4 },
  consistency: { ...SMALL.consistency, ...small, steps: 3, pointsPerExample: 2 },
};
for await (const _ of makeTextToSql(folder, scale));
