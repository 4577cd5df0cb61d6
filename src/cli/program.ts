/**
 * The program: a command line to a command that runs, and to an exit code. What does not exist is an error with its near
 * miss. Knows no command's inside.
 */
import { CommanderError } from "commander";
import { CllmError } from "../error.ts";
import { nearMisses, shorten } from "../files/near-miss.ts";
import type { Command, Common } from "./command.ts";
import { type AnyFields, flagOf, readField } from "./flags.ts";
import { createParser } from "./parser.ts";
import { type Given, isUsed, settingsOf, sharedFields } from "./settings.ts";
import { createTerminal, formatError } from "./terminal.ts";

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

/** What becomes of a command line that asks for no help. */
interface Parsed {
  readonly command: Command;
  readonly values: Given;
}

/**
 * Runs one command line and returns its exit code: 0, 1 for a failure, 2 for wrong usage. Errors are printed, not
 * thrown. The signal cancels what is running; the exit code is then the caller's to decide. A command that takes its time
 * after it says so by `allow`.
 */
export async function runProgram(
  args: readonly string[],
  commands: readonly Command[],
  version: string,
  signal: AbortSignal,
  allow: (graceMs: number) => void = () => {},
): Promise<number> {
  let json = args.includes("--json");
  let endProgress = (): void => {};
  try {
    const parsed = parse(args, commands, version);
    if (parsed === null) return 0;
    const { command } = parsed;
    const settings = await settingsOf(command, parsed.values);
    json = settings.json;
    const terminal = createTerminal(settings, signal, allow);
    endProgress = terminal.endProgress;
    if (settings.verbose) terminal.note(`configuration: ${JSON.stringify(shown(command, settings))}`);
    await command.run(settings, terminal);
    endProgress();
    return 0;
  } catch (error) {
    endProgress();
    if (!signal.aborted) process.stderr.write(`${formatError(error, json)}\n`);
    return error instanceof CllmError && error.code === "usage" ? EXIT_USAGE : EXIT_FAILURE;
  }
}

/** The settings without secrets, which do not belong on a screen or in a log. */
function shown({ name, fields }: Command, settings: Common): object {
  const secret = (key: string): boolean => Object.hasOwn(fields, key) && readField(fields[key]!).meta.secret === true;
  const entries = Object.entries(settings).map(([key, value]) => [
    key,
    secret(key) && value !== undefined ? "…" : value,
  ]);
  return { command: name, ...Object.fromEntries(entries) };
}

function parse(args: readonly string[], commands: readonly Command[], version: string): Parsed | null {
  let parsed: Parsed | null = null;
  const given = asFlags(args);
  const [first = "-"] = given; // commander takes the help of a command that does not exist for its own
  const names = commands.map(({ name }) => name);
  if (!first.startsWith("-") && !names.includes(first)) throw unknownCommand(first, names);
  const named = commands.find(
    ({ name }) => name === args.find((arg) => commands.some((command) => command.name === arg)),
  );
  const program = createParser(commands, version, named, (command, values) => {
    parsed = { command, values };
  });
  try {
    program.parse(given, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return null; // help or version, printed
    throw wrongUsage(error, commands, named);
  }
  return parsed;
}

/** `cllm`, `cllm help` and `cllm help COMMAND` as the flags that they mean. */
function asFlags(args: readonly string[]): readonly string[] {
  if (args.length === 0) return ["--help"];
  return args[0] === "help" ? [...args.slice(1), "--help"] : args;
}

/** What is wrong with a command line, and the next move. */
function wrongUsage(error: CommanderError, commands: readonly Command[], named: Command | undefined): CllmError {
  const [, quoted = ""] = /'([^']*)'/s.exec(error.message) ?? [];
  const name = shorten(quoted);
  const owner = named === undefined ? "cllm" : `cllm ${named.name}`;
  const names = commands.map((command) => command.name);
  switch (error.code) {
    case "commander.help":
      return new CllmError("usage", `no command given; there are ${names.join(", ")}`);
    case "commander.unknownCommand":
      return unknownCommand(quoted, names);
    case "commander.unknownOption": {
      const near = nearFlag(quoted, flagsOf(named));
      const next = near === undefined ? `see ${owner} --help` : `did you mean ${near}?`;
      return new CllmError("usage", `${owner} has no ${name}; ${next}`);
    }
    case "commander.optionMissingArgument":
      return new CllmError("usage", `${name.replace(/^-\w, /, "").replace(/ .*/, "")} needs a value; give ${name}`);
    case "commander.excessArguments": {
      const takes = named?.argument === undefined ? "no argument" : `one argument, ${named.argument}`;
      const next = named?.argument === undefined ? `see ${owner} --help` : "put it in quotes where it has spaces";
      return new CllmError("usage", `${owner} takes ${takes}; ${next}`);
    }
    default:
      return new CllmError(
        "usage",
        `${error.message.replace(/^error: /, "").replace(/\s*\n\s*/g, " ")}; see ${owner} --help`,
      );
  }
}

function unknownCommand(given: string, names: readonly string[]): CllmError {
  const name = shorten(given);
  if (/\s/.test(given)) {
    return new CllmError("usage", `cllm needs a command before ${JSON.stringify(name)}; to answer it: cllm generate`);
  }
  const [near] = nearMisses(given, names, 1);
  const next = near === undefined ? `there are ${names.join(", ")}` : `did you mean ${near}?`;
  return new CllmError("usage", `cllm has no command ${name}; ${next}`);
}

function flagsOf(named: Command | undefined): string[] {
  const shared = Object.entries(sharedFields).filter(([key]) => named === undefined || isUsed(named, key));
  const fields: AnyFields = { ...named?.fields, ...Object.fromEntries(shared), ...named?.fields };
  const keys = Object.keys(fields).filter((key) => !(named?.argumentOnly && key === named.argument));
  return [...keys.map((key) => flagOf(key, fields[key]!)), "--config", "--help", "--version"];
}

/** The flag that was meant: misspelt, or with fewer or shorter words, as `--max-tokens` and `--temp` are. */
function nearFlag(name: string, flags: readonly string[]): string | undefined {
  const wordsOf = (flag: string): string[] => flag.split("-").filter((word) => word !== "");
  const words = wordsOf(name);
  const within = (flag: string): boolean =>
    words.every((word) => word.length > 2 && wordsOf(flag).some((other) => other.startsWith(word)));
  return (words.length > 0 ? flags.find(within) : undefined) ?? nearMisses(name, flags, 1)[0];
}
