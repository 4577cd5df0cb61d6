/**
 * Jinja templates from strangers, rendered as Jinja2 does with transformers' settings: white space of blocks trimmed,
 * sandboxed, `break` and `continue`, its own `tojson`. Bounded in steps, sizes, depth and time. Needs nothing of Node. By
 * hand, because no library writes what Jinja2 writes (`bench/peers/README.md` counts). An error where Jinja2 has none:
 * `urlize`, `random`, `lipsum`, `pprint` of several lines, bytes. Knows no chat.
 */
import { native } from "./arguments.ts";
import type { Template } from "./ast.ts";
import { Budget, TemplateLimitError, type TemplateLimits } from "./budget.ts";
import { JinjaError } from "./error.ts";
import { SEQUENCE_FILTERS } from "./filters-sequence.ts";
import { TEXT_FILTERS } from "./filters-text.ts";
import { globals } from "./globals.ts";
import { type Builtins, Interpreter } from "./interpreter.ts";
import { parse } from "./parser.ts";
import { str } from "./show.ts";
import { TESTS } from "./tests.ts";
import { Dict, Float, type Value } from "./values.ts";

/** A function of the template that takes and gives a text. */
export type TextFunction = (text: string) => string;

/** A parsed template. */
export interface ParsedTemplate {
  /**
   * Renders with `variables`, JSON values by name, and `functions`. Throws `TemplateLimitError`, `JinjaError`, or what the
   * functions throw.
   */
  render(variables: Readonly<Record<string, unknown>>, functions?: Readonly<Record<string, TextFunction>>): string;
}

const MAX_TEMPLATE_LENGTH = 1 << 20;
const MAX_DEPTH = 100; // of variables

const FILTERS: Builtins = new Map([...TEXT_FILTERS, ...SEQUENCE_FILTERS]);
const KNOWN = { has: (what: "filter" | "test", name: string) => (what === "filter" ? FILTERS : TESTS).has(name) };

/** Parses a template. Throws `TemplateLimitError` or `JinjaError`. */
export function parseTemplate(template: string, limits: TemplateLimits = {}): ParsedTemplate {
  if (template.length > MAX_TEMPLATE_LENGTH) {
    throw new TemplateLimitError(`is ${template.length} characters long, and at most ${MAX_TEMPLATE_LENGTH} are read`);
  }
  const tree: Template = withinStack(() => parse(template, KNOWN));
  return {
    render(variables, functions = {}) {
      const budget = new Budget(limits);
      const given = Object.entries(functions).map(([name, work]): [string, Value] => [
        name,
        native(name, "text", (value) => budget.text(work(str(value!, budget)))),
      ]);
      const values = Object.entries(variables).map(([name, value]): [string, Value] => [name, toValue(value, budget)]);
      const interpreter = new Interpreter(tree, FILTERS, TESTS, budget);
      return withinStack(() => interpreter.run([...globals(budget), ...given, ...values]));
    },
  };
}

/** What nests so deep that the engine's stack ends is past a limit too. */
function withinStack<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new TemplateLimitError(`nests too deep or grows too large (${error.message})`);
  }
}

/** A JSON value as a template's: what is undefined is absent, and numbers that are not whole are floats. */
function toValue(value: unknown, budget: Budget, depth = 0): Value {
  budget.step();
  if (depth > MAX_DEPTH)
    throw new TemplateLimitError(`gets variables that are nested more than ${MAX_DEPTH} levels deep`);
  if (value === null || value === undefined || typeof value === "boolean" || typeof value === "string")
    return value ?? null;
  if (typeof value === "number") return Number.isSafeInteger(value) ? value : new Float(value);
  if (Array.isArray(value)) return value.map((item) => toValue(item, budget, depth + 1));
  if (typeof value !== "object") throw new JinjaError("type", `a variable is a ${typeof value}, and not a JSON value`);
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Dict.of(
    entries.map(([key, item]) => [key, toValue(item, budget, depth + 1)] as const),
    budget,
  );
}
