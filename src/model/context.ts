/** How many tokens a model can see, and fewer or more of them where that is asked for. Knows no weights. */
import { CllmError } from "../error.ts";
import type { ModelConfig } from "./config.ts";

/**
 * Most tokens that the model can see, however it is loaded: with LongRoPE more than by default, see `withContextLength`. Prompt and
 * completion together.
 */
export function longestContext({
  contextLength,
  ropeScaling,
}: Pick<ModelConfig, "contextLength" | "ropeScaling">): number {
  return ropeScaling?.type === "longrope" ? Math.max(contextLength, ropeScaling.longContextLength) : contextLength;
}

/**
 * The configuration with so many tokens that it can see. With LongRoPE (arXiv:2402.13753, section 3.3) a length beyond the original one
 * has the factors for long texts hold from the first token on: keys that were rotated by others would not fit later ones. Undefined
 * leaves it as it is. Throws `usage` for more than the model can see.
 */
export function withContextLength(config: ModelConfig, length: number | undefined): ModelConfig {
  if (length === undefined || length === config.contextLength) return config;
  const most = longestContext(config);
  if (length <= most) return { ...config, contextLength: length };
  throw new CllmError("usage", `contextLength is ${length}; the model can see ${most} tokens: give at most that many`);
}
