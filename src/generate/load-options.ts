/** How a model is opened: what `load` takes beside the path. */
import type { Precision } from "../model/precision.ts";
import type { Device, Dtype } from "./dtype.ts";

/** What is being done while it takes long: for progress bars. `total` is 0 while unknown. */
export interface Progress {
  readonly stage: "download" | "quantize" | "compile" | "calibrate";
  /** What of it, for people: a file's or a layer's name. */
  readonly what: string;
  readonly done: number;
  readonly total: number;
  readonly unit: "bytes" | "parts" | "graphs" | "passes";
}

export interface LoadOptions {
  /**
   * Arithmetic of the matrix products: `fp32` exact, `int8` fast and faithful (the default), `int4` for big models, `f16` on a GPU,
   * `stored` the blocks of a GGUF file as they are, without quantizing them a second time (on a processor).
   */
  readonly precision?: Precision | undefined;
  /** Another name of `precision`, with transformers.js' values: `q8` is `int8`, `q4` is `int4`, `fp16` is `f16`. One of the two is enough. */
  readonly dtype?: Dtype | undefined;
  /**
   * Where the model runs. `webgpu`, or `gpu`, is a GPU by ONNX Runtime's WebGPU: every decoder gives the tokens of `ar` there, which may
   * differ from the processor's. It is tried on the model as it loads, and refused where it fails. `auto` takes a GPU that is exact and
   * faster, else the processor, and says why. Default: `cpu`.
   */
  readonly device?: Device | undefined;
  /** Threads of ONNX Runtime; default: the machine's cores, at most 8. */
  readonly threads?: number | undefined;
  /**
   * Tokens of prompt and answer together that a sequence has room for, at most what the model can see. With LongRoPE (Phi) more than the
   * original length is a choice: the factors for long texts then hold for all texts, short ones too. Default: what the model can see,
   * with LongRoPE the original length.
   */
  readonly contextLength?: number | undefined;
  /** Never touch the network: only files that are there. Default: false, or true where `HF_HUB_OFFLINE=1`. */
  readonly offline?: boolean | undefined;
  /** Branch, tag or commit of a hub repository. Default: `main`. */
  readonly revision?: string | undefined;
  /**
   * Where downloads, prepared models and calibrations are kept. Default: `CLLM_CACHE`, else the hub's and the platform's cache
   * folders.
   */
  readonly cacheDir?: string | undefined;
  /**
   * Keep the model as it is prepared for this machine, so that it loads in a moment the next time. Default: true; without it the
   * weights are prepared in memory.
   */
  readonly cache?: boolean | undefined;
  /** Gigabytes that prepared models may take; those that were used least recently go first. Default: 20. */
  readonly cacheLimit?: number | undefined;
  /** A PEFT directory with a low-rank adapter, merged into the weights as they are read. Default: none. */
  readonly adapter?: string | undefined;
  /**
   * A draft adapter (see `cllm train --lossless`): a PEFT directory, or the name of one of the project's. It guesses, and the model decides
   * in the same pass, so the text is the model's own. `adapter` is merged all the same. Default: none.
   */
  readonly draftAdapter?: string | undefined;
  /**
   * A smaller model with the same vocabulary, which guesses what this one then checks: a path or hub id. `auto` uses it where it pays. It
   * has the precision, device, threads and slots of this one. Default: none.
   */
  readonly draftModel?: string | undefined;
  /**
   * A folder of Medusa heads (see `cllm train --objective medusa`), or released ones: `config.json` and `medusa_lm_head.safetensors`. They
   * guess for the decoders `medusa` and `auto`, and the model decides, so the text is the model's own. Default: none.
   */
  readonly medusaHeads?: string | undefined;
  /**
   * A folder with counts of what follows what in the model's answers (see `cllm ngrams`), or the name of one of the project's draft
   * adapters, which have their own. `auto` and `suffix` draft from them from the first request on, and no text depends on them. Default:
   * those in the folder of the draft adapter, or else of the model without an adapter, if there are some.
   */
  readonly ngrams?: string | undefined;
  /**
   * Megabytes for earlier answers, which `auto` and `suffix` draft from; what came least often leaves. 0 keeps none. Default: 16, some
   * 200 000 tokens.
   */
  readonly suffixMemory?: number | undefined;
  /** Which of the chat templates that the checkpoint names, such as `tool_use`. Default: the one named `default`. */
  readonly template?: string | undefined;
  /** Variables of the chat template for every request, such as `{ enable_thinking: false }`; a request's own win. */
  readonly templateOptions?: Readonly<Record<string, unknown>> | undefined;
  /** Hub access token. Default: `HF_TOKEN`, else the one that `hf auth login` stored. */
  readonly token?: string | undefined;
  /** Sequences whose KV caches are kept after their requests, for prompts that go on from them. Default: 1. */
  readonly keep?: number | undefined;
  /**
   * Requests whose passes run together where they are asked for at once. With more than 1, weights that are not kept prepared are
   * in memory twice. Default: 1.
   */
  readonly slots?: number | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /**
   * Takes what was wrong in the files and passed over, one line each and each once in a process. Default: Node's own
   * warnings on standard error.
   */
  readonly onWarning?: ((message: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}
