/** Commands inside a chat: lines that begin with a slash. Each is one entry of the table. Knows no model and no terminal. */
import { CllmError } from "../../error.ts";
import { nearMisses } from "../../files/near-miss.ts";
import { PLAIN_DECODERS, type PlainDecoderName } from "../../generate/types.ts";
import { loadTalk, saveTalk, type Talk } from "./talk.ts";

/** What a command leaves to do: lines to show, the last question to ask again, or the end. */
export interface Outcome {
  readonly lines?: readonly string[];
  readonly again?: boolean;
  readonly quit?: boolean;
}

interface SlashCommand {
  readonly name: string;
  /** What may follow it. */
  readonly takes: string;
  readonly what: string;
  run(talk: Talk, argument: string): Outcome | Promise<Outcome>;
}

const TABLE: readonly SlashCommand[] = [
  { name: "help", takes: "", what: "show this list", run: () => ({ lines: helpLines() }) },
  {
    name: "system",
    takes: "[text]",
    what: "say who the model is; without a text, show it; - takes it away",
    run: (talk, text) => {
      if (text !== "") talk.system = text === "-" ? null : text;
      return { lines: [talk.system === null ? "no system message" : `system: ${talk.system}`] };
    },
  },
  {
    name: "clear",
    takes: "",
    what: "forget what was said; the system message stays",
    run: (talk) => {
      talk.messages = [];
      return { lines: ["a new conversation"] };
    },
  },
  { name: "history", takes: "", what: "show what was said", run: (talk) => ({ lines: historyLines(talk) }) },
  {
    name: "retry",
    takes: "",
    what: "answer the last message again",
    run: (talk) => {
      const last = talk.messages.findLastIndex(({ role }) => role === "user");
      if (last < 0) throw new CllmError("usage", "there is no message to answer again; say something first");
      talk.messages = talk.messages.slice(0, last + 1);
      return { again: true };
    },
  },
  {
    name: "save",
    takes: "file",
    what: "write the conversation as JSON, which cllm generate --messages reads",
    run: async (talk, file) => {
      await saveTalk(talk, required("save", file));
      return { lines: [`saved to ${file}`] };
    },
  },
  {
    name: "load",
    takes: "file",
    what: "go on with a saved conversation",
    run: async (talk, file) => {
      await loadTalk(talk, required("load", file));
      return { lines: [`${talk.messages.length} messages from ${file}`] };
    },
  },
  {
    name: "decoder",
    takes: "[name]",
    what: `how to decode: ${PLAIN_DECODERS.join(", ")}`,
    run: (talk, name) => {
      if (name !== "" && !PLAIN_DECODERS.includes(name as PlainDecoderName))
        throw new CllmError("usage", `there is no decoder ${name}${meant(name, PLAIN_DECODERS, "")}`);
      if (name !== "") talk.decoder = name as PlainDecoderName;
      return { lines: [`decoder: ${talk.decoder}`] };
    },
  },
  { name: "quit", takes: "", what: "end; so do Ctrl-D, and Ctrl-C twice", run: () => ({ quit: true }) },
];

/** Runs a line that begins with a slash. Throws `usage` for commands that are none, and what a command throws. */
export async function runSlash(line: string, talk: Talk): Promise<Outcome> {
  const [, given = "", argument = ""] = /^\/(\S*)\s*([\s\S]*)$/.exec(line.trim()) ?? [];
  const name = given === "exit" ? "quit" : given === "?" ? "help" : given;
  const command = TABLE.find((each) => each.name === name);
  if (command === undefined) {
    const names = TABLE.map((each) => each.name);
    throw new CllmError(
      "usage",
      `there is no /${given}${meant(given, names, "/")}; a space before the slash makes it a message`,
    );
  }
  if (command.takes === "" && argument !== "") throw new CllmError("usage", `/${name} takes nothing behind it`);
  return await command.run(talk, argument);
}

/** The commands and decoders that a line may go on as. */
export function completions(line: string): string[] {
  const words = [
    ...TABLE.map(({ name, takes }) => `/${name}${takes === "" ? "" : " "}`),
    ...PLAIN_DECODERS.map((name) => `/decoder ${name}`),
  ];
  return line.startsWith("/") ? words.filter((word) => word.startsWith(line)) : [];
}

function required(command: string, argument: string): string {
  if (argument === "") throw new CllmError("usage", `/${command} needs a file, such as /${command} chat.json`);
  return argument;
}

function meant(given: string, names: readonly string[], sign: string): string {
  const [near] = nearMisses(given, names, 1);
  return near === undefined
    ? `; there are ${names.map((name) => sign + name).join(", ")}`
    : `; did you mean ${sign}${near}?`;
}

function helpLines(): string[] {
  const heads = TABLE.map(({ name, takes }) => `/${name}${takes === "" ? "" : ` ${takes}`}`);
  const width = heads.reduce((widest, { length }) => Math.max(widest, length), 0);
  const lines = TABLE.map(({ what }, i) => `${heads[i]!.padEnd(width)}  ${what}`);
  return [
    ...lines,
    "",
    'Several lines: end a line with \\, or put the message between """ and """.',
    "Ctrl-C stops an answer.",
  ];
}

function historyLines({ system, messages }: Talk): string[] {
  const all = [...(system === null ? [] : [{ role: "system", content: system }]), ...messages];
  if (all.length === 0) return ["nothing was said yet"];
  return all.map(({ role, content }) => `${role}: ${content}`);
}
