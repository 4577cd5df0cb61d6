/**
 * What a command is: a name, fields that make its flags, its configuration file and its help, and what it does with
 * them. A command declares each field that it uses; any other is an error. Knows no command in particular and nothing of
 * how arguments are parsed.
 */
import * as z from "zod";
import { type Fields, type LoadSettings, loadFields } from "../generate/options.ts";
import { type AnyFields, inGroup } from "./flags.ts";
import type { Terminal } from "./terminal.ts";

/** What every command understands: how it talks. */
export interface Common {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly color: boolean;
}

export const commonFields: Fields<Common> = inGroup("General", {
  json: z.boolean().default(false).meta({ description: "results and errors as JSON" }),
  quiet: z.boolean().default(false).meta({ description: "no notes and no progress bars", short: "q" }),
  verbose: z.boolean().default(false).meta({ description: "print the resolved configuration first" }),
  color: z.boolean().default(true).meta({ description: "no colours, as with NO_COLOR=1" }),
});

/** Which model, and how it is opened. A command takes those that it uses into its fields. */
export interface ModelSettings
  extends Pick<
    LoadSettings,
    | "precision"
    | "dtype"
    | "device"
    | "threads"
    | "contextLength"
    | "offline"
    | "revision"
    | "cacheDir"
    | "cache"
    | "cacheLimit"
    | "adapter"
    | "template"
    | "templateOptions"
  > {
  readonly model: string | undefined;
  readonly draftAdapter?: LoadSettings["draftAdapter"];
  readonly draftModel?: LoadSettings["draftModel"];
  readonly medusaHeads?: LoadSettings["medusaHeads"];
  readonly ngrams?: LoadSettings["ngrams"];
  readonly suffixMemory?: LoadSettings["suffixMemory"];
}

export const modelFields: Fields<ModelSettings> = inGroup("Model", {
  model: z.string().min(1).optional().meta({
    description: "GGUF file, directory or hub id; default: CLLM_MODEL, or the file or folder in CLLM_MODELS",
    placeholder: "model",
    short: "m",
  }),
  ...loadFields,
});

/** What decoders draft from, and no text depends on. */
export type DraftSettings = Pick<
  ModelSettings,
  "draftAdapter" | "draftModel" | "medusaHeads" | "ngrams" | "suffixMemory"
>;

const {
  draftAdapter: _adapter,
  draftModel: _model,
  medusaHeads: _heads,
  ngrams: _ngrams,
  suffixMemory: _memory,
  ...alone
} = modelFields;
/** Those of commands that draft from nothing. */
export const undraftedFields: Fields<Omit<ModelSettings, keyof DraftSettings>> = alone;

/** What it takes to find and read a checkpoint: for commands that compile none. */
export type CheckpointSettings = Pick<ModelSettings, "model" | "offline" | "revision" | "cacheDir">;

const { model, offline, revision, cacheDir } = modelFields;
export const checkpointFields: Fields<CheckpointSettings> = { model, offline, revision, cacheDir };

interface CommandOf<Settings> {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What else its help should say; may be empty. */
  readonly details?: string;
  /** The field that may also stand as a plain argument. */
  readonly argument?: keyof Settings & string;
  /** Fields that are only an argument, never a flag. */
  readonly argumentOnly?: boolean;
  /** Headings of its help, each with the fields below it; the others stand below `Options`. */
  readonly groups?: Readonly<Record<string, readonly (keyof Settings & string)[]>>;
  /** Command lines that work, each with what it does. */
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** Options of other commands that this one does not have, where there is more to say than that. */
  readonly foreign?: Unused;
}

/** Options by key, each with why it is not used: what follows a colon, such as `training is in float32`. */
export type Unused = Readonly<Record<string, string>>;

/** A command as the program sees it: which fields, and what to run once they are checked. */
export interface Command extends CommandOf<Record<string, unknown>> {
  readonly fields: AnyFields;
  unused?(settings: unknown): Unused;
  run(settings: unknown, terminal: Terminal): Promise<void>;
}

/**
 * Ties a command's fields to the settings that its `run` gets; a field of its own goes before the common one. `unused` says
 * which options these settings leave without a use; giving one of them is an error.
 */
export function defineCommand<Settings extends object>(
  command: CommandOf<Settings> & {
    readonly fields: Fields<Settings>;
    unused?(settings: Settings): Unused;
    run(settings: Settings & Omit<Common, keyof Settings>, terminal: Terminal): Promise<void>;
  },
): Command {
  const { fields, groups = {} } = command as unknown as Command;
  const grouped = Object.entries(groups).map(([group, keys]) =>
    inGroup(group, Object.fromEntries(keys.map((key) => [key, fields[key]!]))),
  );
  return { ...(command as unknown as Command), fields: { ...fields, ...Object.assign({}, ...grouped) } };
}
