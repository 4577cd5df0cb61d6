/**
 * What goes wrong in a template, as Python's and Jinja's exceptions: some filters catch one kind and not another.
 * Knows no template.
 */

export type ErrorKind =
  | ("syntax" | "undefined" | "security" | "runtime" | "type" | "value" | "lookup" | "overflow" | "zero-division")
  | "unsupported";

/** A template is wrong, or does what Jinja forbids. */
export class JinjaError extends Error {
  override readonly name: string = "JinjaError";
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** Whether an error is of one of the kinds. */
export function isKind(error: unknown, ...kinds: readonly ErrorKind[]): boolean {
  return error instanceof JinjaError && kinds.includes(error.kind);
}
