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
      /** Per-frequency divisors as stored in the tensor `rope_freqs.weight` of GGUF files, `(headSize / 2,)`. */
      readonly type: "divisors";
      readonly divisors: readonly number[];
    };

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
  /** Tokens that a token can look back at, itself included; null for all. */
  readonly slidingWindow: number | null;
  /** The head is the transposed embedding. */
  readonly tiedHead: boolean;
  /** Query, key and value projections have biases (Qwen2; Llama with `attention_bias`). */
  readonly attentionBias: boolean;
  /** The output projection of attention has a bias (Llama with `attention_bias`). */
  readonly outputBias: boolean;
  /** RMS norms over each head's queries and keys before rotation (Qwen3). */
  readonly queryKeyNorm: boolean;
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
