/**
 * Loads a GGUF file in llama.cpp, writes the first token after a prompt and ends: what `bench/loading.ts` compares with.
 * Arguments: the file, the prompt, the threads.
 */
import { basename, dirname, resolve } from "node:path";
import { open } from "./adapters/llama.mjs";

const [file, text, threads] = process.argv.slice(2);
const path = resolve(file);
const contender = await open({ data: dirname(path), file: basename(path), threads: Number(threads) });
const { tokens } = await contender.generate({ text }, 1);
process.stdout.write(`${tokens[0]}\n`, () => process.exit(0)); // unloading is not what is measured
