/**
 * ONNX as a language: a graph is built node by node, each call returning handles to what the node computes, and encoded as
 * a model that ONNX Runtime loads from memory. Knows operators only by name; shapes and types are the engine's to check.
 * Reference: onnx.proto (IR version 10), the operators of `ai.onnx` 21 and `com.microsoft` 1.
 */
import { Message } from "./protobuf.ts";

/** Element types, with the numbers that onnx.proto gives them. */
export const DTYPES = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 } as const;
export type DType = keyof typeof DTYPES;

/** A handle to a tensor of the graph. */
export interface Value {
  readonly name: string;
}

/** A size, or the name of one that varies from run to run. */
export type Dimension = number | string;
export type Attribute = number | string | readonly number[] | { readonly float: number } | { readonly graph: Subgraph };
export type TensorData = Float32Array | Uint16Array | BigInt64Array | Int32Array | Int8Array | Uint8Array;

/** Where big constants go as they are declared, so that they need not stay in memory until the graph is encoded. */
export interface ConstantStore {
  /** Keeps the bytes, which may change afterwards; says in which file, relative to the model's, and where in it. */
  put(bytes: Uint8Array): { readonly location: string; readonly offset: number };
}

/** Bytes of a big constant, kept outside the encoded model under `path`. */
export interface ExternalData {
  readonly path: string;
  readonly data: Uint8Array;
}

/** Nodes that run only if a node of the graph around them says so. They read values of that graph by their names. */
export interface Subgraph {
  readonly nodes: readonly GraphNode[];
  readonly outputs: readonly Value[];
}

/** A node as it was made: what it is called, what it reads and what it writes. */
export interface GraphNode {
  readonly type: string;
  /** `null` for an optional input that is left out. */
  readonly inputs: readonly (Value | null)[];
  readonly outputs: readonly Value[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** Of a `Reshape`: the shape that leads back, where it is known beforehand; -1 for the size that varies. */
  readonly back?: readonly number[];
}

export interface EncodedModel {
  readonly bytes: Uint8Array;
  readonly externalData: readonly ExternalData[];
}

const IR_VERSION = 10;
const OPSET = 21;
const MICROSOFT_OPSET = 1;
/** Smaller constants travel inside the model, where the engine's constant folding sees them. */
const EXTERNAL_FROM_BYTES = 1024;

export class Graph {
  #nodes: GraphNode[] = [];
  readonly #initializers = new Map<string, Message>(); // by name, in order
  readonly #outside: string[] = [];
  readonly #inputs: Message[] = [];
  readonly #outputs: Message[] = [];
  readonly #external: ExternalData[] = [];
  readonly #scalars = new Map<string, Value>();
  readonly #store: ConstantStore;
  readonly #outsideFrom: number;
  #names = 0;

  /** Big constants stay in memory, one by one, unless a `store` takes them: then it gets small ones too. */
  constructor(store?: ConstantStore) {
    this.#outsideFrom = store ? 0 : EXTERNAL_FROM_BYTES;
    this.#store = store ?? {
      put: (data) => {
        const path = `constant-${this.#external.length}.bin`;
        this.#external.push({ path, data });
        return { location: path, offset: 0 };
      },
    };
  }

  /** The nodes so far, each after those that it reads. */
  get nodes(): readonly GraphNode[] {
    return this.#nodes;
  }

  /** Names of the constants whose bytes lie outside the model, as those of all big ones do, in order. */
  get outside(): readonly string[] {
    return this.#outside;
  }

  /** Declare an input that every run must feed. */
  input(name: string, dtype: DType, dimensions: readonly Dimension[]): Value {
    this.#inputs.push(valueInfo(name, dtype, dimensions));
    return { name };
  }

  /** Make `value` an output that a run can fetch as `name`. */
  output(value: Value, name: string, dtype: DType, dimensions: readonly Dimension[]): void {
    this.#nodes.push({ type: "Identity", inputs: [value], outputs: [{ name }], attributes: {} });
    this.#outputs.push(valueInfo(name, dtype, dimensions));
  }

  /** A constant tensor. Without a store the graph keeps `data` by reference: do not write to it afterwards. */
  constant(data: TensorData, dimensions: readonly number[], dtype: DType = dtypeOf(data)): Value {
    return this.#constant(data, dimensions, dtype);
  }

  /** A constant that travels inside the model whatever its size: the constants outside are those of a graph without it. */
  inner(data: TensorData, dimensions: readonly number[], dtype: DType = dtypeOf(data)): Value {
    return this.#constant(data, dimensions, dtype, true);
  }

  #constant(data: TensorData, dimensions: readonly number[], dtype: DType = dtypeOf(data), inside?: boolean): Value {
    const elements = dimensions.reduce((product, d) => product * d, 1);
    if (elements !== data.length) throw new RangeError(`${data.length} elements for shape [${dimensions.join(", ")}]`);
    const name = `c${this.#names++}`;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const tensor = new Message();
    for (const d of dimensions) tensor.int(1, d);
    tensor.int(2, DTYPES[dtype]).string(8, name);
    if (inside ?? bytes.length < this.#outsideFrom) {
      tensor.bytes(9, bytes);
    } else {
      const { location, offset } = this.#store.put(bytes);
      const entries = { location, offset: String(offset), length: String(bytes.length) };
      for (const [key, value] of Object.entries(entries)) {
        tensor.message(13, new Message().string(1, key).string(2, value));
      }
      tensor.int(14, 1); // data_location: EXTERNAL
      this.#outside.push(name);
    }
    this.#initializers.set(name, tensor);
    return { name };
  }

  /** A float32 scalar; equal ones are stored once. */
  scalar(value: number): Value {
    return this.#once(`f${value}`, () => this.#constant(Float32Array.of(value), [], "float32", true));
  }

  /** A uint8 scalar; equal ones are stored once. */
  byte(value: number): Value {
    return this.#once(`u${value}`, () => this.#constant(Uint8Array.of(value), [], "uint8", true));
  }

  /** An int64 vector; equal ones are stored once. */
  integers(...values: number[]): Value {
    return this.#once(`i${values.join()}`, () =>
      this.#constant(BigInt64Array.from(values, BigInt), [values.length], "int64", true),
    );
  }

  #once(key: string, make: () => Value): Value {
    const known = this.#scalars.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#scalars.set(key, made);
    return made;
  }

  /** A node of one output. `null` leaves an optional input out. */
  op(type: string, inputs: readonly (Value | null)[], attributes: Record<string, Attribute> = {}): Value {
    return this.ops(type, inputs, 1, attributes)[0] as Value;
  }

  /** A `Reshape`, of which is known what leads back: its derivative need not ask for the shape. See `GraphNode.back`. */
  reshape(x: Value, to: readonly number[], back: readonly number[]): Value {
    const value = { name: `v${this.#names++}` };
    this.#nodes.push({ type: "Reshape", inputs: [x, this.integers(...to)], outputs: [value], attributes: {}, back });
    return value;
  }

  /** A node of `outputs` outputs. */
  ops(
    type: string,
    inputs: readonly (Value | null)[],
    outputs: number,
    attributes: Record<string, Attribute> = {},
  ): Value[] {
    const values = Array.from({ length: outputs }, () => ({ name: `v${this.#names++}` }));
    this.#nodes.push({ type, inputs, outputs: values, attributes });
    return values;
  }

  /** Puts what `rule` gives in the place of a node; null keeps it. The nodes that it makes along the way come before. */
  rewrite(rule: (node: GraphNode) => Value | null): void {
    const before = this.#nodes;
    this.#nodes = [];
    for (const node of before) {
      const made = rule(node);
      if (made === null) this.#nodes.push(node);
      else this.#nodes.push({ type: "Identity", inputs: [made], outputs: node.outputs, attributes: {} });
    }
  }

  /**
   * What one of two branches gives, by a bool scalar: only its nodes run. Both give as many values, which may be of different
   * sizes. Inputs and constants that a branch declares belong to the graph as a whole.
   */
  either(condition: Value, then: () => readonly Value[], otherwise: () => readonly Value[]): Value[] {
    const branch = (build: () => readonly Value[]): Subgraph => {
      const around = this.#nodes;
      this.#nodes = [];
      try {
        const outputs = build().map((value) => this.op("Identity", [value])); // a branch gives values of its own
        return { nodes: this.#nodes, outputs };
      } finally {
        this.#nodes = around;
      }
    };
    const [yes, no] = [branch(then), branch(otherwise)];
    if (yes.outputs.length !== no.outputs.length) {
      throw new RangeError(`one branch gives ${yes.outputs.length} values, the other ${no.outputs.length}`);
    }
    return this.ops("If", [condition], yes.outputs.length, { then_branch: { graph: yes }, else_branch: { graph: no } });
  }

  /** The model's bytes, with the big constants beside them. The graph can be dropped afterwards. */
  encode(): EncodedModel {
    const graph = new Message().string(2, "cllm");
    for (const [index, node] of this.#nodes.entries()) graph.message(1, encodeNode(node, index));
    for (const tensor of this.#initializers.values()) graph.message(5, tensor);
    for (const input of this.#inputs) graph.message(11, input);
    for (const output of this.#outputs) graph.message(12, output);
    return { bytes: encodeModel(graph), externalData: this.#external };
  }

  /**
   * A model of some of the nodes alone, with the constants that they read. What they read beside is an input of the element
   * type that `typeOf` says; what they give is an output, in float32.
   */
  part(nodes: readonly GraphNode[], typeOf: (node: GraphNode, value: Value) => DType): Uint8Array {
    const graph = new Message().string(2, "part");
    const constants = new Set<string>();
    const inputs = new Map<string, Message>();
    for (const [index, node] of nodes.entries()) {
      graph.message(1, encodeNode(node, index));
      for (const value of node.inputs) {
        if (value === null) continue;
        if (this.#initializers.has(value.name)) constants.add(value.name);
        else inputs.set(value.name, valueInfo(value.name, typeOf(node, value), null));
      }
    }
    for (const name of constants) graph.message(5, this.#initializers.get(name) as Message);
    for (const input of inputs.values()) graph.message(11, input);
    for (const { name } of nodes.flatMap((node) => node.outputs)) graph.message(12, valueInfo(name, "float32", null));
    return encodeModel(graph);
  }
}

/** The operators in use that are ONNX Runtime's own and not the standard's. */
const MICROSOFT_OPERATORS = new Set([
  "FastGelu",
  "FusedMatMul",
  "GroupQueryAttention",
  "MatMulIntegerToFloat",
  "MatMulNBits",
  "QuickGelu",
  "RotaryEmbedding",
  "SkipSimplifiedLayerNormalization",
]);

function encodeModel(graph: Message): Uint8Array {
  const model = new Message().int(1, IR_VERSION).message(7, graph);
  model.message(8, new Message().string(1, "").int(2, OPSET));
  model.message(8, new Message().string(1, "com.microsoft").int(2, MICROSOFT_OPSET));
  return model.finish();
}

function encodeNode({ type, inputs, outputs, attributes }: GraphNode, index: number): Message {
  const node = new Message();
  for (const input of inputs) node.string(1, input?.name ?? "");
  for (const { name } of outputs) node.string(2, name);
  node.string(3, `${type}_${index}`).string(4, type);
  for (const [name, value] of Object.entries(attributes)) node.message(5, attributeOf(name, value));
  if (MICROSOFT_OPERATORS.has(type)) node.string(7, "com.microsoft");
  return node;
}

function encodeSubgraph(name: string, { nodes, outputs }: Subgraph): Message {
  const graph = new Message().string(2, name);
  for (const [index, node] of nodes.entries()) graph.message(1, encodeNode(node, index));
  for (const output of outputs) graph.message(12, new Message().string(1, output.name)); // of the type that it comes to
  return graph;
}

function dtypeOf(data: TensorData): DType {
  if (data instanceof Float32Array) return "float32";
  if (data instanceof BigInt64Array) return "int64";
  if (data instanceof Int32Array) return "int32";
  if (data instanceof Int8Array) return "int8";
  if (data instanceof Uint16Array) return "float16";
  return "uint8";
}

function attributeOf(name: string, value: Attribute): Message {
  const message = new Message().string(1, name);
  if (typeof value === "string") return message.bytes(4, new TextEncoder().encode(value)).int(20, 3);
  if (typeof value === "number") return message.int(3, value).int(20, 2);
  if ("float" in value) return message.float(2, value.float).int(20, 1);
  if ("graph" in value) return message.message(6, encodeSubgraph(name, value.graph)).int(20, 5);
  for (const item of value) message.int(8, item);
  return message.int(20, 7);
}

/** `dimensions` are null where any shape will do. */
function valueInfo(name: string, dtype: DType, dimensions: readonly Dimension[] | null): Message {
  const tensor = new Message().int(1, DTYPES[dtype]);
  if (dimensions !== null) {
    const shape = new Message();
    for (const d of dimensions) {
      shape.message(1, typeof d === "string" ? new Message().string(2, d) : new Message().int(1, d));
    }
    tensor.message(2, shape);
  }
  return new Message().string(1, name).message(2, new Message().message(1, tensor));
}
