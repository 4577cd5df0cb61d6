/**
 * Reverse-mode differentiation on the graph itself: the gradient of a scalar with respect to some of the values that it
 * is computed from, as further nodes of the same graph. Walks the nodes backwards and adds up what each one's rule
 * hands on to its inputs; the rules are in `derivatives.ts`. Knows no operator. Reference: Griewank and Walther,
 * Evaluating Derivatives (2008), section 3.2.
 */
import { CllmError } from "../error.ts";
import { DERIVATIVES, type Derivative, FLAT } from "./derivatives.ts";
import type { Graph, GraphNode, Value } from "./graph.ts";

export interface GradientOptions {
  /** Values to be taken as given, whatever they are computed from: their inputs get nothing through them. */
  readonly constants?: readonly Value[];
  /** The rule of a node, where it is not that of its operator. */
  readonly ruleOf?: (node: GraphNode) => Derivative | undefined;
}

/**
 * The gradients of `scalar`, one for each value of `of` and in its shape. Throws `unsupported` for an operator on the way
 * that has no rule, and a `RangeError` where `scalar` does not depend on one of them.
 */
export function gradients(
  graph: Graph,
  scalar: Value,
  of: readonly Value[],
  { constants = [], ruleOf }: GradientOptions = {},
): Value[] {
  const nodes = [...graph.nodes];
  const active = dependents(nodes, of, constants);
  const parts = new Map<string, Value[]>([[scalar.name, [graph.scalar(1)]]]);
  const known = new Map<string, Value>();
  /** What has come together for a value; complete once all nodes that read it have been visited. */
  const gradientOf = ({ name }: Value): Value | null => {
    const summed = known.get(name);
    if (summed !== undefined) return summed;
    const found = parts.get(name);
    if (found === undefined || !active.has(name)) return null;
    const sum = found.length === 1 ? (found[0] as Value) : graph.op("Sum", found);
    known.set(name, sum);
    return sum;
  };
  for (const node of nodes.reverse()) {
    const arriving = node.outputs.map(gradientOf);
    if (arriving.every((gradient) => gradient === null)) continue;
    const rule = ruleOf?.(node) ?? DERIVATIVES[node.type];
    if (rule === undefined) {
      throw new CllmError("unsupported", `${node.type} has no derivative: add its rule to graph/derivatives.ts`);
    }
    const leaving = rule(graph, node, arriving);
    for (const [i, input] of node.inputs.entries()) {
      if (input === null || !active.has(input.name)) continue;
      const make = leaving[i];
      if (make === undefined) {
        throw new CllmError("unsupported", `${node.type} has no derivative by its input ${i}: hold it constant`);
      }
      const gradient = make();
      const others = parts.get(input.name);
      if (others === undefined) parts.set(input.name, [gradient]);
      else others.push(gradient);
    }
  }
  return of.map((value) => {
    const gradient = gradientOf(value);
    if (gradient === null) throw new RangeError(`the scalar does not depend on ${value.name}`);
    return gradient;
  });
}

/** The names of all values that depend on one of `of`, themselves included, other than through `constants`. */
function dependents(nodes: readonly GraphNode[], of: readonly Value[], constants: readonly Value[]): Set<string> {
  const held = new Set(constants.map(({ name }) => name));
  const active = new Set(of.map(({ name }) => name));
  for (const { type, inputs, outputs } of nodes) {
    if (FLAT.has(type)) continue;
    if (!inputs.some((input) => input !== null && active.has(input.name))) continue;
    for (const { name } of outputs) if (!held.has(name)) active.add(name);
  }
  return active;
}
