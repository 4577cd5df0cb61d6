/**
 * What a Hugging Face directory says about its special tokens, outside of the model's configuration: their texts in
 * `tokenizer_config.json` and `special_tokens_map.json`, their ids in `tokenizer.json`. Builds no tokenizer; reads no files.
 */

type Json = Readonly<Record<string, unknown>>;

/** A special token's text; the files write it as a string or as an object with `content`. */
export function specialToken(config: object, key: string): string | null {
  const entry = (config as Json)[key];
  if (typeof entry === "string") return entry;
  const content = typeof entry === "object" && entry !== null ? (entry as Json)["content"] : null;
  return typeof content === "string" ? content : null;
}

/** `tokenizer_config.json` with the special tokens that only `special_tokens_map.json` names. */
export function withSpecialTokens(tokenizerConfig: Json, map: Json | null): Json {
  const missing = Object.entries(map ?? {}).filter(([key]) => (tokenizerConfig[key] ?? null) === null);
  return missing.length === 0 ? tokenizerConfig : { ...tokenizerConfig, ...Object.fromEntries(missing) };
}

/**
 * Ids of the end-of-sequence tokens that the tokenizer's files name. A fine-tune to conversations often has its end of turn
 * there and nowhere else: `config.json` still has the base model's end.
 */
export function tokenizerEndIds(tokenizerJson: Json, configs: readonly (Json | null)[]): number[] {
  const texts = new Set(configs.map((config) => config && specialToken(config, "eos_token")));
  return [...texts].map((text) => text && idOf(tokenizerJson, text)).filter((id) => typeof id === "number");
}

function idOf({ added_tokens: added, model }: Json, text: string): number | null {
  const token = Array.isArray(added) ? added.find((entry) => entry?.content === text) : undefined;
  const vocabulary = (model as Json | undefined)?.["vocab"];
  const listed = isObject(vocabulary) && Object.hasOwn(vocabulary, text) ? vocabulary[text] : null;
  const id = token?.id ?? listed;
  return Number.isInteger(id) ? (id as number) : null;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
