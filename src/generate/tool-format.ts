/**
 * The form that an answer must have, out of what a request asks for and how its model writes: calls to the tools' schemas, the
 * request's own format, and reasoning that the prompt has opened before either. Knows no grammar.
 */
import * as z from "zod";
import { CllmError } from "../error.ts";
import type { ContentFormat, Format, TagsFormat } from "../grammar/format.ts";
import type { Tool } from "../text/tools/types.ts";
import type { AnswerForm } from "./answer-form.ts";
import type { Request } from "./options.ts";

type Asked = Pick<Request, "format" | "toolChoice" | "parallelToolCalls" | "ignoreEos">;

/** The format of an answer; undefined where its text is free. */
export function answerFormat(
  { format, toolChoice = "auto", parallelToolCalls, ignoreEos }: Asked,
  { calls, reasoning }: AnswerForm,
): Format | z.ZodType | undefined {
  if (calls === null || calls.tools.length === 0) {
    const content = reasoning?.inside ? contentOf(format) : undefined;
    return content === undefined ? format : behindReasoning(content, reasoning!.close);
  }
  const forced = toolChoice !== "auto";
  if (!forced && format === undefined && ignoreEos) return undefined; // such a text never ends
  const tags = calls.tools.map((tool) => ({
    ...calls.form.written(tool.name, calls.template),
    content: argumentsOf(tool),
  }));
  if (!forced && format !== undefined) {
    if (reasoning?.inside)
      throw new CllmError(
        "usage",
        "format and tools are both given, and the prompt opens reasoning; set enable_thinking to false",
      );
    return { type: "tags", tags, single: !parallelToolCalls, only: true, otherwise: requireContent(format) };
  }
  const single = !parallelToolCalls || typeof toolChoice === "object";
  const made: TagsFormat = { type: "tags", tags, single, required: forced, only: forced && reasoning === null };
  return made;
}

/** What the arguments of a call have to be. */
export function argumentsOf({ parameters }: Tool): ContentFormat {
  return parameters === undefined ? { type: "json" } : { type: "json_schema", schema: parameters };
}

/** Free text up to the end of the reasoning, then what was asked for. */
function behindReasoning(content: ContentFormat, close: string): Format {
  return { type: "tags", tags: [{ begin: close, head: "\n\n", content, end: "" }], required: true, single: true };
}

function contentOf(format: Request["format"]): ContentFormat | undefined {
  if (format instanceof z.ZodType)
    return { type: "json_schema", schema: z.toJSONSchema(format, { io: "input", unrepresentable: "any" }) };
  return format === undefined || format.type === "tags" ? undefined : format;
}

function requireContent(format: NonNullable<Request["format"]>): ContentFormat {
  const content = contentOf(format);
  if (content !== undefined) return content;
  throw new CllmError("usage", "format has tags and there are tools, whose calls are tags too; give one of the two");
}
