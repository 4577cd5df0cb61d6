/**
 * Arguments of built-in functions: bound to names by a signature such as `old, new, count=`, as Python does. A name that
 * ends with `=` may be left out; `/` makes those before it positional only. Knows no function.
 */

import { JinjaError } from "./error.ts";
import { asIndex } from "./numbers.ts";
import { Callable, type Kwargs, type Native, textOf, typeName, type Value } from "./values.ts";

interface Parameter {
  readonly name: string;
  readonly optional: boolean;
  readonly positionalOnly: boolean;
}

function parametersOf(signature: string): Parameter[] {
  const names = signature.split(",").map((name) => name.trim());
  const slash = names.indexOf("/");
  return names
    .map((name, i) => ({ name: name.replace("=", ""), optional: name.endsWith("="), positionalOnly: i < slash }))
    .filter(({ name }) => name !== "/" && name !== "");
}

/** A function of named parameters; what is left out comes as undefined. */
export function bound(name: string, signature: string, work: (...values: (Value | undefined)[]) => Value): Native {
  const parameters = parametersOf(signature);
  return (args, kwargs) => work(...bind(name, parameters, args, kwargs));
}

function bind(
  name: string,
  parameters: readonly Parameter[],
  args: readonly Value[],
  kwargs: Kwargs,
): (Value | undefined)[] {
  if (args.length > parameters.length) {
    throw new JinjaError("type", `${name}() takes at most ${parameters.length} arguments (${args.length} given)`);
  }
  for (const key of kwargs.keys()) {
    const index = parameters.findIndex((parameter) => parameter.name === key && !parameter.positionalOnly);
    if (index < 0) throw new JinjaError("type", `${name}() got an unexpected keyword argument '${key}'`);
    if (index < args.length) throw new JinjaError("type", `${name}() got multiple values for argument '${key}'`);
  }
  return parameters.map((parameter, i) => {
    const value = i < args.length ? args[i] : parameter.positionalOnly ? undefined : kwargs.get(parameter.name);
    if (value === undefined && !parameter.optional) {
      throw new JinjaError("type", `${name}() is missing the argument '${parameter.name}'`);
    }
    return value;
  });
}

/** A built-in method or function as a value. */
export function native(name: string, signature: string, work: (...values: (Value | undefined)[]) => Value): Callable {
  return new Callable(name, bound(name, signature, work), "built-in function");
}

/** An argument that must be a text. */
export function needText(value: Value | undefined, what: string): string {
  const text = value === undefined ? null : textOf(value);
  if (text === null) throw new JinjaError("type", `${what} must be str, not ${typeName(value ?? null)}`);
  return text;
}

/** An argument that is a whole number, or `fallback` where it is left out. */
export function intOr(value: Value | undefined, fallback: number): number {
  return value === undefined ? fallback : asIndex(value);
}

/** The same where None stands for left out too. */
export function intOrNone(value: Value | undefined, fallback: number): number {
  return value === undefined || value === null ? fallback : asIndex(value);
}
