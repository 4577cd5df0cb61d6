/**
 * Who can run: each contender's adapter, precision and options, and the pairs whose ratio is a figure of the benchmark.
 * An adapter exports `open(options)`, which gives `{ version, generate(prompt, maxNewTokens), close() }`; it decodes
 * greedily, one token per pass, and never stops early. Knows nothing about processes, prompts or statistics.
 */

/** name: { adapter: its module, precision: as the table shows it, options: what `open` gets beside data and threads }. */
export const CONTENDERS = {
  "cllm-fp32": { adapter: "./adapters/cllm.mjs", precision: "fp32", options: { precision: "fp32" } },
  "cllm-int8": { adapter: "./adapters/cllm.mjs", precision: "int8", options: { precision: "int8" } },
  "cllm-int4": { adapter: "./adapters/cllm.mjs", precision: "int4", options: { precision: "int4" } },
  "cllm-stored": {
    adapter: "./adapters/cllm.mjs",
    precision: "own",
    options: { precision: "stored", file: "source.gguf" },
  },
  "transformers-fp32": { adapter: "./adapters/transformers.mjs", precision: "fp32", options: { dtype: "fp32" } },
  "transformers-q4": { adapter: "./adapters/transformers.mjs", precision: "q4", options: { dtype: "q4" } },
  "llama-q8": { adapter: "./adapters/llama.mjs", precision: "Q8_0", options: { file: "model.Q8_0.gguf" } },
  "llama-source": { adapter: "./adapters/llama.mjs", precision: "own", options: { file: "source.gguf" } },
};

/** Ratios ours / peer, with what the project asks of them. */
export const RATIOS = [
  { ours: "cllm-fp32", peer: "transformers-fp32", must: 1.0, aim: 1.2 },
  { ours: "cllm-int8", peer: "transformers-q4", must: 0.9, aim: 1.2 },
  { ours: "cllm-int8", peer: "llama-q8", must: 1.0, aim: 1.2 },
  { ours: "cllm-stored", peer: "llama-source", must: 1.0, aim: 1.2 },
];
