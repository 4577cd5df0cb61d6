/**
 * `cllm` in a browser: what `import { load } from "cllm"` gives there, on `onnxruntime-web`. The functions are those of Node. It runs
 * models in the thread that calls it, so call it in a worker, or let `cllm/worker` make one. Collecting, training, evaluating and
 * serving are Node's.
 */
export {
  ar,
  auto,
  type Decoder,
  type DraftPolicy,
  type Iteration,
  jacobi,
  lookahead,
  multiblock,
  promptLookup,
  type Session,
  sampled,
  type TokenIds,
  tokensPerForward,
} from "../decode/index.ts";
export { CllmError, type ErrorCode } from "../error.ts";
export { measurePassCosts } from "../generate/calibrate.ts";
export { load } from "../generate/load.ts";
export {
  type Chunk,
  DECODERS,
  type DecoderName,
  type FinishReason,
  type GenerateOptions,
  type Generation,
  type GenerationStream,
  type LanguageModel,
  type LoadOptions,
  type Message,
  type Pass,
  type PassCosts,
  PLAIN_DECODERS,
  type Progress,
  type PromptInput,
  type Sampling,
  type Stats,
} from "../generate/types.ts";
export { PRECISIONS, type Precision } from "../model/precision.ts";
export { engineFilesAt, forgetCheckpoints } from "./browser.ts";
