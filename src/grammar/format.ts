/**
 * What form an answer must have, as people ask for it, and the grammar that this means. Knows no model and no decoder.
 */

import { CllmError } from "../error.ts";
import { parseEbnf } from "./ebnf.ts";
import { compileSource } from "./engine.ts";
import type { Source } from "./expression.ts";
import { schemaSource } from "./json/schema.ts";
import { parseRegex } from "./regex.ts";
import { tagsSource } from "./tags.ts";
import type { Constraint } from "./types.ts";
import type { Tokens } from "./vocabulary.ts";
import { Work } from "./work.ts";

/** A form of which the whole answer is. */
export type ContentFormat =
  /** A JSON object. */
  | { readonly type: "json" }
  /**
   * A JSON text that validates against a schema (draft 2020-12). `strict`: only properties that the schema names, unless it
   * says what others are. Default: true.
   */
  | { readonly type: "json_schema"; readonly schema: unknown; readonly strict?: boolean | undefined }
  /** A text that a regular expression matches as a whole. */
  | { readonly type: "regex"; readonly pattern: string }
  /** A text of a grammar in EBNF (GBNF), from its rule `root` on. */
  | { readonly type: "grammar"; readonly grammar: string };

/** Free text, in which everything between a tag's `begin` and `end` has a form. */
export interface TagsFormat {
  readonly type: "tags";
  readonly tags: readonly {
    readonly begin: string;
    /** What must follow the beginning. Tags that share one go on by this. Default: nothing. */
    readonly head?: string | undefined;
    readonly content: ContentFormat;
    readonly end: string;
  }[];
  /** The answer must hold a tag. Default: false. */
  readonly required?: boolean | undefined;
  /** The answer ends behind its first tag. Default: false. */
  readonly single?: boolean | undefined;
  /** No text but the tags. Default: false. */
  readonly only?: boolean | undefined;
  /** With `only`: the form of an answer that has no tag. Default: there is none. */
  readonly otherwise?: ContentFormat | undefined;
}

export type Format = ContentFormat | TagsFormat;

/** The grammar of a format. Throws `usage` with the place of what is wrong or not supported. */
export function formatSource(format: Format, work: Work = new Work()): Source {
  switch (format.type) {
    case "json":
      return schemaSource({ type: "object" }, { strict: false }, work);
    case "json_schema":
      return schemaSource(format.schema, { strict: format.strict ?? true }, work);
    case "regex":
      return { root: "pattern", rules: new Map([["pattern", parseRegex(format.pattern, { whole: true })]]) };
    case "grammar":
      return parseEbnf(format.grammar);
    case "tags": {
      const { required = false, single = false, only = false } = format;
      const tags = format.tags.map(({ begin, head = "", content, end }) => ({
        ...{ begin, head, end, content: formatSource(content, work) },
      }));
      const otherwise = format.otherwise && formatSource(format.otherwise, work);
      return tagsSource(tags, { required, single, only, otherwise });
    }
  }
}

/**
 * A format over a model's tokens. Throws what `formatSource` throws, and `usage` where no text matches.
 *
 * @example
 * const bytes = [new TextEncoder().encode("yes"), new TextEncoder().encode("no")];
 * const tokens = { size: 2, bytes: (id: number) => bytes[id]!, encode: (text: string) => Int32Array.of(text === "yes" ? 0 : 1) };
 * const constraint = compileFormat({ type: "regex", pattern: "yes|no" }, tokens);
 */
export function compileFormat(format: Format, tokens: Tokens): Constraint {
  const work = new Work();
  try {
    return compileSource(formatSource(format, work), tokens, work);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the stack of calls is full
    throw new CllmError("usage", "the format is nested too deeply, or its rules call each other too often in a row", {
      cause: error,
    });
  }
}
