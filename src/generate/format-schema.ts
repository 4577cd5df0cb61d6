/**
 * What `format` of a request may be, checked for its form; what a notation says is read when it is compiled. Knows no grammar.
 */
import * as z from "zod";
import type { Format } from "../grammar/format.ts";

const FORMATS: readonly Format["type"][] = ["json", "json_schema", "regex", "grammar", "tags"];
const MAX_TAGS = 512;

const content = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("json") }),
  z.strictObject({ type: z.literal("json_schema"), schema: z.unknown(), strict: z.boolean().optional() }),
  z.strictObject({ type: z.literal("regex"), pattern: z.string().min(1) }),
  z.strictObject({ type: z.literal("grammar"), grammar: z.string().min(1) }),
]);
const format = z.discriminatedUnion(
  "type",
  [
    ...content.options,
    z.strictObject({
      type: z.literal("tags"),
      tags: z
        .array(z.strictObject({ begin: z.string().min(1), head: z.string().optional(), content, end: z.string() }))
        .min(1)
        .max(MAX_TAGS),
      required: z.boolean().optional(),
      single: z.boolean().optional(),
      only: z.boolean().optional(),
      otherwise: content.optional(),
    }),
  ],
  `an object whose type is one of ${FORMATS.join(", ")}, or a zod schema`,
);

/** A format, or a zod schema as it is. */
export const formatSchema: z.ZodType<Format | z.ZodType> = z.unknown().transform((value, context) => {
  if (value instanceof z.ZodType) return value;
  const read = format.safeParse(value);
  if (read.success) return read.data as Format;
  for (const issue of read.error.issues) context.issues.push({ ...issue, input: issue.input } as z.core.$ZodRawIssue);
  return z.NEVER;
});
