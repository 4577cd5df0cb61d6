/**
 * Prompts and answers out of records: by named fields, a template over fields, or a conversation. A record that gives none is
 * one error with its place and the near miss, before anything else is done. Knows text, no tokens.
 */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { type DataRecord, readRecords } from "../data/records.ts";
import { CllmError } from "../error.ts";
import { shorten } from "../files/near-miss.ts";
import { unknownName } from "../generate/check.ts";
import type { Message, PromptInput } from "../generate/types.ts";
import { type FieldMapping, namedData } from "./known-datasets.ts";

/**
 * Which fields make the prompt: a `template`, else `messagesField`, else `promptField`, else what the first record has of
 * `messages`, `conversations` and `prompt`. A field wins over what a known data set brings.
 */
export interface DatasetOptions extends FieldMapping {
  /** Only the first records. Default: all. */
  readonly limit?: number | undefined;
  /** Records that give no prompt are counted instead of an error. Default: false. */
  readonly skipBadRecords?: boolean | undefined;
  /**
   * A conversation with a turn of another role than system, user and assistant is an error. Default: false, it is left out,
   * as data sets from logs have turns of tools in some of theirs.
   */
  readonly strictData?: boolean | undefined;
  /** Where data sets with a name are. */
  readonly dataDir?: string | undefined;
  /**
   * Of a conversation: the first answer that follows a question, as a prompt to be answered; or each of them, as an example of
   * its own, behind all that was said before. Default: `first`.
   */
  readonly answers?: "first" | "all" | undefined;
}

/** A record as it is used, or one answer of it. */
export interface Example {
  /** The field `idField`, or else `data_` and the record's number; `#2` and so on behind it for further answers. */
  readonly dataId: string;
  readonly where: string;
  /** The number of the record, from 0. */
  readonly record: number;
  readonly input: PromptInput;
  readonly answer: string | null;
}

/** A record that gives no prompt. */
export interface UnusableRecord {
  readonly dataId: string;
  readonly unusable: true;
  /** It is a conversation with a turn of an unknown role. */
  readonly unknownRole: boolean;
  readonly reason: string;
}

export interface Dataset {
  /** For people and metadata: the name, or the file's without its folder. */
  readonly name: string;
  readonly examples: readonly (Example | UnusableRecord)[];
  /** Conversations that were left out for the role of a turn, by that role. */
  readonly unknownRoles: ReadonlyMap<string, number>;
}

/** A line for people about conversations that were left out for a turn's role; null where there is none. */
export function unknownRolesText({ name, unknownRoles }: Dataset, strictName: string): string | null {
  const count = [...unknownRoles.values()].reduce((sum, each) => sum + each, 0);
  if (count === 0) return null;
  const roles = [...unknownRoles.keys()].slice(0, 5).map(shorten).join(", ");
  const more = unknownRoles.size > 5 ? " and others" : "";
  const talks = count === 1 ? "1 conversation" : `${count} conversations`;
  return `left out: ${talks} of ${name} with turns by ${roles}${more}; ${strictName} makes them an error`;
}

/**
 * Reads a file, or a known data set by its name; a file of that name goes first. Throws `bad-input` for records without
 * their field and for a data set without records.
 */
export async function readDataset(source: string, options: DatasetOptions = {}): Promise<Dataset> {
  const named = existsSync(source) ? null : namedData(source, options.dataDir);
  const mapping = { ...named?.mapping, ...given(options) };
  const records = named?.records() ?? readRecords(source);
  const examples: (Example | UnusableRecord)[] = [];
  const unknownRoles = new Map<string, number>();
  let reader: Reader | null = null;
  let count = 0;
  for await (const record of records) {
    const dataId = `data_${count}`;
    try {
      reader ??= readerFor(record, mapping, options.answers ?? "first");
      const read = reader(record);
      if (!("unknownRole" in read)) {
        for (const example of toExamples(record, count, mapping, read)) examples.push(example);
      } else if (options.strictData) throw new CllmError("bad-input", read.reason);
      else {
        unknownRoles.set(read.unknownRole, (unknownRoles.get(read.unknownRole) ?? 0) + 1);
        examples.push({ dataId, unusable: true, unknownRole: true, reason: read.reason });
      }
    } catch (error) {
      if (!options.skipBadRecords || !(error instanceof CllmError) || error.code !== "bad-input") throw error;
      examples.push({ dataId, unusable: true, unknownRole: false, reason: error.message });
    }
    if (++count === options.limit) break;
  }
  const name = named === null ? basename(source) : source;
  const path = named?.path ?? source;
  if (examples.length === 0)
    throw new CllmError("bad-input", `${path} holds no records: give a data set that is not empty`);
  const [first] = examples;
  if (first !== undefined && examples.every((example) => "unusable" in example)) {
    throw new CllmError("bad-input", `${path} has no usable record; the first: ${(first as UnusableRecord).reason}`);
  }
  return { name, examples, unknownRoles };
}

/** The mapping that the caller gives; a way to make prompts takes the place of the data set's own. */
function given({ promptField, answerField, messagesField, idField, template }: FieldMapping): FieldMapping {
  const own = { promptField, messagesField, template };
  const ways = Object.entries(own).filter(([, value]) => value !== undefined);
  if (ways.length > 1) throw new CllmError("usage", `${ways[0]![0]} and ${ways[1]![0]} are both given; give one`);
  return {
    ...(ways.length > 0 && own),
    ...(answerField !== undefined && { answerField }),
    ...(idField !== undefined && { idField }),
  };
}

/** How a record's prompt and, in conversations, its answers are found: one prompt or more, each with its answer. */
type Reader = (record: DataRecord) => readonly Read[] | UnknownRole;

interface Read {
  readonly input: PromptInput;
  readonly answer: string | null;
}

interface UnknownRole {
  readonly unknownRole: string;
  readonly reason: string;
}

function readerFor(
  record: DataRecord,
  { promptField, messagesField, template, answerField }: FieldMapping,
  answers: "first" | "all",
): Reader {
  const all = answers === "all" && answerField === undefined;
  if (template !== undefined) return templateReader(template);
  if (messagesField !== undefined) return conversationReader(messagesField, all);
  if (promptField !== undefined) return promptReader(promptField);
  const found = ["messages", "conversations"].find((name) => Array.isArray(record.fields[name]));
  if (found !== undefined) return conversationReader(found, all);
  if (Object.hasOwn(record.fields, "prompt")) return promptReader("prompt");
  throw new CllmError(
    "bad-input",
    `${record.where} has none of prompt, messages and conversations, but ${fieldNames(record)}: name one as promptField`,
  );
}

const promptReader =
  (field: string): Reader =>
  (record) => [{ input: { prompt: textOf(record, field) }, answer: null }];

function toExamples(
  record: DataRecord,
  number: number,
  { idField, answerField }: FieldMapping,
  read: readonly Read[],
): Example[] {
  const dataId = idField === undefined ? `data_${number}` : idOf(record, idField);
  return read.map(({ input, answer }, i) => ({
    dataId: i === 0 ? dataId : `${dataId}#${i + 1}`,
    where: record.where,
    record: number,
    input,
    answer: answerField === undefined ? answer : textOf(record, answerField),
  }));
}

function idOf(record: DataRecord, field: string): string {
  const value = fieldOf(record, field);
  if ((typeof value === "string" && value !== "") || typeof value === "number" || typeof value === "bigint") {
    return String(value);
  }
  throw new CllmError("bad-input", `${record.where}: ${field} must be a text or a number, to tell records apart`);
}

function textOf(record: DataRecord, field: string): string {
  const value = fieldOf(record, field);
  if (typeof value === "string" && value !== "") return value;
  const found = value === "" ? "empty" : `${shorten(show(value))}, no text`;
  throw new CllmError("bad-input", `${record.where}: ${field} is ${found}; it must be a text that is not empty`);
}

function fieldOf(record: DataRecord, field: string): unknown {
  if (Object.hasOwn(record.fields, field)) return record.fields[field];
  throw new CllmError("bad-input", unknownName(`${record.where}`, field, Object.keys(record.fields)));
}

const show = (value: unknown): string =>
  JSON.stringify(value, (_, item) => (typeof item === "bigint" ? String(item) : item)) ?? typeof value;

const fieldNames = ({ fields }: DataRecord): string => Object.keys(fields).slice(0, 20).join(", ") || "no field at all";

/**
 * A template: `{field}` stands for the record's field, `{{` and `}}` for braces, and `\n`, `\t` and `\\` for line break, tab
 * and backslash, which shells pass on as they are. Throws `usage` where it is malformed.
 */
export function parseTemplate(template: string): (record: DataRecord) => string {
  const parts: (string | { readonly field: string })[] = [];
  const token = /\\([nt\\])|\{\{|\}\}|\{([^{}]*)\}|[{}]|[^\\{}]+|\\/gy;
  for (const [text, escaped, field] of template.matchAll(token)) {
    if (escaped !== undefined) parts.push({ n: "\n", t: "\t", "\\": "\\" }[escaped]!);
    else if (field !== undefined && field.trim() !== "") parts.push({ field: field.trim() });
    else if (text === "{{" || text === "}}") parts.push(text[0]!);
    else if (/^[{}]/.test(text)) {
      throw new CllmError(
        "usage",
        `the template ${JSON.stringify(template)} has a stray ${text}: write {{ or }} for braces`,
      );
    } else parts.push(text);
  }
  if (!parts.some((part) => typeof part === "object")) {
    throw new CllmError("usage", `the template ${JSON.stringify(template)} names no {field}: all prompts would be one`);
  }
  return (record) => parts.map((part) => (typeof part === "string" ? part : plain(record, part.field))).join("");
}

function plain(record: DataRecord, field: string): string {
  const value = fieldOf(record, field);
  if (["string", "number", "boolean", "bigint"].includes(typeof value)) return String(value);
  throw new CllmError("bad-input", `${record.where}: ${field} is no text, so the template cannot hold it`);
}

function templateReader(template: string): Reader {
  const render = parseTemplate(template);
  return (record) => [{ input: { prompt: render(record) }, answer: null }];
}

const ROLES: Readonly<Record<string, Message["role"]>> = {
  system: "system",
  user: "user",
  human: "user",
  assistant: "assistant",
  gpt: "assistant",
  model: "assistant",
};

/**
 * Turns up to an answer that follows a question: up to the first one, or, with `all`, up to each. `{role, content}` as in chats,
 * `{from, value}` as in ShareGPT.
 */
function conversationReader(field: string, all: boolean): Reader {
  return (record) => {
    const turns = fieldOf(record, field);
    const wrong = (reason: string): CllmError => new CllmError("bad-input", `${record.where}: ${field} ${reason}`);
    if (!Array.isArray(turns) || turns.length === 0) throw wrong("is no list of messages");
    const messages: Message[] = [];
    for (const [i, turn] of turns.entries()) {
      const { role, content, from, value } = (turn ?? {}) as Record<string, unknown>;
      const who = String(role ?? from);
      const known = Object.hasOwn(ROLES, who) ? ROLES[who] : undefined;
      const text = content ?? value;
      if (known === undefined) {
        const error = wrong(`[${i}] is by ${shorten(JSON.stringify(who))}: there are ${Object.keys(ROLES).join(", ")}`);
        if ((role ?? from) === undefined) throw error;
        return { unknownRole: who, reason: error.message };
      }
      if (typeof text !== "string") throw wrong(`[${i}] has no text`);
      messages.push({ role: known, content: text });
    }
    const asked = messages.findIndex(({ role }) => role === "user");
    if (asked < 0) throw wrong("has no question before its first answer");
    const ends = messages.flatMap(({ role }, i) => (role === "assistant" && i > asked ? [i] : []));
    if (ends.length === 0) return [{ input: { messages }, answer: null }];
    return ends
      .slice(0, all ? ends.length : 1)
      .map((end) => ({ input: { messages: messages.slice(0, end) }, answer: messages[end]!.content as string }));
  };
}
