/** The card of a draft adapter: what it is for, and what must not be done with it. Knows no training. */
import type { Adapter } from "./types.ts";

/** Content of `README.md`. */
export function draftCard({ name, baseModel, baseAdapter, modules }: Adapter): string {
  const title = name.split(/[\\/]/).findLast((part) => part !== "") ?? name;
  const base = baseModel ?? "a model";
  const ranks = [...new Set(Array.from(modules.values(), ({ rank }) => rank))].join(", ");
  const merged = baseAdapter === undefined ? "" : ` with the adapter \`${baseAdapter}\` merged in`;
  const given = baseAdapter === undefined ? "" : ` --adapter ${baseAdapter}`;
  return `---
${baseModel === null ? "" : `base_model: ${baseModel}\n`}library_name: peft
tags: [cllm, draft-adapter, jacobi-decoding, lora]
---

# ${title}: a draft adapter

It guesses the next tokens of ${base}${merged}. The unchanged model checks each guess in the same pass, so the text is the model's own.
It is a LoRA of rank ${ranks} (PEFT).

\`\`\`sh
cllm generate --model ${base}${given} --draft-adapter ${title} "Hello"
\`\`\`

## Never merge it

PEFT, transformers and versions of cllm without draft adapters load this folder as a plain LoRA.
Merged, or switched on for every token, it is another model: its answers are not those of ${base}.
\`cllm.json\` says \`draft_adapter\`, and cllm refuses it as \`--adapter\`.
`;
}
