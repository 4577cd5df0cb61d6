/**
 * A model opened and written again, as a GGUF file and as a Hugging Face directory. A program of your own imports from "cllm".
 */
import { join } from "node:path";
import { openCheckpoint, toGgufTokenizer, toHuggingFaceTokenizer, writeGguf, writeHuggingFace } from "../src/index.ts";

/** Writes both into `folder`; returns their paths. */
export async function main(pathOrId: string, folder: string): Promise<{ gguf: string; directory: string }> {
  const gguf = join(folder, "model.gguf");
  const directory = join(folder, "model");
  const checkpoint = await openCheckpoint(pathOrId);
  try {
    const { name, config, weights, tokenizer } = checkpoint;
    const forGguf = { name, config, weights, tokenizer: toGgufTokenizer(tokenizer, config.vocabSize) };
    await writeGguf(gguf, forGguf, { dtype: "F32" });
    const forDirectory = { config, weights, tokenizer: toHuggingFaceTokenizer(tokenizer, config) };
    await writeHuggingFace(directory, forDirectory, { dtype: "F32" });
  } finally {
    await checkpoint.close();
  }
  return { gguf, directory };
}
