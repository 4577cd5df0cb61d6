/**
 * Templates from tokens: Jinja's statements, with `break` and `continue`, and transformers' `generation`. Evaluates
 * nothing.
 */
import type { CallExpression, Expression, MacroBody, Statement, Target, Template } from "./ast.ts";
import { JinjaError } from "./error.ts";
import { ExpressionParser, type Known } from "./expression-parser.ts";
import { type Token, tokenize } from "./lexer.ts";
import { isSpace } from "./text.ts";

/** A template's syntax tree. Throws for what is no template, and for filters and tests that there are not. */
export function parse(template: string, known: Known): Template {
  return new Parser(tokenize(template), known).template();
}

const SPECIAL = ["caller", "kwargs", "varargs"];

class Parser extends ExpressionParser {
  readonly #blocks = new Map<string, readonly Statement[]>();
  #loops = 0;
  readonly #all: readonly Token[];

  constructor(tokens: readonly Token[], known: Known) {
    super(tokens, known);
    this.#all = tokens;
  }

  template(): Template {
    const body = this.#statements([]);
    const [unknown] = this.unknown;
    if (unknown !== undefined) throw new JinjaError("syntax", unknown);
    return { body, blocks: this.#blocks };
  }

  /** Statements up to a tag of one of these names, which stays; without any, up to the end. */
  #statements(ends: readonly string[]): Statement[] {
    const statements: Statement[] = [];
    for (;;) {
      const { token } = this;
      if (token.type === "data") {
        this.next();
        statements.push({ type: "data", text: token.text });
      } else if (this.skip("{{")) {
        statements.push({ type: "output", value: this.tuple() });
        this.expect("}}");
      } else if (this.skip("{%")) {
        if (this.atName(...ends)) return statements;
        for (const statement of this.nested(() => this.#statement(ends))) statements.push(statement);
        this.expect("%}");
      } else if (ends.length === 0) return statements;
      else throw this.error(`unexpected end of the template: ${ends.join(" or ")} is missing`);
    }
  }

  /** The body of a tag: what stands behind its end, up to one of the tags. */
  #body(...ends: readonly string[]): Statement[] {
    this.skip(":");
    this.expect("%}");
    return this.#statements(ends);
  }

  /** The same, and its only end is left behind. */
  #closed(end: string): Statement[] {
    const body = this.#body(end);
    this.next();
    return body;
  }

  #statement(ends: readonly string[]): readonly Statement[] {
    const { text } = this.expect("name");
    switch (text) {
      case "for":
        return [this.#for()];
      case "if":
        return [this.#if()];
      case "set":
        return [this.#set()];
      case "macro":
        return [{ type: "macro", macro: this.#macro() }];
      case "call":
        return [this.#callBlock()];
      case "filter":
        return [{ type: "filter-block", filter: this.filterChain(null, true), body: this.#inner("endfilter") }];
      case "with":
        return [this.#with()];
      case "block":
        return [this.#block()];
      case "autoescape":
        return [{ type: "autoescape", on: this.expression(), body: this.#inner("endautoescape") }];
      case "generation":
        return [{ type: "generation", body: this.#separate(() => this.#closed("endgeneration")) }];
      case "print":
        return this.#print();
      case "break":
      case "continue":
        if (this.#loops === 0) throw this.error(`'${text}' outside loop`);
        return [{ type: text }];
      case "extends":
      case "include":
      case "import":
      case "from":
        return [this.#load(text)];
      default: {
        const expected = ends.length > 0 ? `; ${ends.join(" or ")} is missing` : "";
        throw this.error(`encountered unknown tag '${text}'${expected}`);
      }
    }
  }

  /** A body in which a filter that does not exist is an error even within a condition. */
  #inner(end: string): Statement[] {
    return this.#firmly(() => this.#closed(end));
  }

  #firmly<T>(parse: () => T, soft = false): T {
    const before = this.soft;
    this.soft = soft;
    const parsed = parse();
    this.soft = before;
    return parsed;
  }

  /** A body that is a function of its own: loops around it are none of its business. */
  #separate<T>(parse: () => T): T {
    const loops = this.#loops;
    this.#loops = 0;
    const parsed = this.#firmly(parse);
    this.#loops = loops;
    return parsed;
  }

  #for(): Statement {
    const target = this.target(["in"]);
    if (namesOf(target).includes("loop")) throw this.error("can't assign to the special loop variable");
    this.expectName("in");
    const values = this.tuple(false, ["recursive"]);
    const test = this.skipName("if") ? this.#firmly(() => this.expression()) : null;
    const recursive = this.skipName("recursive");
    this.#loops++;
    const body = this.#firmly(() => this.#body("endfor", "else"));
    this.#loops--;
    const otherwise = this.next().text === "else" ? this.#inner("endfor") : [];
    return { type: "for", target, values, test, recursive, body, otherwise };
  }

  #if(): Statement {
    const branches: [Expression, readonly Statement[]][] = [];
    return this.#firmly(() => {
      for (;;) {
        branches.push([this.tuple(false), this.#body("elif", "else", "endif")]);
        const { text } = this.next();
        if (text === "elif") continue;
        return { type: "if", branches, otherwise: text === "else" ? this.#closed("endif") : [] };
      }
    }, true);
  }

  #set(): Statement {
    const target = this.target([], true);
    if (this.#loops > 0 && namesOf(target).includes("loop"))
      throw this.error("can't assign to the special loop variable");
    if (this.skip("=")) return { type: "set", target, value: this.tuple() };
    const filter = this.at("|") ? this.filterChain(null) : null;
    return { type: "set-block", target, filter, body: this.#inner("endset") };
  }

  #with(): Statement {
    const values: [Target, Expression][] = [];
    while (!this.at("%}")) {
      if (values.length > 0) this.expect(",");
      const target = this.target();
      this.expect("=");
      values.push([target, this.expression()]);
    }
    return { type: "with", values, body: this.#inner("endwith") };
  }

  #macro(): MacroBody {
    const name = this.nameTarget();
    const parameters = this.#parameters();
    return this.#macroBody(name, parameters, "endmacro");
  }

  #parameters(): [string, Expression | null][] {
    const parameters: [string, Expression | null][] = [];
    this.expect("(");
    while (!this.at(")")) {
      if (parameters.length > 0) this.expect(",");
      const name = this.nameTarget();
      const fallback = this.skip("=") ? this.expression() : null;
      if (fallback === null && parameters.at(-1)?.[1])
        throw this.error("non-default argument follows default argument");
      if (parameters.some(([other]) => other === name)) throw this.error(`duplicate argument '${name}'`);
      parameters.push([name, fallback]);
    }
    this.expect(")");
    return parameters;
  }

  #macroBody(name: string, parameters: [string, Expression | null][], end: string): MacroBody {
    const start = this.position;
    const body = this.#separate(() => this.#closed(end));
    const uses = new Set<string>();
    for (let i = start; i < this.position; i++) {
      const { type, text } = this.#all[i]!;
      const before = this.#all[i - 1]!.type;
      const isLoad = type === "name" && before !== "." && before !== "|" && this.#all[i + 1]?.type !== "=";
      if (isLoad && SPECIAL.includes(text)) uses.add(text);
    }
    for (const [parameter, fallback] of parameters) {
      if (parameter === "caller" && fallback === null && uses.has("caller")) {
        throw this.error('the macro argument "caller" must have a default');
      }
      if (parameter !== "caller") uses.delete(parameter);
    }
    return { name, parameters, body, uses };
  }

  #callBlock(): Statement {
    const parameters = this.at("(") ? this.#parameters() : [];
    const call = this.expression();
    if (call.type !== "call") throw this.error("expected call");
    return {
      type: "call-block",
      call: call as CallExpression,
      macro: this.#macroBody("caller", parameters, "endcall"),
    };
  }

  #block(): Statement {
    const name = this.expect("name").text;
    const scoped = this.skipName("scoped");
    const required = this.skipName("required");
    if (this.at("-")) throw this.error("a block's name has no hyphens");
    const body = this.#separate(() => this.#closed("endblock"));
    this.skipName(name);
    const isBlank = (statement: Statement): boolean =>
      statement.type === "data" && Array.from(statement.text).every(isSpace);
    if (required && !body.every(isBlank)) throw this.error("required blocks hold nothing but comments and white space");
    if (this.#blocks.has(name)) throw this.error(`block '${name}' defined twice`);
    this.#blocks.set(name, body);
    return { type: "block", name, scoped, required };
  }

  #print(): readonly Statement[] {
    const statements: Statement[] = [];
    while (!this.at("%}")) {
      if (statements.length > 0) this.expect(",");
      statements.push({ type: "output", value: this.expression() });
    }
    return statements;
  }

  /** What would load another template: read for form, and an error where it is reached. */
  #load(statement: string): Statement {
    this.expression();
    while (!this.at("%}") && !this.at("end")) this.next();
    return { type: "load", statement };
  }
}

function namesOf(target: Target): string[] {
  if (target.type === "tuple") return target.items.flatMap(namesOf);
  return target.type === "name" ? [target.name] : [];
}
