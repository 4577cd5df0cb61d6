/** A collection over a scripted model, from the built package, that waits a little before each pass: to be killed. */
import { pathToFileURL } from "node:url";

const [output, dist] = process.argv.slice(2);
const { runCollection } = await import(pathToFileURL(`${dist}/run.js`));
const { chaoticModel, scriptedSession } = await import(pathToFileURL(`${dist}/../runtime/scripted.js`));

const candidates = Array.from({ length: 12 }, (_, i) => ({
  dataId: `data_${i}`,
  promptIds: Int32Array.of(i, 2, 3 + i),
  labelIds: null,
}));
const info = {
  model: { name: "scripted", vocabSize: 40, weights: "w", tokenizer: "t" },
  settings: {
    ...{
      data: "made up",
      prompts: "p",
      precision: "fp32",
      threads: 1,
      blockSize: 4,
      maxNewTokens: 12,
      seed: 3,
      stopIds: [0],
    },
    ...{ augment: true, clean: true, requireEnd: false, maxPromptTokens: null, maxSequenceTokens: null },
  },
};
function slowSession() {
  const session = scriptedSession(chaoticModel(40));
  const forward = async (tokens) => {
    await new Promise((done) => setTimeout(done, 2));
    return session.forward(tokens);
  };
  return Object.create(session, { forward: { value: forward } });
}
for await (const { done } of runCollection(slowSession, candidates, { output, format: "parquet", info })) {
  process.stdout.write(`${done}\n`);
}
