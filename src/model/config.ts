/**
 * What a model is: sizes and constants of a decoder-only transformer of the Llama kind, after the checkpoint's own
 * vocabulary (`config.json`, GGUF metadata) has been read and checked. Knows no file format and no weights.
 */

/** How rotary frequencies are stretched to contexts longer than those of pre-training. */
export type RopeScaling =
  | { readonly type: "linear"; readonly factor: number }
  | {
      /** Llama 3: low frequencies divided by `factor`, high ones kept, those between interpolated. */
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalContextLength: number;
    }
  | {
      /** Low frequencies divided by `factor`, high ones kept, those between mixed (Peng et al., arXiv:2309.00071, section 3.2). */
      readonly type: "yarn";
      readonly factor: number;
      readonly originalContextLength: number;
      /** Turns within the original context above which a frequency is kept, and below which it is divided. */
      readonly fastTurns: number;
      readonly slowTurns: number;
      /** Rotated queries and keys are multiplied by it. */
      readonly magnitude: number;
      /** Whether the bounds are rounded to whole channels. */
      readonly wholeChannels: boolean;
    }
  | {
      /** Divisors of each frequency for contexts up to the original length and for longer ones (arXiv:2402.13753). */
      readonly type: "longrope";
      readonly short: readonly number[]; // (rotarySize / 2,)
      readonly long: readonly number[];
      readonly originalContextLength: number;
      /** The length up to which those for longer contexts hold. */
      readonly longContextLength: number;
      readonly magnitude: number;
    }
  | {
      /** Per-frequency divisors as stored in the tensor `rope_freqs.weight` of GGUF files, `(rotarySize / 2,)`. */
      readonly type: "divisors";
      readonly divisors: readonly number[];
    };

export type NormPlace = "before" | "after" | "both";
export type Activation = "silu" | "gelu";

export interface ModelConfig {
  /** One of `families/`: all are Llama with differences, which the other fields spell out. */
  readonly family: string;
  readonly vocabSize: number; // V
  readonly hiddenSize: number; // D
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly intermediateSize: number;
  /** Tokens that the model can see: prompt and completion together. */
  readonly contextLength: number;
  readonly normEpsilon: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | null;
  /** Tokens that a token can look back at, itself included, in layers with a window; null for all. */
  readonly slidingWindow: number | null;
  /** By layer, whether it has the window. Default: all have. */
  readonly slidingLayers?: readonly boolean[];
  /** The rotary base of layers with a window, whose frequencies are not scaled (Gemma 3). Default: that of the others. */
  readonly slidingRopeTheta?: number;
  /** By layer, whether queries and keys are rotated (SmolLM3). Default: in all. */
  readonly rotatedLayers?: readonly boolean[];
  /** Channels of each head that are rotated, the first ones (Phi). Default: all. */
  readonly rotarySize?: number;
  /** The head is the transposed embedding. */
  readonly tiedHead: boolean;
  /** Query, key and value projections have biases (Qwen2; Llama with `attention_bias`). */
  readonly attentionBias: boolean;
  /** The output projection of attention has a bias (Llama with `attention_bias`). */
  readonly outputBias: boolean;
  /** RMS norms over queries and keys before rotation: over each head's (Qwen3), or see `wideQueryKeyNorm`. */
  readonly queryKeyNorm: boolean;
  /** Those norms are over all heads together (OLMo 2). */
  readonly wideQueryKeyNorm?: boolean;
  /** Where the norms of attention and of the feed-forward block are: before them, behind them (OLMo 2) or both (Gemma). */
  readonly normPlace?: NormPlace;
  /** Norms multiply by 1 + weight (Gemma). */
  readonly normsAddOne?: boolean;
  /** What gates the feed-forward block; GELU by its tanh approximation. Default: silu. */
  readonly activation?: Activation;
  /** Queries, keys and values are one matrix, gate and up another (Phi). */
  readonly packedProjections?: boolean;
  /** What the vectors of tokens are multiplied by (Gemma, Granite). Default: 1. */
  readonly embeddingScale?: number;
  /** What is added to the stream is multiplied by it (Granite). Default: 1. */
  readonly residualScale?: number;
  /** What attention's scores are multiplied by. Default: 1 / √headSize. */
  readonly attentionScale?: number;
  /** What logits are multiplied by (Granite). Default: 1. */
  readonly logitScale?: number;
  /** Scores and logits x become cap · tanh(x / cap) (Gemma 2). Default: they stay as they are. */
  readonly attentionCap?: number;
  readonly logitCap?: number;
  readonly bosTokenId: number | null;
  /** Every id that ends a completion; generation configs list several. */
  readonly eosTokenIds: readonly number[];
  /**
   * What a CLLM was trained to see where nothing is guessed yet; decoders draft it. Absent for models that say nothing of it,
   * whose drafts are tokens of the prompt.
   */
  readonly draftTokenId?: number;
  /** It was also trained to see that right behind a prompt, so that a first draft can ride in the prompt's own pass. */
  readonly leadingDraft?: boolean;
}
