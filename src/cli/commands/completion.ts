/**
 * `cllm completion`: a script that teaches a shell the commands, their flags and the values of those. Made from the
 * same schemas as the flags themselves, so it is always up to date.
 */
import * as z from "zod";
import { type Command, commonFields, defineCommand } from "../command.ts";
import { type Field, flagOf, readField } from "../flags.ts";

type Shell = "bash" | "zsh" | "fish";
const SHELLS: readonly Shell[] = ["bash", "zsh", "fish"];

interface Flag {
  readonly name: string;
  readonly description: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

export function defineCompletion(others: readonly Command[]): Command {
  const completion: Command = defineCommand<{ readonly shell: Shell }>({
    name: "completion",
    summary: "Print a completion script for bash, zsh or fish",
    fields: { shell: z.enum(SHELLS).meta({ description: "the shell: bash, zsh or fish" }) },
    argument: "shell",
    argumentOnly: true,
    examples: [
      ["cllm completion bash >> ~/.bashrc", "complete in every new bash"],
      ["cllm completion zsh > ~/.zfunc/_cllm", "the same for zsh, where ~/.zfunc is in fpath"],
      ["cllm completion fish > ~/.config/fish/completions/cllm.fish", "the same for fish"],
    ],
    async run({ shell }, terminal) {
      const commands = [...others, completion].map((command) => ({
        name: command.name,
        summary: command.summary,
        flags: flagsOf(command),
        values: command.argumentOnly ? SHELLS : [],
      }));
      terminal.write({ bash, zsh, fish }[shell](commands));
    },
  });
  return completion;
}

interface Completable {
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly Flag[];
  /** What may stand as its argument. */
  readonly values: readonly string[];
}

function flagsOf(command: Command): readonly Flag[] {
  const fields = { ...commonFields, ...command.fields };
  const flags = Object.entries(fields)
    .filter(([key]) => !(command.argumentOnly && key === command.argument))
    .map(([key, schema]) => toFlag(flagOf(key, schema), readField(schema)));
  const config = { name: "--config", description: "JSON file with flags as keys", takesValue: true, choices: [] };
  return [...flags, config, { name: "--help", description: "show help", takesValue: false, choices: [] }];
}

function toFlag(name: string, field: Field): Flag {
  return {
    name,
    description: field.meta.description ?? "",
    takesValue: field.type !== "boolean",
    choices: field.choices.length > 0 ? field.choices : (field.element?.choices ?? []),
  };
}

function bash(commands: readonly Completable[]): string {
  const cases = commands.map(({ name, flags, values }) => {
    const words = [...flags.map((flag) => flag.name), ...values].join(" ");
    return `    ${name}) words="${words}" ;;`;
  });
  const withChoices = new Map(
    commands
      .flatMap(({ flags }) => flags)
      .filter(({ choices }) => choices.length > 0)
      .map((flag) => [flag.name, flag.choices]),
  );
  const withFiles = new Set(
    commands
      .flatMap(({ flags }) => flags)
      .filter(({ takesValue, choices }) => takesValue && choices.length === 0)
      .map(({ name }) => name),
  );
  return `# bash completion for cllm
_cllm() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command="" word words
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      ${commands.map(({ name }) => name).join("|")}) command=$word; break ;;
    esac
  done
  case $previous in
${[...withChoices].map(([name, choices]) => `    ${name}) COMPREPLY=($(compgen -W "${choices.join(" ")}" -- "$current")); return ;;`).join("\n")}
    ${[...withFiles].join("|")}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  case $command in
${cases.join("\n")}
    *) words="${commands.map(({ name }) => name).join(" ")} --help --version" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o filenames -F _cllm cllm
`;
}

function zsh(commands: readonly Completable[]): string {
  const text = (description: string): string =>
    description.replaceAll(/[[\]:'\\]/g, (character) => (character === "'" ? "'\\''" : `\\${character}`));
  const one = ({ name, flags, values }: Completable): string => {
    const lines = flags.map(({ name: flag, description, takesValue, choices }) => {
      const value = !takesValue ? "" : choices.length > 0 ? `:value:(${choices.join(" ")})` : ":value:_files";
      return `        '${flag}[${text(description)}]${value}'`;
    });
    if (values.length > 0) lines.push(`        '1:value:(${values.join(" ")})'`);
    return `      ${name})\n        _arguments \\\n  ${lines.join(" \\\n  ")}\n        ;;`;
  };
  return `#compdef cllm
_cllm() {
  local -a commands
  commands=(
${commands.map(({ name, summary }) => `    '${name}:${text(summary)}'`).join("\n")}
  )
  local line state
  _arguments -C '1: :->command' '*:: :->rest'
  case $state in
    command) _describe 'command' commands ;;
    rest)
      case $line[1] in
${commands.map(one).join("\n")}
      esac
      ;;
  esac
}
if [ "$funcstack[1]" = "_cllm" ]; then _cllm "$@"; else compdef _cllm cllm; fi
`;
}

function fish(commands: readonly Completable[]): string {
  const quote = (text: string): string => `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
  const lines = ["# fish completion for cllm", "complete -c cllm -f"];
  for (const { name, summary, flags, values } of commands) {
    const within = `__fish_seen_subcommand_from ${name}`;
    lines.push(`complete -c cllm -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`);
    if (values.length > 0) lines.push(`complete -c cllm -n ${quote(within)} -a ${quote(values.join(" "))}`);
    for (const { name: flag, description, takesValue, choices } of flags) {
      const value = !takesValue ? "" : choices.length > 0 ? ` -x -a ${quote(choices.join(" "))}` : " -r -F";
      lines.push(`complete -c cllm -n ${quote(within)} -l ${flag.slice(2)}${value} -d ${quote(description)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
