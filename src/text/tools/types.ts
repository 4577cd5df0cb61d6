/**
 * What a tool, a call of it and a form of calls are. A form is how a family of models writes its calls: one file each beside this
 * one. Knows no model and no request.
 */
import type { ChatMessage } from "../chat.ts";

/** A JSON object by its keys. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** A function that a model may call. */
export interface Tool {
  readonly name: string;
  readonly description?: string | undefined;
  /** JSON schema of the arguments, an object. Default: any object. */
  readonly parameters?: JsonObject | undefined;
}

/** A call that is whole: its arguments are an object. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: JsonObject;
  /** The arguments as the model wrote them. Absent from calls that people write. */
  readonly argumentsText?: string | undefined;
}

/**
 * Why what began as a call is text: `unfinished`, the text ended inside it; `unknown-tool`, no tool has the name; `malformed`, it
 * is no JSON of the form.
 */
export type BrokenReason = "unfinished" | "unknown-tool" | "malformed";

/** What began as a call and is none. Its text is part of the answer's text. */
export interface BrokenCall {
  readonly name: string | null;
  readonly reason: BrokenReason;
  readonly text: string;
}

/** A piece of an answer, in the order of the text. Pieces of the same kind go on from each other. */
export type AnswerPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  /** A call has begun: the tool is known. Calls count from 0. */
  | { readonly type: "begun"; readonly index: number; readonly id: string; readonly name: string }
  /** JSON text of the arguments of a call that has begun. */
  | { readonly type: "arguments"; readonly index: number; readonly text: string }
  | { readonly type: "called"; readonly index: number; readonly call: ToolCall }
  /** `index` is that of the call where it had begun; its text follows as a piece of text. */
  | { readonly type: "broken"; readonly index: number | null; readonly broken: BrokenCall };

/** How a call of one tool is written around its arguments. */
export interface WrittenCall {
  /** Opens a call of whatever tool. */
  readonly begin: string;
  /** From there up to the arguments. */
  readonly head: string;
  readonly end: string;
}

export interface ToolForm {
  readonly name: string;
  /** Whether models with this chat template write calls so. */
  fits(template: string): boolean;
  /** Texts that open calls wherever they stand. */
  readonly openings: readonly string[];
  /** An answer that begins with `{` is a call. */
  readonly bare: boolean;
  /** Texts that may stand behind a call and say nothing. */
  readonly closings: readonly string[];
  /** Calls may stand in a JSON list. */
  readonly list: boolean;
  /** A call may be its name and its arguments, without an object around both. */
  readonly named: boolean;
  /** Special tokens whose texts belong to the form. */
  readonly marks: readonly string[];
  /** A call as models with this chat template write it. */
  written(name: string, template: string): WrittenCall;
  /** Writes tools and calls into the messages, for templates that know no tools. Absent where the template does it. */
  intoMessages?(messages: readonly ChatMessage[], tools: readonly Tool[], template: string): readonly ChatMessage[];
}
