/**
 * Tokens that end a completion, by the names that model families give them. A GGUF file names one end-of-sequence id, and
 * that is often the base model's: a chat model's end of turn is known by its text alone. The names are those of llama.cpp
 * (`special_eog_ids` in its `llama-vocab.cpp`). Knows no metadata.
 */

const END_NAMES: ReadonlySet<string> = new Set([
  // the end of a turn, a message or a call
  ...["<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|calls|>", "<|flush|>", "<end_of_turn>"],
  ...["<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "<end_of_utterance>", "<turn|>", "<|tool_response>", "[e~["],
  // the end of a text
  ...["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[EOS]", "<\uff5cend\u2581of\u2581sentence\uff5c>"],
  // padding, and what separates the files of a repository, in models that fill in the middle
  ...["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"],
  ...["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>"],
]);

/**
 * Names that end nothing in a vocabulary that has all of the others: there `<|end|>` closes a thought between two
 * messages, and `</s>` is text.
 */
const EXCEPTIONS: readonly (readonly [name: string, beside: readonly string[]])[] = [
  ["<|end|>", ["<|return|>", "<|call|>"]],
  ["<|end|>", ["<|return|>", "<|calls|>"]],
  ["<|end|>", ["<|call|>", "<|flush|>"]],
  ["<|end|>", ["<|calls|>", "<|flush|>"]],
  ["</s>", ["<|tool_response>"]],
];

/** The ids of tokens whose name says that they end a completion, in order. */
export function endIdsByName(tokens: readonly string[]): number[] {
  const ids = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (END_NAMES.has(token)) ids.set(token, id);
  });
  const excepted = EXCEPTIONS.filter(([, beside]) => beside.every((name) => ids.has(name))).map(([name]) => name);
  for (const name of excepted) ids.delete(name);
  return [...ids.values()].sort((a, b) => a - b);
}
