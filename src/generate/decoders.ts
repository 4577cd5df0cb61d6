/**
 * Decoders by name: which one a request means, with which options of its own. Knows nothing of text.
 */
import * as z from "zod";
import { ar } from "../decode/ar.ts";
import type { AskedRecord } from "../decode/asked-draft.ts";
import { auto } from "../decode/auto.ts";
import type { DraftPolicy } from "../decode/drafts.ts";
import type { HeadRecord } from "../decode/head-record.ts";
import { jacobi } from "../decode/jacobi.ts";
import { lookahead } from "../decode/lookahead.ts";
import { medusa } from "../decode/medusa.ts";
import { multiblock } from "../decode/multiblock.ts";
import { fromPrediction } from "../decode/prediction.ts";
import { promptLookup } from "../decode/prompt-lookup.ts";
import { speculative } from "../decode/speculative.ts";
import { fromSuffixes } from "../decode/suffix-draft.ts";
import type { SuffixView } from "../decode/suffix-memory.ts";
import type { DecodeOptions, Decoder, Iteration } from "../decode/types.ts";
import { CllmError } from "../error.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import { check, type Fields } from "./check.ts";
import {
  type AutoKnowledge,
  DECODERS,
  type DecoderName,
  type DecoderOptions,
  type NamedDecoder,
} from "./decoder-options.ts";

/** What there is to draft from for a request. */
export interface DraftSources {
  readonly prediction: TokenIds | null;
  /** Earlier answers; null where the model or the request keeps none. */
  readonly answers: SuffixView | null;
  /** The caller's own draft. */
  readonly draft: DraftPolicy | null;
  /** That of the draft model, with what is known of it. */
  readonly model: { readonly draft: DraftPolicy; readonly record: AskedRecord } | null;
}

/** Starts on a session, behind a prompt. Only `auto` needs knowledge. Throws `usage` where a source is missing. */
export type StartDecoder = (
  session: Session,
  prompt: TokenIds,
  limits: DecodeOptions,
  sources: DraftSources,
  knowledge: Pick<AutoKnowledge, "costs" | "draftCosts" | "memory" | "alone"> | null,
) => AsyncGenerator<Iteration, void, void>;

/** A decoder, chosen and checked. */
export interface ChosenDecoder {
  /** null for one of the caller's own. */
  readonly name: DecoderName | null;
  readonly start: StartDecoder;
}

/** Decoders that take a draft of the caller's. */
const DRAFTED: ReadonlySet<DecoderName> = new Set<DecoderName>(["auto", "jacobi", "multiblock"]);

/** Throws `usage` where a decoder lacks what it drafts from, or has no use for the caller's draft. */
export function requireSources(name: DecoderName | null, { prediction, draft, model }: DraftSources): void {
  if (name === "draft-model" && model === null)
    throw new CllmError(
      "usage",
      "decoder draft-model has no draft model; load the model with draftModel (--draft-model)",
    );
  if (name === "prediction" && prediction === null)
    throw new CllmError("usage", "decoder prediction has no prediction; give one, or use decoder auto");
  if (draft !== null && name !== null && !DRAFTED.has(name))
    throw new CllmError("usage", `decoder ${name} takes no draft; give it to ${[...DRAFTED].join(", ")}`);
}

/** Tokens of a pass with guesses of a draft model, each of which takes a pass of its own. */
const DRAFTED_BLOCK = 5;

const count = (least: number, most = Number.MAX_SAFE_INTEGER): z.ZodOptional<z.ZodInt> =>
  z.int().min(least).max(most).optional();
const blockSize = count(1, 256);
const draft = z.custom<DraftPolicy>((value) => typeof value === "function", "a function that opens a draft").optional();

/** The options that each decoder has of its own. */
const OPTIONS: { readonly [N in DecoderName]: Fields<DecoderOptions[N]> } = {
  auto: { blockSize, draft },
  ar: {},
  jacobi: {
    ...{ blockSize, form: z.enum(["window", "block"]).optional(), draft },
    ...{ draftRows: count(0, 256), alternatives: count(0, 256) },
  },
  lookahead: { window: count(1, 32), ngram: count(2, 8), candidates: count(1, 32) },
  "prompt-lookup": { blockSize, maxNgram: count(1, 16) },
  suffix: { blockSize, perMatch: count(1, 64) },
  prediction: { blockSize },
  "draft-model": { blockSize },
  multiblock: {
    blockSize,
    blocks: count(1, 16),
    ratio: z.number().gt(0).max(1).optional(),
    poolSize: count(0, 64),
    draft,
  },
  medusa: {
    nodes: count(1, 128),
    tree: z
      .array(z.array(z.int().min(0).max(63)).min(1).max(64))
      .max(256)
      .optional(),
    record: z.custom<HeadRecord>((value) => typeof value === "object" && value !== null, "a HeadRecord").optional(),
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
      return (on, prompt, limits, { draft }) =>
        jacobi(on, prompt, { form, ...(draft && { draft }), ...own, ...limits });
    case "lookahead":
      return (on, prompt, limits) => lookahead(on, prompt, { ...own, ...limits });
    case "prompt-lookup":
      return (on, prompt, limits) => promptLookup(on, prompt, { ...own, ...limits });
    case "suffix": {
      const { perMatch, ...sizes } = own as DecoderOptions["suffix"];
      return (on, prompt, limits, { answers }) => {
        const draft = fromSuffixes(answers, perMatch === undefined ? {} : { perMatch });
        return speculative(on, prompt, { ...(sizes as object), ...limits, draft });
      };
    }
    case "prediction":
      return (on, prompt, limits, { prediction }) =>
        speculative(on, prompt, { ...own, ...limits, draft: fromPrediction(prediction!) });
    case "draft-model":
      return (on, prompt, limits, { model }) =>
        speculative(on, prompt, { blockSize: DRAFTED_BLOCK, ...own, ...limits, draft: model!.draft });
    case "multiblock":
      return (on, prompt, limits, { draft }) => multiblock(on, prompt, { ...(draft && { draft }), ...own, ...limits });
    case "medusa":
      return (on, prompt, limits) => medusa(on, prompt, { ...own, ...limits });
    case "auto":
      return (on, prompt, limits, { prediction, answers, draft, model }, knowledge) => {
        const asked = draft === null ? model : { draft };
        const sources = { prediction: prediction ?? undefined, answers: answers ?? undefined, ...asked };
        return auto(on, prompt, { ...sources, ...own, ...limits, ...knowledge! });
      };
  }
}
