/** The syntax trees of templates. */
import type { Arithmetic } from "./numbers.ts";
import type { Comparison } from "./operators.ts";
import type { Value } from "./values.ts";

export interface Arguments {
  readonly args: readonly Expression[];
  readonly kwargs: readonly (readonly [name: string, value: Expression])[];
  /** Behind `*` and `**`. */
  readonly moreArgs: Expression | null;
  readonly moreKwargs: Expression | null;
}

export type Expression =
  | { readonly type: "constant"; readonly value: Value }
  | { readonly type: "name"; readonly name: string }
  | { readonly type: "list"; readonly items: readonly Expression[] }
  | { readonly type: "tuple"; readonly items: readonly Expression[] }
  | { readonly type: "dict"; readonly entries: readonly (readonly [key: Expression, value: Expression])[] }
  | { readonly type: "attribute"; readonly object: Expression; readonly name: string }
  | { readonly type: "element"; readonly object: Expression; readonly key: Expression }
  | { readonly type: "slice"; readonly object: Expression; readonly bounds: readonly (Expression | null)[] }
  | { readonly type: "call"; readonly callee: Expression; readonly arguments: Arguments }
  | { readonly type: "filter"; readonly value: Expression | null; readonly name: string; readonly arguments: Arguments }
  | { readonly type: "test"; readonly value: Expression; readonly name: string; readonly arguments: Arguments }
  | { readonly type: "not"; readonly value: Expression }
  | { readonly type: "unary"; readonly operator: "-" | "+"; readonly value: Expression }
  | { readonly type: "binary"; readonly operator: Arithmetic; readonly left: Expression; readonly right: Expression }
  | { readonly type: "logical"; readonly operator: "and" | "or"; readonly left: Expression; readonly right: Expression }
  | { readonly type: "concat"; readonly parts: readonly Expression[] }
  | {
      readonly type: "compare";
      readonly first: Expression;
      readonly rest: readonly (readonly [operator: Comparison, value: Expression])[];
    }
  | {
      readonly type: "conditional";
      readonly test: Expression;
      readonly value: Expression;
      readonly otherwise: Expression | null;
    };

/** What can be assigned to. */
export type Target =
  | { readonly type: "name"; readonly name: string }
  | { readonly type: "namespace"; readonly name: string; readonly attribute: string }
  | { readonly type: "tuple"; readonly items: readonly Target[] };

export type FilterExpression = Extract<Expression, { readonly type: "filter" }>;
export type CallExpression = Extract<Expression, { readonly type: "call" }>;

/** A macro's parameters and body; those of a `call` block too. */
export interface MacroBody {
  readonly name: string;
  readonly parameters: readonly (readonly [name: string, fallback: Expression | null])[];
  readonly body: readonly Statement[];
  /** Which of `caller`, `kwargs` and `varargs` the body uses. */
  readonly uses: ReadonlySet<string>;
}

export type Statement =
  | { readonly type: "data"; readonly text: string }
  | { readonly type: "output"; readonly value: Expression }
  | { readonly type: "set"; readonly target: Target; readonly value: Expression }
  | {
      readonly type: "set-block";
      readonly target: Target;
      readonly filter: FilterExpression | null;
      readonly body: readonly Statement[];
    }
  | {
      readonly type: "for";
      readonly target: Target;
      readonly values: Expression;
      readonly test: Expression | null;
      readonly recursive: boolean;
      readonly body: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  | {
      readonly type: "if";
      readonly branches: readonly (readonly [test: Expression, body: readonly Statement[]])[];
      readonly otherwise: readonly Statement[];
    }
  | {
      readonly type: "with";
      readonly values: readonly (readonly [target: Target, value: Expression])[];
      readonly body: readonly Statement[];
    }
  | { readonly type: "macro"; readonly macro: MacroBody }
  | { readonly type: "call-block"; readonly call: CallExpression; readonly macro: MacroBody }
  | { readonly type: "filter-block"; readonly filter: FilterExpression; readonly body: readonly Statement[] }
  | { readonly type: "block"; readonly name: string; readonly scoped: boolean; readonly required: boolean }
  | { readonly type: "autoescape"; readonly on: Expression; readonly body: readonly Statement[] }
  | { readonly type: "generation"; readonly body: readonly Statement[] }
  | { readonly type: "break" }
  | { readonly type: "continue" }
  | { readonly type: "load"; readonly statement: string };

export interface Template {
  readonly body: readonly Statement[];
  readonly blocks: ReadonlyMap<string, readonly Statement[]>;
}
