/** The card of Medusa heads: what they are for and how they are used. Knows no training. */
import type { MedusaShape } from "../../model/medusa.ts";

/** Content of `README.md`. */
export function medusaCard(folder: string, shape: MedusaShape, base: string, adapter: string | null): string {
  const title = folder.split(/[\\/]/).findLast((part) => part !== "") ?? folder;
  const merged = adapter === null ? "" : ` with the adapter \`${adapter}\` merged in`;
  const given = adapter === null ? "" : ` --adapter ${adapter}`;
  const linear = shape.ownLinear ? "a matrix to the vocabulary each" : "the model's own matrix to the vocabulary";
  return `---
base_model: ${base}
tags: [cllm, medusa, speculative-decoding]
---

# ${title}: Medusa heads

${shape.heads} heads with ${shape.layers} residual block${shape.layers === 1 ? "" : "s"} each and ${linear}, for ${base}${merged}.
They guess the tokens behind the next one. The model checks each guess, so the text is the model's own.

\`\`\`sh
cllm generate --model ${base}${given} --medusa-heads ${title} --decoder medusa "Hello"
\`\`\`

The layout is that of FasterDecoding's Medusa (arXiv:2401.10774): \`config.json\` and \`medusa_lm_head.safetensors\`.
`;
}
