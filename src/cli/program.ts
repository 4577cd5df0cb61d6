/**
 * The command line: arguments to a command and its checked settings, flags over the configuration file over defaults.
 * Anything that does not exist is an error with its near miss. Knows no command's inside.
 */
import { readFileSync } from "node:fs";
import { Argument, CommanderError, Command as Parser } from "commander";
import * as z from "zod";
import { CllmError } from "../error.ts";
import { check, unknownName } from "../generate/check.ts";
import { type Command, type Common, commonFields, modelFields } from "./command.ts";
import { type AnyFields, flagOf, optionOf, readField, renamedKeys } from "./flags.ts";
import { createTerminal, formatError } from "./terminal.ts";

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

/** Flags that stand before the command's name as well as behind it. */
const sharedFields: AnyFields = { ...commonFields, ...modelFields };

/** What becomes of a command line: its settings, ready to run, or help that has been printed. */
interface Parsed {
  readonly command: Command;
  readonly settings: Common;
}

/**
 * Runs one command line and returns its exit code: 0, 1 for a failure, 2 for wrong usage. Errors are printed, not
 * thrown. The signal cancels what is running; the exit code is then the caller's to decide.
 */
export async function runProgram(
  args: readonly string[],
  commands: readonly Command[],
  version: string,
  signal: AbortSignal,
): Promise<number> {
  let json = args.includes("--json");
  let endProgress = (): void => {};
  try {
    const parsed = parse(args, commands, version);
    if (parsed === null) return 0;
    const { command, settings } = parsed;
    json = settings.json;
    const terminal = createTerminal(settings, signal);
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

/** The settings without what nobody should read over a shoulder or in a log. */
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
  const named = commands.find(
    ({ name }) => name === args.find((arg) => commands.some((command) => command.name === arg)),
  );
  const program = createParser(commands, version, named, (command, settings) => {
    parsed = { command, settings };
  });
  try {
    program.parse(args.length === 0 ? ["--help"] : args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return null; // help or version, printed
    if (error.code === "commander.help") throw new CllmError("usage", `no command given; ${listCommands(commands)}`);
    const message = error.message.replace(/^error: /, "").replace(/\s*\n\s*/, " ");
    throw new CllmError("usage", `${message}${/[.)]$/.test(message) ? "" : ";"} see cllm --help`);
  }
  return parsed;
}

const listCommands = (commands: readonly Command[]): string =>
  `there are ${commands.map(({ name }) => name).join(", ")}`;

/**
 * The whole command line as commander has it; the command that runs goes to `onCommand` with its settings. Where the one
 * that is named has its own idea of a shared field, that is the flag's. Shared flags that it does not use are known all the
 * same, so that the error can say so, but its help has none of them.
 */
function createParser(
  commands: readonly Command[],
  version: string,
  named: Command | undefined,
  onCommand: (command: Command, settings: Common) => void,
): Parser {
  const program = new Parser("cllm")
    .description("Decode causal language models several tokens per pass, exactly.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true, helpWidth: Math.min(process.stdout.columns || 100, 110) })
    .configureOutput({ writeErr: () => {}, outputError: () => {} })
    .exitOverride();
  for (const [key, schema] of Object.entries(sharedFields)) {
    const option = optionOf(key, named?.fields[key] ?? schema);
    program.addOption(named === undefined || isUsed(named, key) ? option : option.hideHelp());
  }
  program.option("--config <file>", "JSON file with flags as camelCase keys; flags win over it");
  for (const command of commands) {
    const parser = program
      .command(command.name)
      .summary(command.summary)
      .description(command.details ? `${command.summary}\n\n${command.details}` : command.summary)
      .addHelpText("after", examplesOf(command));
    for (const [key, schema] of Object.entries(command.fields)) {
      if (Object.hasOwn(sharedFields, key)) continue; // the program's
      if (key === command.argument) {
        const argument = new Argument(`[${key}]`, schema.meta()?.description ?? "");
        parser.addArgument(argument);
        if (command.argumentOnly) continue;
      }
      parser.addOption(optionOf(key, schema));
    }
    parser.action(() => onCommand(command, settingsOf(command, parser)));
  }
  program.addHelpText(
    "after",
    '\nExamples:\n  cllm generate "What is a prime number?"\n  cllm bench --prompts prompts.jsonl --json\n  cllm info --model HuggingFaceTB/SmolLM2-135M-Instruct\n\nErrors carry a code; CLLM_DEBUG=1 adds the stack.',
  );
  return program;
}

const isUsed = ({ fields }: Command, key: string): boolean =>
  Object.hasOwn(commonFields, key) || Object.hasOwn(fields, key);

function examplesOf({ examples }: Command): string {
  return `\nExamples:\n${examples.map(([line, what]) => `  ${line}\n      ${what}`).join("\n")}`;
}

/** Defaults, then the configuration file, then what stands on the command line; checked against the command's fields. */
function settingsOf(command: Command, parser: Parser): Common {
  const fields: AnyFields = { ...commonFields, ...command.fields };
  const given: Record<string, unknown> = {};
  let configFile: string | undefined;
  const renamed = renamedKeys({ ...sharedFields, ...fields });
  for (const level of [parser.parent!, parser]) {
    for (const [key, value] of Object.entries(level.opts())) {
      if (level.getOptionValueSource(key) !== "cli") continue;
      if (key === "config") configFile = value as string;
      else given[renamed.get(key) ?? key] = value;
    }
  }
  const [argument] = parser.processedArgs as readonly unknown[];
  if (command.argument !== undefined && argument !== undefined) {
    const { argument: key } = command;
    if (given[key] !== undefined) {
      throw new CllmError("usage", `${flagOf(key, fields[key]!)} and the argument ${key} are both given; give one`);
    }
    given[key] = argument;
  }
  const configured = configFile === undefined ? {} : readConfig(configFile, fields, command.name);
  const known: AnyFields = { ...sharedFields, ...fields };
  const isFlag = (key: string): boolean =>
    Object.hasOwn(known, key) && !(command.argumentOnly && key === command.argument);
  const nameOf = (key: string): string => (isFlag(key) ? flagOf(key, known[key]!) : key);
  const all = { ...configured, ...given };
  const refuse = (key: string, reason: string | undefined): CllmError => {
    const why = reason === undefined ? "" : `: ${reason}`;
    return new CllmError("usage", `cllm ${command.name} does not use ${nameOf(key)}${why}; omit it`);
  };
  const foreign = Object.keys(all).find((key) => Object.hasOwn(sharedFields, key) && !isUsed(command, key));
  if (foreign !== undefined) throw refuse(foreign, command.foreign?.[foreign]);
  const settings = check(z.strictObject(fields), all, { what: `cllm ${command.name}`, nameOf });
  const unused = command.unused?.(settings) ?? {};
  const idle = Object.keys(all).find((key) => Object.hasOwn(unused, key));
  if (idle !== undefined) throw refuse(idle, unused[idle]);
  return settings as unknown as Common;
}

function readConfig(file: string, fields: AnyFields, name: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new CllmError("not-found", `--config: cannot read ${file}; give a JSON file`, { cause: error });
  }
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw new CllmError("usage", `--config: ${file} is not JSON (${(error as Error).message})`, { cause: error });
  }
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new CllmError("usage", `--config: ${file} must hold one JSON object with flags as keys`);
  }
  const unknown = Object.keys(config).find((key) => !Object.hasOwn(fields, key) && !Object.hasOwn(sharedFields, key));
  if (unknown !== undefined) {
    throw new CllmError("usage", unknownName(`--config ${file}: cllm ${name}`, unknown, Object.keys(fields)));
  }
  return config as Record<string, unknown>;
}
