/**
 * llama.cpp's greedy continuations of texts, as one JSON array of token ids each:
 * node llama-tokens.mjs FILE.gguf COUNT TEXT...
 */
import { basename, dirname } from "node:path";
import { open } from "./adapters/llama.mjs";

const [path, count, ...texts] = process.argv.slice(2);
const model = await open({ data: dirname(path), file: basename(path), threads: 2 });
const answers = [];
for (const text of texts) answers.push((await model.generate({ text }, Number(count))).tokens);
await model.close();
console.log(JSON.stringify(answers));
process.exit(0); // the binding keeps threads of its own
