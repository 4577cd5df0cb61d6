/** The families that have a graph: the one list that a new one is added to. */
import type { Family } from "./family.ts";
import { gemma2 } from "./gemma2.ts";
import { gemma3 } from "./gemma3.ts";
import { granite } from "./granite.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { olmo2 } from "./olmo2.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";
import { smollm3 } from "./smollm3.ts";

export const FAMILIES: readonly Family[] = [
  ...[llama, mistral, qwen2, qwen3],
  ...[smollm3, granite, phi3, olmo2, gemma2, gemma3],
];

/** What `config.json` calls them. */
export const FAMILY_NAMES: readonly string[] = FAMILIES.map(({ name }) => name);

/** What GGUF files call them, each once. */
export const ARCHITECTURES: readonly string[] = [...new Set(FAMILIES.map(({ gguf }) => gguf.architecture))];

const byName = new Map(FAMILIES.map((family) => [family.name, family]));

/** The family of a configuration. */
export function familyOf({ family }: { readonly family: string }): Family {
  const found = byName.get(family);
  if (found === undefined) throw new RangeError(`no family is called ${family}`);
  return found;
}

/** The family that reads GGUF files of an architecture: the first of those that share it. */
export function familyOfArchitecture(architecture: string): Family | undefined {
  return FAMILIES.find(({ gguf }) => gguf.architecture === architecture);
}
