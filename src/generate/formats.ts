/**
 * Formats of a model: compiled over its tokens, kept for the next request, and read back from the text. Loaded with the first
 * request that has a format. Knows no decoder and no notation.
 */
import * as z from "zod";
import { CllmError } from "../error.ts";
import { compileFormat, type Format } from "../grammar/format.ts";
import type { Constraint, State } from "../grammar/types.ts";
import type { Tokens } from "../grammar/vocabulary.ts";
import type { TokenIds } from "../runtime/session.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** A format of one request. */
export interface Compiled {
  readonly constraint: Constraint;
  /** The value of a whole text; undefined where the format is not JSON. Throws `bad-file` where a zod schema refuses it. */
  parse(text: string): unknown;
  /** Whether the format is JSON. */
  readonly json: boolean;
  /** Follows one answer, which the model ends by one of `endIds`. */
  follow(endIds: ReadonlySet<number>): Progress;
}

const KEPT = 64;

/** The formats of one model. `textIds`: special tokens that are text all the same. */
export function formatsOf(
  tokenizer: Tokenizer,
  textIds: ReadonlySet<number> = new Set(),
): (asked: Format | z.ZodType) => Compiled {
  const isText = (id: number): boolean => !tokenizer.specialIds.has(id) || textIds.has(id);
  const tokens: Tokens = {
    size: tokenizer.vocabSize,
    bytes: (id) => (isText(id) ? tokenizer.tokenBytes(id) : new Uint8Array(0)),
    encode: (text) => tokenizer.encode(text, { addSpecialTokens: false }),
  };
  const known = new Map<string, Constraint>();
  return (asked) => {
    const own = asked instanceof z.ZodType ? asked : null;
    const wanted: Format = own === null ? (asked as Format) : { type: "json_schema", schema: jsonSchemaOf(own) };
    const key = keyOf(wanted);
    const constraint = known.get(key) ?? compileFormat(wanted, tokens);
    known.delete(key);
    known.set(key, constraint);
    if (known.size > KEPT) known.delete(known.keys().next().value as string);
    const json = wanted.type === "json" || wanted.type === "json_schema";
    return {
      constraint,
      json,
      parse: (text) => (json ? parsed(text, own) : undefined),
      follow: (endIds) => new Progress(constraint, endIds),
    };
  };
}

function keyOf(wanted: Format): string {
  try {
    return JSON.stringify(wanted);
  } catch (error) {
    throw new CllmError("usage", "format holds itself or is nested too deeply; use $ref for what repeats", {
      cause: error,
    });
  }
}

function jsonSchemaOf(schema: z.ZodType): unknown {
  try {
    return z.toJSONSchema(schema, { io: "input" });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CllmError("usage", `format: the zod schema has no JSON Schema: ${why}`, { cause: error });
  }
}

function parsed(text: string, own: z.ZodType | null): unknown {
  const value: unknown = JSON.parse(text);
  if (own === null) return value;
  const read = own.safeParse(value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new CllmError(
    "bad-file",
    `the answer has the form of the schema, but its own check refuses it: ${issue?.message ?? "no reason given"} at ` +
      `${issue?.path.join(".") || "the top"}; check less in the schema, or ask again with another seed`,
  );
}

/** Follows an answer through its format, to see where nothing more can follow. */
export class Progress {
  readonly #constraint: Constraint;
  readonly #endIds: ReadonlySet<number>;
  #state: State | null;

  constructor(constraint: Constraint, endIds: ReadonlySet<number>) {
    this.#constraint = constraint;
    this.#endIds = endIds;
    this.#state = constraint.start;
  }

  /**
   * How many of `tokens` there are until the text is whole and nothing can follow; null where something can. Throws
   * `unsupported` where the text had to end because no token of the model could go on.
   */
  wholeAfter(tokens: TokenIds): number | null {
    for (const [i, token] of tokens.entries()) {
      if (this.#state === null) return null;
      if (this.#endIds.has(token)) {
        if (this.#constraint.canEnd(this.#state)) return null;
        throw new CllmError(
          "unsupported",
          "no token of the model writes what the format needs next; allow other texts there",
        );
      }
      this.#state = this.#constraint.next(this.#state, token);
      if (this.#state !== null && this.#constraint.canEnd(this.#state) && this.#isLast(this.#state)) return i + 1;
    }
    return null;
  }

  /** Whether the text so far is one that the format allows. */
  whole(): boolean {
    return this.#state === null || this.#constraint.canEnd(this.#state);
  }

  #isLast(state: State): boolean {
    return this.#constraint.allowed(state).every((word) => word === 0);
  }
}
