/**
 * Decoders by name: which one a request means and with which of its options. Knows nothing of text.
 */
import { ar } from "../decode/ar.ts";
import { type AutoMemory, auto } from "../decode/auto.ts";
import { jacobi } from "../decode/jacobi.ts";
import { lookahead } from "../decode/lookahead.ts";
import { multiblock } from "../decode/multiblock.ts";
import { promptLookup } from "../decode/prompt-lookup.ts";
import { sampled } from "../decode/sampling.ts";
import type { DecodeOptions, Iteration } from "../decode/types.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import type { Request } from "./options.ts";
import type { PassCosts } from "./types.ts";

/** What `auto` decides by: what passes cost, and what earlier requests taught. */
export interface AutoKnowledge {
  readonly costs: PassCosts;
  readonly memory: AutoMemory;
}

/**
 * Begins to decode after `prompt` as the request says; only `auto` needs knowledge. Sampling is the session's business, so
 * that every decoder samples the same tokens.
 */
export function startDecoder(
  request: Request,
  session: Session,
  prompt: TokenIds,
  limits: DecodeOptions,
  knowledge: AutoKnowledge | null,
): AsyncGenerator<Iteration, void, void> {
  const size = request.blockSize === undefined ? {} : { blockSize: request.blockSize };
  const on = sampled(session, request);
  switch (request.decoder) {
    case "ar":
      return ar(on, prompt, limits);
    case "jacobi":
      return jacobi(on, prompt, { ...limits, ...size, form: request.jacobiForm });
    case "lookahead":
      return lookahead(on, prompt, limits);
    case "prompt-lookup":
      return promptLookup(on, prompt, { ...limits, ...size });
    case "multiblock":
      return multiblock(on, prompt, { ...limits, ...size });
    case "auto":
      return auto(on, prompt, { ...limits, ...size, ...knowledge! });
  }
}
