/**
 * The card of an exported model: a `README.md` with the metadata that the hub reads, and how to load it. Says only what
 * the export knows; whoever publishes the model adds the rest.
 */

export interface CardFacts {
  readonly title: string;
  /** The model that was exported. */
  readonly base: string;
  /** The adapter that was merged in, or null. */
  readonly adapter: string | null;
  readonly format: "huggingface" | "onnx";
  readonly dtype: string;
  readonly family: string;
}

export function modelCard({ title, base, adapter, format, dtype, family }: CardFacts): string {
  const hubId = /^[\w.-]+\/[\w.-]+$/.test(base);
  const library = format === "onnx" ? "onnxruntime" : "transformers";
  const header = [
    "---",
    `library_name: ${library}`,
    "pipeline_tag: text-generation",
    ...(hubId ? [`base_model: ${base}`] : []),
    `tags: [${family}]`,
    "---",
  ];
  const merged = adapter === null ? "" : `, with the adapter ${adapter} merged into its weights`;
  return `${header.join("\n")}

# ${title}

${base}${merged}, in ${dtype}. Written by \`cllm export\`.

${format === "onnx" ? ONNX : HUGGING_FACE}`;
}

const HUGGING_FACE = `\`\`\`python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
\`\`\`
`;

const ONNX = `\`model.onnx\`, with its weights in \`model.onnx_data\`, runs in ONNX Runtime, one sequence at a time. For S tokens after P
cached ones, P of 0 and more:

| input | shape | |
|---|---|---|
| \`input_ids\` | (1, S) int64 | |
| \`position_ids\` | (1, S) int64 | P, P + 1, ... |
| \`attention_mask\` | (1, P + S) int64 | ones; 0 hides a place |
| \`past_key_values.N.key\`, \`past_key_values.N.value\` | (1, key-value heads, P, head size) float32 | of every layer N |

| output | shape | |
|---|---|---|
| \`logits\` | (1, S, vocabulary) float32 | |
| \`next_tokens\` | (1, S) int64 | the greedy next tokens |
| \`present.N.key\`, \`present.N.value\` | (1, key-value heads, P + S, head size) float32 | the next pass's past |
`;
