/** Prints what the built package at the path that is given writes, in each precision: the same in every runtime. */
import { pathToFileURL } from "node:url";

const [dist, path, prompt] = process.argv.slice(2);
const { load, CllmError } = await import(pathToFileURL(`${dist}/index.js`).href);
const written = {};
for (const precision of ["fp32", "int8", "int4"]) {
  const model = await load(path, { precision, threads: 1 });
  for (const decoder of ["ar", "jacobi", "lookahead", "auto"]) {
    let text = "";
    const stream = model.stream({ prompt, decoder });
    for await (const chunk of stream) text += chunk.text;
    const { tokens } = await stream.result;
    written[`${precision} ${decoder}`] = [text, ...tokens];
  }
  const sampled = await model.generate({ prompt, decoder: "jacobi", temperature: 1, seed: 7 });
  written[`${precision} sampled`] = [sampled.text, ...sampled.tokens];
  const wrong = await model.generate({ prompt, decoder: "jacobi", maxNewTokens: -1 }).catch((error) => error);
  written[`${precision} refuses`] = [wrong instanceof CllmError, wrong.code];
  await model.dispose();
}
console.log(JSON.stringify(written));
