/**
 * Which model something was collected from, so that no model is trained on another one's points: fingerprints of
 * weights and tokenizer that depend on neither path, machine nor precision. Knows no file format.
 */
import { createHash } from "node:crypto";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { CllmError } from "../error.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

export interface ModelIdentity {
  /** For people: the hub id, or the name of the directory or file. */
  readonly name: string;
  readonly vocabSize: number;
  /** Of the configuration and of one row of each tensor, as they are stored. */
  readonly weights: string;
  /** Of the bytes that each id stands for. */
  readonly tokenizer: string;
}

/** What must be the same; what is left out may be anything. */
export type ExpectedIdentity = { readonly [K in keyof ModelIdentity]?: ModelIdentity[K] | undefined };

/** Reads a little of every tensor, so the checkpoint must be open. With an adapter, give the weights it is merged into. */
export async function identify(
  { name, config, weights }: Pick<Checkpoint, "name" | "config" | "weights">,
  tokenizer: Tokenizer,
): Promise<ModelIdentity> {
  const hash = createHash("sha256").update(JSON.stringify(Object.entries(config).sort()));
  for (const tensor of [...weights.names()].sort()) {
    const shape = weights.shape(tensor);
    const row = await (shape.length > 1 ? weights.read(tensor, 0, 1) : weights.read(tensor));
    hash.update(JSON.stringify([tensor, shape]));
    hash.update(new Uint8Array(row.buffer, row.byteOffset, row.byteLength));
  }
  return {
    name,
    vocabSize: config.vocabSize,
    weights: hash.digest("hex").slice(0, 32),
    tokenizer: tokenizerFingerprint(tokenizer),
  };
}

/** The same for any two tokenizers whose ids stand for the same bytes. */
export function tokenizerFingerprint(tokenizer: Tokenizer): string {
  const hash = createHash("sha256");
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    const bytes = tokenizer.tokenBytes(id);
    hash.update(Int32Array.of(bytes.length)).update(bytes);
  }
  return hash.digest("hex").slice(0, 32);
}

/** Throws `bad-input` where `found`, which `what` says of itself, is not the model that is expected. */
export function requireIdentity(what: string, found: ModelIdentity, expected: ExpectedIdentity): void {
  const differs = (key: keyof ModelIdentity): boolean => expected[key] !== undefined && expected[key] !== found[key];
  const than = expected.name === undefined ? "the present model's" : `that of ${expected.name}`;
  if (differs("vocabSize") || differs("tokenizer")) {
    const sizes = differs("vocabSize") ? ` (${found.vocabSize} ids, not ${expected.vocabSize})` : "";
    throw new CllmError(
      "bad-input",
      `${what} was collected from ${found.name}, whose tokenizer is not ${than}${sizes}: collect from this model`,
    );
  }
  if (differs("weights") || (expected.weights === undefined && differs("name"))) {
    const whose = expected.name === undefined ? "the present one" : expected.name;
    const same = expected.name === found.name ? " (the same name, but other weights)" : "";
    throw new CllmError(
      "bad-input",
      `${what} was collected from another model: ${found.name}, not ${whose}${same}; collect from this model, or give ` +
        "that one",
    );
  }
}
