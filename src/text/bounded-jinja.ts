/**
 * Jinja templates from strangers: the library's interpreter, with bounds on the work, the memory and the time that a
 * template may take. Work is counted (nodes evaluated, and the sizes of the values they give); a clock stops what
 * counting cannot see, such as a regular expression or the writing out of a huge nested value. Knows nothing of chats.
 */
import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { withinTime } from "./within-time.ts";

/** What is used of the library's interpreter; the types it publishes do not resolve under Node's module rules. */
interface JinjaInterpreter {
  run(program: unknown): Value;
  evaluate(node: Node | undefined, environment: unknown): Value;
}
interface Value {
  readonly value: unknown;
}
const JinjaInterpreter = Interpreter as new (environment: unknown) => JinjaInterpreter;

export interface TemplateLimits {
  /** Nodes that a rendering may evaluate; large values count as many. Real templates need some tens a message. */
  readonly maxSteps?: number;
  /** Longest string, and most elements of an array, that a template may make. */
  readonly maxSize?: number;
  /** For parsing and for each rendering. */
  readonly timeoutMs?: number;
}

/** A template went past a limit; the message says which, going on from "the template". */
export class TemplateLimitError extends Error {
  override readonly name: string = "TemplateLimitError";
}

/** A parsed template. */
export interface BoundedTemplate {
  /**
   * Renders with `variables`, plain values and functions by name. Throws `TemplateLimitError`, `TimeLimitError`, or what
   * Jinja and the functions throw.
   */
  render(variables: Readonly<Record<string, unknown>>): string;
}

const MAX_TEMPLATE_LENGTH = 1 << 20;

/** Parses a template as transformers does: blocks take the line break after them and the indentation before. */
export function parseTemplate(
  template: string,
  { maxSteps = 5_000_000, maxSize = 1 << 22, timeoutMs = 2_000 }: TemplateLimits = {},
): BoundedTemplate {
  if (template.length > MAX_TEMPLATE_LENGTH) {
    throw new TemplateLimitError(`is ${template.length} characters long, and at most ${MAX_TEMPLATE_LENGTH} are read`);
  }
  const program = withinTime(timeoutMs, () => parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true })));

  return {
    render(variables) {
      const environment = new Environment();
      const constants = { true: true, True: true, false: false, False: false, none: null, None: null };
      const globals = { ...constants, range: (...bounds: number[]) => boundedRange(maxSize, bounds), ...variables };
      for (const [name, value] of Object.entries(globals)) environment.set(name, value);
      const interpreter = new BoundedInterpreter(environment, maxSteps, maxSize);
      return withinTime(timeoutMs, () => String(interpreter.run(program).value));
    },
  };
}

/** A node of the syntax tree, as far as it is looked at. */
interface Node {
  readonly type: string;
  readonly object?: Node;
  readonly property?: { readonly value?: unknown };
  readonly computed?: boolean;
}

/** Every value passes through `evaluate`, so counting there sees all of them. */
class BoundedInterpreter extends JinjaInterpreter {
  steps = 0;
  readonly maxSteps: number;
  readonly maxSize: number;

  constructor(environment: unknown, maxSteps: number, maxSize: number) {
    super(environment);
    this.maxSteps = maxSteps;
    this.maxSize = maxSize;
  }

  override evaluate(node: Node | undefined, environment: unknown): Value {
    const value = this.#strip(node, environment) ?? super.evaluate(node, environment);
    const content: unknown = value.value;
    const isText = typeof content === "string";
    const size = isText || Array.isArray(content) ? content.length : 0;
    if (size > this.maxSize) throw tooLarge(size, this.maxSize);
    this.steps += 1 + (isText ? size / 64 : size);
    if (this.steps > this.maxSteps) {
      throw new TemplateLimitError(`did not come to an end within ${this.maxSteps} steps`);
    }
    return value;
  }

  /** The methods `strip`, `lstrip` and `rstrip` of a string: the library's take no account of their argument. */
  #strip(node: Node | undefined, environment: unknown): Value | null {
    const method = node?.type === "MemberExpression" && !node.computed ? node.property?.value : null;
    if (method !== "strip" && method !== "lstrip" && method !== "rstrip") return null;
    const text = this.evaluate(node?.object, environment).value;
    if (typeof text !== "string") return null;
    return new Environment().set(method, (characters?: unknown) => strip(text, characters, method));
  }
}

/** Python's `strip`, `lstrip` and `rstrip`: of white space, or of any of `characters`. */
function strip(text: string, characters: unknown, method: "strip" | "lstrip" | "rstrip"): string {
  const drops = typeof characters === "string" ? (letter: string) => characters.includes(letter) : isSpace;
  const letters = Array.from(text);
  let start = 0;
  let end = letters.length;
  if (method !== "rstrip") while (start < end && drops(letters[start]!)) start++;
  if (method !== "lstrip") while (end > start && drops(letters[end - 1]!)) end--;
  return letters.slice(start, end).join("");
}

function isSpace(letter: string): boolean {
  return letter.trim() === "";
}

/** Python's `range`, for at most `maxSize` numbers. */
function boundedRange(maxSize: number, [first = 0, second, step = 1]: number[]): number[] {
  const start = second === undefined ? 0 : first;
  const stop = second === undefined ? first : second;
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!Number.isFinite(length)) throw new Error(`range(${start}, ${stop}, ${step}) has no end`);
  if (length > maxSize) throw tooLarge(length, maxSize);
  return Array.from({ length }, (_, i) => start + i * step);
}

function tooLarge(size: number, maxSize: number): TemplateLimitError {
  return new TemplateLimitError(`made a value of ${size} elements, and at most ${maxSize} are allowed`);
}
