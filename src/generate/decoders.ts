/**
 * Decoders by name: which one a request means and with which of its options. Knows nothing of text.
 */
import { ar } from "../decode/ar.ts";
import { auto } from "../decode/auto.ts";
import { jacobi } from "../decode/jacobi.ts";
import { lookahead } from "../decode/lookahead.ts";
import { multiblock } from "../decode/multiblock.ts";
import { promptLookup } from "../decode/prompt-lookup.ts";
import { sampled } from "../decode/sampling.ts";
import type { DecodeOptions, Iteration } from "../decode/types.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import type { Request } from "./options.ts";
import type { PassCosts } from "./types.ts";

/**
 * Begins to decode after `prompt` as the request says. `costs` is what `auto` decides by; the others need none. Sampling
 * is the session's business, so that every decoder samples the same tokens.
 */
export function startDecoder(
  request: Request,
  session: Session,
  prompt: TokenIds,
  limits: DecodeOptions,
  costs: PassCosts | null,
): AsyncGenerator<Iteration, void, void> {
  const { blockSize, jacobiForm: form } = request;
  const on = sampled(session, request);
  switch (request.decoder) {
    case "ar":
      return ar(on, prompt, limits);
    case "jacobi":
      return jacobi(on, prompt, { ...limits, blockSize, form });
    case "lookahead":
      return lookahead(on, prompt, limits);
    case "prompt-lookup":
      return promptLookup(on, prompt, { ...limits, blockSize });
    case "multiblock":
      return multiblock(on, prompt, { ...limits, blockSize });
    case "auto":
      return auto(on, prompt, { ...limits, blockSize, costs: costs! });
  }
}
