/**
 * A template's rendering: statements write, expressions give values. Every statement and expression counts against the
 * budget. Knows no text of a template and no chat.
 */
import type { Arguments, Expression, FilterExpression, MacroBody, Statement, Target, Template } from "./ast.ts";
import { attributeOf, elementOf } from "./attributes.ts";
import type { Budget } from "./budget.ts";
import type { Builtin, Rendering } from "./builtins.ts";
import { JinjaError } from "./error.ts";
import { Loop, TemplateReference } from "./loop.ts";
import { binary, compares, unary } from "./operators.ts";
import { Output, Scope } from "./scope.ts";
import { each, lazily, listOf, slice } from "./sequences.ts";
import { escapeHtml, str } from "./show.ts";
import {
  Callable,
  Dict,
  type Kwargs,
  Markup,
  Namespace,
  type Native,
  Tuple,
  textOf,
  truthy,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

type Jump = "break" | "continue" | null;

export type Builtins = ReadonlyMap<string, Builtin>;

export class Interpreter implements Rendering {
  readonly budget: Budget;
  autoescape = false;
  readonly #template: Template;
  readonly #filters: Builtins;
  readonly #tests: Builtins;
  readonly #made = new Map<Builtin, Native>();
  #output: Output;
  #root = new Scope(null);

  constructor(template: Template, filters: Builtins, tests: Builtins, budget: Budget) {
    this.#template = template;
    this.#filters = filters;
    this.#tests = tests;
    this.budget = budget;
    this.#output = new Output(budget);
  }

  /** The text that the template writes, given its variables. */
  run(variables: Iterable<readonly [string, Value]>): string {
    const context = new Scope(null);
    context.set("self", new TemplateReference((name) => this.#blockWriter(name)));
    for (const [name, value] of variables) context.set(name, value);
    this.#root = new Scope(context);
    this.#execute(this.#template.body, this.#root);
    return this.#output.text();
  }

  has(what: "filter" | "test", name: string): boolean {
    return (what === "filter" ? this.#filters : this.#tests).has(name);
  }

  filter(name: string): Native {
    return this.#builtin(this.#filters.get(name), `no filter named '${name}'`);
  }

  test(name: string): Native {
    return this.#builtin(this.#tests.get(name), `no test named '${name}'`);
  }

  #builtin(builtin: Builtin | undefined, missing: string): Native {
    if (builtin === undefined) throw new JinjaError("runtime", missing);
    const native = this.#made.get(builtin) ?? builtin(this);
    this.#made.set(builtin, native);
    return native;
  }

  #execute(statements: readonly Statement[], scope: Scope): Jump {
    for (const statement of statements) {
      this.budget.step();
      const jump = this.#statement(statement, scope);
      if (jump !== null) return jump;
    }
    return null;
  }

  #statement(statement: Statement, scope: Scope): Jump {
    switch (statement.type) {
      case "data":
        this.#output.write(statement.text);
        return null;
      case "output":
        this.#write(this.#evaluate(statement.value, scope));
        return null;
      case "set":
        this.#assign(statement.target, this.#evaluate(statement.value, scope), scope);
        return null;
      case "set-block": {
        const text = this.#captured(statement.body, scope);
        const { filter } = statement;
        this.#assign(statement.target, filter === null ? text : this.#filtered(filter, text, scope), scope);
        return null;
      }
      case "if": {
        const branch = statement.branches.find(([test]) => truthy(this.#evaluate(test, scope)));
        return this.#execute(branch === undefined ? statement.otherwise : branch[1], scope);
      }
      case "for":
        this.#for(statement, scope);
        return null;
      case "break":
      case "continue":
        return statement.type;
      case "with": {
        const inner = new Scope(scope);
        const values = statement.values.map(([, value]) => this.#evaluate(value, scope));
        for (const [i, [target]] of statement.values.entries()) this.#assign(target, values[i]!, inner);
        return this.#execute(statement.body, inner);
      }
      case "macro":
        scope.set(statement.macro.name, this.#macro(statement.macro, scope));
        return null;
      case "call-block": {
        const caller = new Map([["caller", this.#macro(statement.macro, scope)]]);
        this.#write(this.#call(statement.call.callee, statement.call.arguments, scope, caller));
        return null;
      }
      case "filter-block":
        this.#write(this.#filtered(statement.filter, this.#captured(statement.body, scope), scope));
        return null;
      case "block":
        this.#block(statement, scope);
        return null;
      case "autoescape":
        return this.#autoescaped(truthy(this.#evaluate(statement.on, scope)), () =>
          this.#execute(statement.body, new Scope(scope)),
        );
      case "generation":
        this.#execute(statement.body, new Scope(scope));
        return null;
      case "load":
        throw new JinjaError("type", `${statement.statement}: no loader for this environment specified`);
    }
  }

  #write(value: Value): void {
    this.#output.write(this.autoescape ? escapeHtml(value, this.budget).text : str(value, this.budget));
  }

  #autoescaped<T>(on: boolean, work: () => T): T {
    const before = this.autoescape;
    this.autoescape = on;
    try {
      return work();
    } finally {
      this.autoescape = before;
    }
  }

  /** What `work` writes, as a text. */
  #written(work: () => void): Value {
    const before = this.#output;
    this.#output = new Output(this.budget);
    try {
      work();
      const text = this.#output.text();
      return this.autoescape ? new Markup(text) : text;
    } finally {
      this.#output = before;
    }
  }

  #captured(body: readonly Statement[], scope: Scope): Value {
    return this.#written(() => this.#execute(body, new Scope(scope)));
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    if (target.type === "name") scope.set(target.name, value);
    else if (target.type === "namespace") {
      const namespace = scope.get(target.name);
      if (!(namespace instanceof Namespace)) {
        throw new JinjaError("runtime", "cannot assign attribute on non-namespace object");
      }
      namespace.set(target.attribute, value);
    } else {
      const values = listOf(value, this.budget);
      const [wanted, found] = [target.items.length, values.length];
      if (found > wanted) throw new JinjaError("value", `too many values to unpack (expected ${wanted})`);
      if (found < wanted)
        throw new JinjaError("value", `not enough values to unpack (expected ${wanted}, got ${found})`);
      for (const [i, item] of target.items.entries()) this.#assign(item, values[i]!, scope);
    }
  }

  #for(statement: Extract<Statement, { type: "for" }>, scope: Scope, values?: Value, depth = 0): void {
    const all = values === undefined ? this.#evaluate(statement.values, scope) : values;
    const { test } = statement;
    const { budget } = this;
    const passing = test === null ? all : lazily("loop_filter", () => this.#passing(statement, test, all, scope));
    const recurse = (inner: Value): Value =>
      budget.nested(() => this.#written(() => this.#for(statement, scope, inner, depth + 1)));
    const loop = new Loop(passing, depth, statement.recursive ? recurse : null, budget);
    let ran = false; // through a whole body: Jinja's else does not count those that break or continue
    for (let value = loop.advance(); value !== undefined; value = loop.advance()) {
      const inner = new Scope(scope);
      inner.set("loop", loop);
      this.#assign(statement.target, value, inner);
      const jump = this.#execute(statement.body, inner);
      if (jump === "break") break;
      if (jump === null) ran = true;
    }
    if (!ran) this.#execute(statement.otherwise, new Scope(scope));
  }

  *#passing(
    { target }: Extract<Statement, { type: "for" }>,
    test: Expression,
    values: Value,
    scope: Scope,
  ): Generator<Value> {
    for (const value of each(values, this.budget)) {
      const inner = new Scope(scope);
      this.#assign(target, value, inner);
      if (truthy(this.#evaluate(test, inner))) yield value;
    }
  }

  #macro({ name, parameters, body, uses }: MacroBody, scope: Scope): Callable {
    const own = parameters.map(([parameter]) => parameter);
    const ownsCaller = own.includes("caller");
    const call: Native = (args, kwargs) => {
      const inner = new Scope(scope);
      const rest = new Map(kwargs);
      for (const [i, [parameter, fallback]] of parameters.entries()) {
        const given = i < args.length ? args[i] : rest.get(parameter);
        if (i >= args.length) rest.delete(parameter);
        if (given !== undefined) inner.set(parameter, given);
        else if (fallback !== null) inner.set(parameter, this.#evaluate(fallback, inner));
        else inner.set(parameter, new Undefined(`parameter '${parameter}' was not provided`));
      }
      if (uses.has("caller") && !ownsCaller) {
        const caller = rest.get("caller");
        inner.set("caller", caller === undefined ? new Undefined("No caller defined") : caller);
        rest.delete("caller");
      }
      if (uses.has("kwargs")) inner.set("kwargs", Dict.of(rest, this.budget));
      else if (rest.size > 0) {
        throw new JinjaError("type", `macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`);
      }
      if (uses.has("varargs")) inner.set("varargs", new Tuple(args.slice(parameters.length)));
      else if (args.length > parameters.length) {
        throw new JinjaError("type", `macro '${name}' takes not more than ${parameters.length} argument(s)`);
      }
      return this.budget.nested(() => this.#written(() => void this.#execute(body, inner)));
    };
    return new Callable(name, call, "Macro", {
      ...{ name, arguments: new Tuple(own), caller: uses.has("caller") },
      ...{ catch_kwargs: uses.has("kwargs"), catch_varargs: uses.has("varargs") },
    });
  }

  #block({ name, scoped, required }: Extract<Statement, { type: "block" }>, scope: Scope): void {
    if (required) throw new JinjaError("runtime", `Required block '${name}' not found`);
    this.budget.nested(() => this.#execute(this.#template.blocks.get(name)!, new Scope(scoped ? scope : this.#root)));
  }

  #blockWriter(name: string): (() => Value) | null {
    const body = this.#template.blocks.get(name);
    return body === undefined ? null : () => this.budget.nested(() => this.#captured(body, this.#root));
  }

  #evaluate(expression: Expression, scope: Scope): Value {
    this.budget.step();
    const { budget } = this;
    switch (expression.type) {
      case "constant":
        return expression.value;
      case "name":
        return this.#named(expression.name, scope);
      case "list":
        return expression.items.map((item) => this.#evaluate(item, scope));
      case "tuple":
        return new Tuple(expression.items.map((item) => this.#evaluate(item, scope)));
      case "dict": {
        const entries = expression.entries.map(
          ([key, value]) => [this.#evaluate(key, scope), this.#evaluate(value, scope)] as const,
        );
        return Dict.of(entries, budget);
      }
      case "attribute":
        return attributeOf(this.#evaluate(expression.object, scope), expression.name, budget);
      case "element":
        return elementOf(this.#evaluate(expression.object, scope), this.#evaluate(expression.key, scope), budget);
      case "slice": {
        const value = this.#evaluate(expression.object, scope);
        const bounds = expression.bounds.map((bound) => (bound === null ? null : this.#evaluate(bound, scope)));
        return slice(value, bounds[0] ?? null, bounds[1] ?? null, bounds[2] ?? null, budget);
      }
      case "call":
        return this.#call(expression.callee, expression.arguments, scope);
      case "filter":
        return this.#filtered(expression, null, scope);
      case "test":
        return this.#tested(expression, scope);
      case "not":
        return !truthy(this.#evaluate(expression.value, scope));
      case "unary":
        return unary(expression.operator, this.#evaluate(expression.value, scope));
      case "binary": {
        const left = this.#evaluate(expression.left, scope);
        return binary(expression.operator, left, this.#evaluate(expression.right, scope), budget);
      }
      case "logical": {
        const left = this.#evaluate(expression.left, scope);
        return truthy(left) === (expression.operator === "or") ? left : this.#evaluate(expression.right, scope);
      }
      case "concat":
        return this.#concatenated(expression.parts.map((part) => this.#evaluate(part, scope)));
      case "compare":
        return this.#compared(expression, scope);
      case "conditional": {
        if (truthy(this.#evaluate(expression.test, scope))) return this.#evaluate(expression.value, scope);
        if (expression.otherwise !== null) return this.#evaluate(expression.otherwise, scope);
        return new Undefined("the inline if-expression evaluated to false and no else section was defined");
      }
    }
  }

  #named(name: string, scope: Scope): Value {
    const value = scope.get(name);
    return value === undefined ? new Undefined(`'${name}' is undefined`) : value;
  }

  #concatenated(parts: readonly Value[]): Value {
    const { budget } = this;
    const safe = this.autoescape && parts.some((part) => part instanceof Markup);
    const text = parts.map((part) => (safe ? escapeHtml(part, budget).text : str(part, budget))).join("");
    budget.length(text.length);
    return safe ? new Markup(text) : text;
  }

  #compared({ first, rest }: Extract<Expression, { type: "compare" }>, scope: Scope): boolean {
    let left = this.#evaluate(first, scope);
    for (const [operator, next] of rest) {
      const right = this.#evaluate(next, scope);
      if (!compares(operator, left, right, this.budget)) return false;
      left = right;
    }
    return true;
  }

  /** A chain of filters; its beginning is `input` where it has no value of its own. */
  #filtered({ value, name, arguments: given }: FilterExpression, input: Value, scope: Scope): Value {
    const before =
      value === null
        ? input
        : value.type === "filter"
          ? this.#filtered(value, input, scope)
          : this.#evaluate(value, scope);
    const filter = this.filter(name);
    const [args, kwargs] = this.#arguments(given, scope);
    return filter([before, ...args], kwargs);
  }

  #tested({ value, name, arguments: given }: Extract<Expression, { type: "test" }>, scope: Scope): boolean {
    const test = this.test(name);
    const tested = this.#evaluate(value, scope);
    const [args, kwargs] = this.#arguments(given, scope);
    return truthy(test([tested, ...args], kwargs));
  }

  #call(callee: Expression, given: Arguments, scope: Scope, more: Kwargs = new Map()): Value {
    const called = this.#evaluate(callee, scope);
    const [args, kwargs] = this.#arguments(given, scope);
    if (called instanceof Undefined) throw called.error();
    if (called instanceof Loop) {
      if (called.recurse === null) {
        throw new JinjaError("type", "the loop must have the 'recursive' marker to be called recursively");
      }
      if (args.length !== 1) throw new JinjaError("type", `loop() takes 1 argument, got ${args.length}`);
      return called.recurse(args[0]!);
    }
    if (!(called instanceof Callable)) throw new JinjaError("type", `'${typeName(called)}' object is not callable`);
    return called.call(args, more.size > 0 ? new Map([...kwargs, ...more]) : kwargs);
  }

  #arguments({ args, kwargs, moreArgs, moreKwargs }: Arguments, scope: Scope): [readonly Value[], Kwargs] {
    const own = args.map((arg) => this.#evaluate(arg, scope));
    const values = moreArgs === null ? own : [...own, ...listOf(this.#evaluate(moreArgs, scope), this.budget)];
    const named = new Map(kwargs.map(([name, value]): [string, Value] => [name, this.#evaluate(value, scope)]));
    if (named.size < kwargs.length) throw new JinjaError("syntax", "keyword argument repeated");
    if (moreKwargs === null) return [values, named];
    const mapping = this.#evaluate(moreKwargs, scope);
    if (mapping instanceof Undefined) throw mapping.error();
    if (!(mapping instanceof Dict)) throw new JinjaError("type", "argument after ** must be a mapping");
    for (const [key, value] of mapping.entries()) {
      const name = textOf(key);
      if (name === null) throw new JinjaError("type", "keywords must be strings");
      if (named.has(name)) throw new JinjaError("type", `got multiple values for keyword argument '${name}'`);
      named.set(name, value);
    }
    return [values, named];
  }
}
