/**
 * transformers.js on the ONNX files of the data folder, on the CPU. Reads local files only.
 */
import { basename, dirname } from "node:path";
import { AutoModelForCausalLM, AutoTokenizer, env } from "@huggingface/transformers";

/** Point transformers.js at the data folder and nowhere else; gives the model's name there. */
export function useLocalFiles(data) {
  env.allowRemoteModels = false;
  env.useFSCache = false;
  env.localModelPath = dirname(data);
  return basename(data);
}

export async function open({ data, threads, dtype }) {
  const name = useLocalFiles(data);
  const tokenizer = await AutoTokenizer.from_pretrained(name);
  const model = await AutoModelForCausalLM.from_pretrained(name, {
    dtype,
    device: "cpu",
    session_options: { intraOpNumThreads: threads, interOpNumThreads: 1 },
  });
  return {
    version: env.version,
    async generate({ text }, maxNewTokens) {
      const times = []; // of the prompt's echo, then of every token
      const start = performance.now();
      const inputs = tokenizer(text, { add_special_tokens: false });
      const sequences = await model.generate({
        ...inputs,
        max_new_tokens: maxNewTokens,
        do_sample: false,
        eos_token_id: null, // write on past the end of the text
        streamer: { put: () => times.push(performance.now()), end: () => {} },
      });
      const totalMs = performance.now() - start;
      const promptTokens = inputs.input_ids.dims[1];
      return {
        tokens: Array.from(sequences.data.slice(promptTokens), Number),
        promptTokens,
        cachedTokens: 0,
        prefillMs: times[1] - start,
        decodeMs: times.at(-1) - times[1],
        totalMs,
      };
    },
    close: () => model.dispose(),
  };
}
