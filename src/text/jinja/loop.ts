/**
 * The variable `loop`: where a loop is, and what comes before and after. Knows no template.
 */
import { native } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { JinjaError } from "./error.ts";
import { iterate, lengthOf } from "./sequences.ts";
import { Callable, equal, PyObject, Tuple, Undefined, type Value } from "./values.ts";

export class Loop extends PyObject {
  readonly type = "LoopContext";
  /** Runs the loop once more, over other values; null where it is not recursive. */
  readonly recurse: ((values: Value) => Value) | null;
  readonly #budget: Budget;
  readonly #depth: number;
  #iterator: Iterator<Value>;
  #length: number | null;
  #index = -1;
  #previous: Value | undefined;
  #current: Value | undefined;
  #ahead: IteratorResult<Value> | null = null;
  #changed: readonly Value[] | null = null;

  constructor(values: Value, depth: number, recurse: ((values: Value) => Value) | null, budget: Budget) {
    super();
    this.#iterator = iterate(values, budget);
    this.#length = lengthOf(values);
    this.#depth = depth;
    this.recurse = recurse;
    this.#budget = budget;
  }

  /** Goes to the next value; undefined at the end. */
  advance(): Value | undefined {
    const { done, value } = this.#peek();
    if (done) return undefined;
    this.#ahead = null;
    this.#previous = this.#current;
    this.#current = value;
    this.#index++;
    return value;
  }

  #peek(): IteratorResult<Value> {
    this.#ahead ??= this.#iterator.next();
    return this.#ahead;
  }

  /** The number of values; of a generator, they are all taken for it. */
  #count(): number {
    if (this.#length !== null) return this.#length;
    const rest: Value[] = [];
    for (let next = this.#peek(); !next.done; next = this.#peek()) {
      rest.push(next.value);
      this.#ahead = null;
      if (rest.length > this.#budget.maxSize) this.#budget.size(rest.length);
    }
    this.#iterator = rest[Symbol.iterator]();
    this.#ahead = null;
    this.#length = this.#index + 1 + rest.length;
    return this.#length;
  }

  override shown(): string {
    return `<LoopContext ${this.#index + 1}/${this.#count()}>`;
  }

  override attribute(name: string): Value | undefined {
    const index = this.#index;
    switch (name) {
      case "index":
        return index + 1;
      case "index0":
        return index;
      case "revindex":
        return this.#count() - index;
      case "revindex0":
        return this.#count() - index - 1;
      case "first":
        return index === 0;
      case "last":
        return this.#peek().done === true;
      case "length":
        return this.#count();
      case "depth":
        return this.#depth + 1;
      case "depth0":
        return this.#depth;
      case "previtem":
        return this.#previous === undefined ? new Undefined("there is no previous item") : this.#previous;
      case "nextitem": {
        const next = this.#peek();
        return next.done ? new Undefined("there is no next item") : next.value;
      }
      case "cycle":
        return new Callable(name, (args) => {
          if (args.length === 0) throw new JinjaError("type", "no items for cycling given");
          return args[index % args.length]!;
        });
      case "changed":
        return new Callable(name, (args) => {
          const same = this.#changed !== null && equal(new Tuple(this.#changed), new Tuple(args), this.#budget);
          this.#changed = args;
          return !same;
        });
      default:
        return undefined;
    }
  }
}

/** A block of the template that can be written again: `self.name()`. */
export class TemplateReference extends PyObject {
  readonly type = "TemplateReference";
  readonly #block: (name: string) => (() => Value) | null;
  constructor(block: (name: string) => (() => Value) | null) {
    super();
    this.#block = block;
  }
  override attribute(name: string): Value | undefined {
    const write = this.#block(name);
    return write === null ? undefined : native(name, "", write);
  }
}
