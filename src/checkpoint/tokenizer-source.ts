/**
 * What a checkpoint says about its tokenizer and chat template, as read and checked for form: the seam between
 * checkpoints and text. Builds no tokenizer and renders no template; end-of-sequence ids are in the model's config.
 */

/** `tokenizer.json` and what goes with it in a Hugging Face directory. */
export interface HuggingFaceTokenizerSource {
  readonly kind: "huggingface";
  /** The content of `tokenizer.json`. */
  readonly tokenizerJson: object;
  /** The content of `tokenizer_config.json`; empty where there is none. */
  readonly tokenizerConfig: object;
  /**
   * The Jinja template of conversations: `chat_template.jinja`, else `chat_template.json`, else the entry of
   * `tokenizer_config.json` (the one named "default" where it lists several); null where there is none.
   */
  readonly chatTemplate: string | null;
  /** The templates by name, where the checkpoint names several. */
  readonly namedTemplates?: NamedTemplates | undefined;
}

export type NamedTemplates = Readonly<Record<string, string>>;

/** The vocabulary and settings in the metadata of a GGUF file; null where the file says nothing. */
export interface GgufTokenizerSource {
  readonly kind: "gguf";
  /** `tokenizer.ggml.model`: "gpt2" for byte-level BPE, "llama" for SentencePiece-style. */
  readonly model: string;
  /** `tokenizer.ggml.pre`: the name of the pre-tokenizer, "smollm", "llama-bpe", "qwen2", ... */
  readonly pre: string | null;
  /** Every token's text, by id. */
  readonly tokens: readonly string[];
  /** One score per token, or null. */
  readonly scores: Float32Array | null;
  /** One type per token, or null: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte. */
  readonly tokenTypes: Int32Array | null;
  /** Merges of byte-level BPE, best first, each two parts with a space between. */
  readonly merges: readonly string[] | null;
  readonly bosTokenId: number | null;
  readonly eosTokenId: number | null;
  readonly unknownTokenId: number | null;
  readonly padTokenId: number | null;
  readonly addBos: boolean | null;
  readonly addEos: boolean | null;
  readonly addSpacePrefix: boolean | null;
  /** Tokens looked for in the text as it stands that take the white space behind them. Default: none. */
  readonly strippingIds?: readonly number[] | undefined;
  readonly chatTemplate: string | null;
  /** The templates by name, where the file names several: `tokenizer.chat_template.NAME`. */
  readonly namedTemplates?: NamedTemplates | undefined;
}

export type TokenizerSource = HuggingFaceTokenizerSource | GgufTokenizerSource;
