/**
 * The command line as commander has it: commands with their flags, what `--help` shows of them, and what was given. Knows no
 * command in particular and checks no values.
 */
import { Argument, Help, Option, Command as Parser } from "commander";
import type { Command } from "./command.ts";
import { optionOf, renamedKeys } from "./flags.ts";
import { GENERAL_MODEL } from "./model.ts";
import { type Given, isUsed, sharedFields } from "./settings.ts";

/**
 * The whole command line; the command that runs goes to `onCommand` with what was given. If the named command defines a
 * shared field itself, its definition makes the flag. Shared flags that it does not use are known all the same, so that
 * the error can say so, but its help has none of them.
 */
export function createParser(
  commands: readonly Command[],
  version: string,
  named: Command | undefined,
  onCommand: (command: Command, given: Given) => void,
): Parser {
  const program = new Parser("cllm")
    .description("Decode causal language models several tokens per pass, exactly.")
    .version(version, "-V, --version", "print the version")
    .addHelpOption(new Option("-h, --help", "show help").helpGroup("General:"))
    .helpCommand(false)
    .configureHelp({ visibleOptions: optionsOf, helpWidth: Math.min(process.stdout.columns || 100, 110) })
    .configureOutput({ writeErr: () => {}, outputError: () => {} })
    .exitOverride();
  for (const [key, schema] of Object.entries(sharedFields)) {
    const option = optionOf(key, named?.fields[key] ?? schema);
    program.addOption(named === undefined || isUsed(named, key) ? option : option.hideHelp());
  }
  const config = new Option("--config <file>", "JSON file with flags as camelCase keys; flags win over it");
  program.addOption(config.helpGroup("General:"));
  for (const command of commands) {
    const parser = program
      .command(command.name)
      .summary(command.summary)
      .description(command.details ? `${command.summary}\n\n${command.details}` : command.summary)
      .addHelpText("after", shown(command.examples));
    for (const [key, schema] of Object.entries(command.fields)) {
      if (Object.hasOwn(sharedFields, key)) continue; // the program's
      if (key === command.argument) {
        const argument = new Argument(`[${key}]`, schema.meta()?.description ?? "");
        parser.addArgument(argument);
        if (command.argumentOnly) continue;
      }
      parser.addOption(optionOf(key, schema));
    }
    parser.action(() => onCommand(command, givenTo(command, parser)));
  }
  program.addHelpText(
    "after",
    `${shown(EXAMPLES)}\n\ncllm COMMAND --help has a command's options and examples. Errors carry a code; CLLM_DEBUG=1 adds the stack.`,
  );
  return program;
}

/** What `cllm --help` shows. */
export const EXAMPLES: Command["examples"] = [
  ["cllm demo", "the model that comes with cllm answers questions to a small database"],
  ['cllm generate "Which bands have no concerts? Show the name."', "the same model, one question"],
  [`cllm generate --model ${GENERAL_MODEL} "What is a prime number?"`, "a general model, fetched once"],
  [`cllm serve --model ${GENERAL_MODEL}`, "the same behind OpenAI's HTTP interface"],
];

const shown = (examples: Command["examples"]): string =>
  `\nExamples:\n${examples.map(([line, what]) => `  ${line}\n      ${what}`).join("\n")}`;

/** A command's options and those of the whole program, in one list: their groups say what they are for. */
function optionsOf(parser: Parser): Option[] {
  const plain = new Help();
  const own = plain.visibleOptions(parser);
  if (parser.parent === null) return own;
  const [help, ...rest] = [own.find(({ long }) => long === "--help")!, ...own.filter(({ long }) => long !== "--help")];
  return [...rest, ...plain.visibleOptions(parser.parent).filter(({ long }) => !NOT_BELOW.has(long!)), help];
}

const NOT_BELOW = new Set(["--help", "--version"]);

function givenTo(command: Command, parser: Parser): Given {
  const flags: Record<string, unknown> = {};
  let configFile: string | undefined;
  const renamed = renamedKeys({ ...sharedFields, ...command.fields });
  for (const level of [parser.parent!, parser]) {
    for (const [key, value] of Object.entries(level.opts())) {
      if (level.getOptionValueSource(key) !== "cli") continue;
      if (key === "config") configFile = value as string;
      else flags[renamed.get(key) ?? key] = value;
    }
  }
  const [argument] = parser.processedArgs as readonly unknown[];
  return { flags, argument, configFile };
}
