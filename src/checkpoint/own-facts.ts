/**
 * `cllm.json` beside a checkpoint's configuration: what only this project knows about a model, and other readers pass over.
 * Knows no format of weights.
 */
import * as z from "zod";
import { CllmError } from "../error.ts";
import { type Folder, fileIn, optionalJsonIn } from "../files/folder.ts";

export const OWN_FACTS = "cllm.json";
const MAX_BYTES = 64 << 10;

/** What a model demonstrates: its questions are about the database that comes with the package. */
export type Demonstration = "text-to-sql";

export interface OwnFacts {
  /** The demonstration that the model is for; null for a model like any other. */
  readonly demonstration: Demonstration | null;
}

/** Those of a model like any other. */
export const NO_FACTS: OwnFacts = { demonstration: null };
const schema = z.strictObject({ demonstration: z.enum(["text-to-sql"]).nullable().default(null) });

/**
 * The facts in a checkpoint's directory; those of a model like any other where there is no such file, and for a path that is no
 * directory. Throws `bad-file` for a file that says what is not known.
 *
 * @example await readOwnFacts(diskFolder("models/text-to-sql")) // { demonstration: "text-to-sql" }
 */
export async function readOwnFacts(folder: Folder): Promise<OwnFacts> {
  const json = await optionalJsonIn(folder, OWN_FACTS, MAX_BYTES);
  if (json === null) return NO_FACTS;
  const facts = schema.safeParse(json);
  if (facts.success) return facts.data;
  const what = facts.error.issues[0]!.message;
  throw new CllmError(
    "bad-file",
    `${fileIn(folder, OWN_FACTS)} is not as this version of cllm writes it: ${what}; fetch it again`,
  );
}

/** The content of the file. */
export function ownFactsText(facts: OwnFacts): string {
  return `${JSON.stringify(facts, null, 2)}\n`;
}
