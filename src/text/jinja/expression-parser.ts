/**
 * Expressions from tokens, by Jinja's grammar: precedence, chained comparisons, filters, tests, calls, slices and tuples
 * without brackets. Knows no statement.
 */
import type { Arguments, Expression, FilterExpression, Target } from "./ast.ts";
import { JinjaError } from "./error.ts";
import type { Token } from "./lexer.ts";
import type { Arithmetic } from "./numbers.ts";
import type { Comparison } from "./operators.ts";

const MAX_NESTING = 200;
const COMPARISONS: ReadonlySet<string> = new Set(["==", "!=", "<", "<=", ">", ">="]);
const CONSTANTS: ReadonlyMap<string, boolean | null> = new Map([
  ...(["true", "True"] as const).map((name): [string, boolean] => [name, true]),
  ...(["false", "False"] as const).map((name): [string, boolean] => [name, false]),
  ...(["none", "None"] as const).map((name): [string, null] => [name, null]),
]);
const NO_ARGUMENTS: Arguments = { args: [], kwargs: [], moreArgs: null, moreKwargs: null };

/** Names of the filters and tests that there are. */
export interface Known {
  has(what: "filter" | "test", name: string): boolean;
}

export class ExpressionParser {
  readonly #tokens: readonly Token[];
  readonly #known: Known;
  #position = 0;
  #nesting = 0;
  /** Filters and tests that do not exist, where that is an error even if they are never reached. */
  protected unknown: string[] = [];
  /** Within a condition, what does not exist is an error only where it is reached. */
  protected soft = false;

  constructor(tokens: readonly Token[], known: Known) {
    this.#tokens = tokens;
    this.#known = known;
  }

  protected get position(): number {
    return this.#position;
  }

  protected get token(): Token {
    return this.#tokens[this.#position]!;
  }

  protected get ahead(): Token {
    return this.#tokens[this.#position + 1] ?? this.token;
  }

  protected next(): Token {
    const { token } = this;
    if (token.type !== "end") this.#position++;
    return token;
  }

  protected at(type: string): boolean {
    return this.token.type === type;
  }

  protected atName(...names: readonly string[]): boolean {
    return this.at("name") && names.includes(this.token.text);
  }

  protected skip(type: string): boolean {
    if (!this.at(type)) return false;
    this.next();
    return true;
  }

  protected skipName(name: string): boolean {
    if (!this.atName(name)) return false;
    this.next();
    return true;
  }

  protected expect(type: string): Token {
    if (!this.at(type)) throw this.error(`expected ${shown(type)}, got ${this.shownToken()}`);
    return this.next();
  }

  protected expectName(name: string): void {
    if (!this.skipName(name)) throw this.error(`expected '${name}', got ${this.shownToken()}`);
  }

  protected error(message: string): JinjaError {
    return new JinjaError("syntax", `${message} (line ${this.token.line})`);
  }

  protected shownToken(): string {
    const { type, text } = this.token;
    return type === "name" || type === "number" || type === "string" ? `'${text.slice(0, 40)}'` : shown(type);
  }

  protected nested<T>(parse: () => T): T {
    if (++this.#nesting > MAX_NESTING) throw this.error(`nested more than ${MAX_NESTING} levels deep`);
    const parsed = parse();
    this.#nesting--;
    return parsed;
  }

  /** An expression; `withCondition` says whether it may have an `if` in it. */
  expression(withCondition = true): Expression {
    return this.nested(() => (withCondition ? this.#conditional() : this.#or()));
  }

  /** One expression, or several with commas between them: a tuple. */
  tuple(withCondition = true, ends: readonly string[] = []): Expression {
    return this.#tupleOf(() => this.expression(withCondition), ends, false);
  }

  #tupleOf(parse: () => Expression, ends: readonly string[], bracketed: boolean): Expression {
    const items: Expression[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0) this.expect(",");
      if (this.at("}}") || this.at("%}") || this.at(")") || this.atName(...ends)) break;
      items.push(parse());
      if (!this.at(",")) break;
      isTuple = true;
    }
    if (!isTuple) {
      if (items.length > 0) return items[0]!;
      if (!bracketed) throw this.error(`expected an expression, got ${this.shownToken()}`);
    }
    return { type: "tuple", items };
  }

  /** What is assigned to: a name, several, or an attribute of a namespace. */
  target(ends: readonly string[] = [], withNamespace = false): Target {
    return this.#asTarget(
      this.#tupleOf(() => this.#primary(withNamespace), ends, false),
      withNamespace,
    );
  }

  #asTarget(expression: Expression, withNamespace: boolean): Target {
    if (expression.type === "name" && !CONSTANTS.has(expression.name)) return expression;
    if (expression.type === "tuple") {
      return { type: "tuple", items: expression.items.map((item) => this.#asTarget(item, withNamespace)) };
    }
    if (withNamespace && expression.type === "attribute" && expression.object.type === "name") {
      return { type: "namespace", name: expression.object.name, attribute: expression.name };
    }
    throw this.error(`can't assign to '${expression.type}'`);
  }

  nameTarget(): string {
    const { text } = this.expect("name");
    if (CONSTANTS.has(text)) throw this.error(`can't assign to '${text}'`);
    return text;
  }

  #conditional(): Expression {
    const before = this.unknown.length;
    let expression = this.#or();
    while (this.skipName("if")) {
      const test = this.#or();
      const otherwise = this.skipName("else") ? this.nested(() => this.#conditional()) : null;
      expression = { type: "conditional", test, value: expression, otherwise };
      this.unknown.length = before;
    }
    return expression;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.skipName("or")) left = { type: "logical", operator: "or", left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.skipName("and")) left = { type: "logical", operator: "and", left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    if (!this.skipName("not")) return this.#compare();
    return { type: "not", value: this.nested(() => this.#not()) };
  }

  #compare(): Expression {
    const first = this.#sum();
    const rest: [Comparison, Expression][] = [];
    for (;;) {
      if (COMPARISONS.has(this.token.type)) rest.push([this.next().type as Comparison, this.#sum()]);
      else if (this.skipName("in")) rest.push(["in", this.#sum()]);
      else if (this.atName("not") && this.ahead.type === "name" && this.ahead.text === "in") {
        this.next();
        this.next();
        rest.push(["not in", this.#sum()]);
      } else return rest.length === 0 ? first : { type: "compare", first, rest };
    }
  }

  #sum(): Expression {
    return this.#leftward(["+", "-"], () => this.#concat());
  }

  #concat(): Expression {
    const parts = [this.#product()];
    while (this.skip("~")) parts.push(this.#product());
    return parts.length === 1 ? parts[0]! : { type: "concat", parts };
  }

  #product(): Expression {
    return this.#leftward(["*", "/", "//", "%"], () => this.#leftward(["**"], () => this.#unary(true)));
  }

  #leftward(operators: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    while (operators.includes(this.token.type)) {
      const operator = this.next().type as Arithmetic;
      left = { type: "binary", operator, left, right: operand() };
    }
    return left;
  }

  #unary(withFilter: boolean): Expression {
    const operator = this.token.type;
    let expression: Expression;
    if (operator === "-" || operator === "+") {
      this.next();
      expression = { type: "unary", operator, value: this.nested(() => this.#unary(false)) };
    } else expression = this.#primary(false);
    expression = this.#postfix(expression);
    return withFilter ? this.#filters(expression) : expression;
  }

  #primary(withNamespace: boolean): Expression {
    const { token } = this;
    switch (token.type) {
      case "name": {
        this.next();
        const constant = CONSTANTS.get(token.text);
        if (constant !== undefined) return { type: "constant", value: constant };
        const name: Expression = { type: "name", name: token.text };
        if (!withNamespace || !this.skip(".")) return name;
        return { type: "attribute", object: name, name: this.expect("name").text };
      }
      case "string": {
        let value = "";
        while (this.at("string")) value += this.next().text;
        return { type: "constant", value };
      }
      case "number":
        this.next();
        return { type: "constant", value: token.value! };
      case "(": {
        this.next();
        const inner = this.#tupleOf(() => this.expression(), [], true);
        this.expect(")");
        return inner;
      }
      case "[":
        this.next();
        return { type: "list", items: this.#items("]", () => this.expression()) };
      case "{":
        this.next();
        return { type: "dict", entries: this.#items("}", () => this.#entry()) };
      default:
        throw this.error(`unexpected ${this.shownToken()}`);
    }
  }

  #entry(): [Expression, Expression] {
    const key = this.expression();
    this.expect(":");
    return [key, this.expression()];
  }

  #items<T>(close: string, parse: () => T): T[] {
    const items: T[] = [];
    while (!this.at(close)) {
      if (items.length > 0) this.expect(",");
      if (this.at(close)) break;
      items.push(parse());
    }
    this.expect(close);
    return items;
  }

  #postfix(start: Expression): Expression {
    let expression = start;
    for (;;) {
      if (this.skip(".")) expression = this.#dotted(expression);
      else if (this.skip("[")) expression = this.#subscript(expression);
      else if (this.at("(")) expression = { type: "call", callee: expression, arguments: this.#arguments() };
      else return expression;
    }
  }

  #dotted(object: Expression): Expression {
    const token = this.next();
    if (token.type === "name") return { type: "attribute", object, name: token.text };
    if (token.type !== "number" || typeof token.value === "object") throw this.error("expected name or number");
    return { type: "element", object, key: { type: "constant", value: token.value! } };
  }

  #subscript(object: Expression): Expression {
    const keys: (Expression | readonly (Expression | null)[])[] = [];
    while (!this.at("]")) {
      if (keys.length > 0) this.expect(",");
      keys.push(this.#subscribed());
    }
    this.expect("]");
    const [key] = keys;
    if (keys.length === 1 && Array.isArray(key)) return { type: "slice", object, bounds: key };
    const items = keys.filter((item): item is Expression => !Array.isArray(item));
    if (items.length < keys.length) throw this.error("a slice cannot stand beside other subscripts");
    return { type: "element", object, key: items.length === 1 ? items[0]! : { type: "tuple", items } };
  }

  /** An expression, or the three of a slice. */
  #subscribed(): Expression | readonly (Expression | null)[] {
    const first = this.at(":") ? null : this.expression();
    if (!this.at(":")) return first!;
    const bounds: (Expression | null)[] = [first];
    while (bounds.length < 3 && this.skip(":")) {
      const absent = this.at(":") || this.at("]") || this.at(",");
      bounds.push(absent ? null : this.expression());
    }
    return [...bounds, null, null].slice(0, 3);
  }

  #arguments(): Arguments {
    this.expect("(");
    const args: Expression[] = [];
    const kwargs: [string, Expression][] = [];
    let moreArgs: Expression | null = null;
    let moreKwargs: Expression | null = null;
    let first = true;
    while (!this.at(")")) {
      if (!first) {
        this.expect(",");
        if (this.at(")")) break;
      }
      first = false;
      if (this.at("*") && moreArgs === null && moreKwargs === null) {
        this.next();
        moreArgs = this.expression();
      } else if (this.at("**") && moreKwargs === null) {
        this.next();
        moreKwargs = this.expression();
      } else if (this.at("name") && this.ahead.type === "=" && moreKwargs === null) {
        const name = this.next().text;
        this.next();
        kwargs.push([name, this.expression()]);
      } else if (moreArgs === null && moreKwargs === null && kwargs.length === 0) args.push(this.expression());
      else throw this.error("invalid syntax for function call expression");
    }
    this.expect(")");
    return { args, kwargs, moreArgs, moreKwargs };
  }

  #filters(start: Expression): Expression {
    let expression = start;
    for (;;) {
      if (this.at("|")) expression = this.filterChain(expression);
      else if (this.skipName("is")) expression = this.#test(expression);
      else if (this.at("(")) expression = { type: "call", callee: expression, arguments: this.#arguments() };
      else return expression;
    }
  }

  /** `| name | name(...)` over a value; `inline` where the first name has no bar before it. */
  filterChain(value: Expression | null, inline = false): FilterExpression {
    let filtered: Expression | null = value;
    let first = inline;
    while (first || this.skip("|")) {
      first = false;
      const name = this.#dottedName();
      this.#check("filter", name);
      filtered = { type: "filter", value: filtered, name, arguments: this.at("(") ? this.#arguments() : NO_ARGUMENTS };
    }
    return filtered as FilterExpression;
  }

  #dottedName(): string {
    let name = this.expect("name").text;
    while (this.skip(".")) name += `.${this.expect("name").text}`;
    return name;
  }

  #check(what: "filter" | "test", name: string): void {
    if (!this.soft && !this.#known.has(what, name)) this.unknown.push(`no ${what} named '${name}'`);
  }

  #test(value: Expression): Expression {
    const negated = this.skipName("not");
    const name = this.#dottedName();
    this.#check("test", name);
    const test: Expression = { type: "test", value, name, arguments: this.#testArguments() };
    return negated ? { type: "not", value: test } : test;
  }

  #testArguments(): Arguments {
    if (this.at("(")) return this.#arguments();
    const begins = ["name", "string", "number", "[", "{"].includes(this.token.type);
    if (!begins || this.atName("else", "or", "and")) return NO_ARGUMENTS;
    if (this.atName("is")) throw this.error("You cannot chain multiple tests with is");
    return { ...NO_ARGUMENTS, args: [this.#postfix(this.#primary(false))] };
  }
}

function shown(type: string): string {
  const names: Readonly<Record<string, string>> = { end: "the end of the template", data: "text", name: "a name" };
  return names[type] ?? `'${type}'`;
}
