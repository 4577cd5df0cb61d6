/**
 * Decoders by name: which one a request means, with which options of its own. Knows nothing of text.
 */
import * as z from "zod";
import { ar } from "../decode/ar.ts";
import { type AutoMemory, auto } from "../decode/auto.ts";
import type { DraftPolicy } from "../decode/drafts.ts";
import { jacobi } from "../decode/jacobi.ts";
import { lookahead } from "../decode/lookahead.ts";
import { multiblock } from "../decode/multiblock.ts";
import { promptLookup } from "../decode/prompt-lookup.ts";
import type { DecodeOptions, Decoder, Iteration } from "../decode/types.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import { check, type Fields } from "./check.ts";
import { DECODERS, type DecoderName, type DecoderOptions, type NamedDecoder, type PassCosts } from "./types.ts";

/** What `auto` decides by: what passes cost, and what earlier requests taught. */
export interface AutoKnowledge {
  readonly costs: PassCosts;
  /** Of passes with draft rows, where the model has a draft adapter. */
  readonly draftCosts?: PassCosts | undefined;
  readonly memory: AutoMemory;
}

/** Starts on a session, behind a prompt. Only `auto` needs knowledge. */
export type StartDecoder = (
  session: Session,
  prompt: TokenIds,
  limits: DecodeOptions,
  knowledge: AutoKnowledge | null,
) => AsyncGenerator<Iteration, void, void>;

/** A decoder, chosen and checked. */
export interface ChosenDecoder {
  /** null for one of the caller's own. */
  readonly name: DecoderName | null;
  readonly start: StartDecoder;
}

const count = (least: number, most = Number.MAX_SAFE_INTEGER): z.ZodOptional<z.ZodInt> =>
  z.int().min(least).max(most).optional();
const blockSize = count(1, 256);
const draft = z.custom<DraftPolicy>((value) => typeof value === "function", "a function that opens a draft").optional();

/** The options that each decoder has of its own. */
const OPTIONS: { readonly [N in DecoderName]: Fields<DecoderOptions[N]> } = {
  auto: { blockSize, draft },
  ar: {},
  jacobi: { blockSize, form: z.enum(["window", "block"]).optional(), draft, draftRows: count(0, 256) },
  lookahead: { window: count(1, 32), ngram: count(2, 8), candidates: count(1, 32) },
  "prompt-lookup": { blockSize, maxNgram: count(1, 16) },
  multiblock: {
    blockSize,
    blocks: count(1, 16),
    ratio: z.number().gt(0).max(1).optional(),
    poolSize: count(0, 64),
    draft,
  },
};

/** What `decoder` may be, by its form. The options of a name are checked by `chooseDecoder`, which can say what they are. */
export const decoderSchema: z.ZodType<DecoderName | NamedDecoder | Decoder> = z.union(
  [
    z.enum(DECODERS),
    z.looseObject({ name: z.enum(DECODERS) }) as unknown as z.ZodType<NamedDecoder>,
    z.custom<Decoder>((value) => typeof value === "function"),
  ],
  `one of ${DECODERS.join(", ")}, an object { name, ...options } or a decoder`,
);

/**
 * The decoder that a request means. `blockSize` and `jacobiForm` of the request hold where the decoder has such an option and is
 * not told otherwise. Throws `usage` for an option that the decoder does not have, or a value that it cannot take.
 */
export function chooseDecoder(request: {
  readonly decoder: DecoderName | NamedDecoder | Decoder;
  readonly blockSize: number | undefined;
  readonly jacobiForm: "window" | "block";
}): ChosenDecoder {
  const { decoder } = request;
  if (typeof decoder === "function") return { name: null, start: (on, prompt, limits) => decoder(on, prompt, limits) };
  const { name, ...given } = typeof decoder === "string" ? { name: decoder } : decoder;
  const nameOf = (key: string): string => `decoder.${key}`;
  const own = check(z.strictObject(OPTIONS[name]), given, { what: `decoder ${name}`, nameOf });
  const options = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
  const size = request.blockSize === undefined ? {} : { blockSize: request.blockSize };
  return { name, start: startOf(name, { ...size, ...options }, request.jacobiForm) };
}

function startOf(name: DecoderName, own: object, form: "window" | "block"): StartDecoder {
  switch (name) {
    case "ar":
      return (on, prompt, limits) => ar(on, prompt, limits);
    case "jacobi":
      return (on, prompt, limits) => jacobi(on, prompt, { form, ...own, ...limits });
    case "lookahead":
      return (on, prompt, limits) => lookahead(on, prompt, { ...own, ...limits });
    case "prompt-lookup":
      return (on, prompt, limits) => promptLookup(on, prompt, { ...own, ...limits });
    case "multiblock":
      return (on, prompt, limits) => multiblock(on, prompt, { ...own, ...limits });
    case "auto":
      return (on, prompt, limits, knowledge) => auto(on, prompt, { ...own, ...limits, ...knowledge! });
  }
}
