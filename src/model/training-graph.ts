/**
 * The model as a graph for training: weights are inputs, the loss and its gradients are outputs. The layers are those of
 * `transformer.ts`; attention is written out in plain products, because it has to be differentiated. Knows neither where
 * sequences come from nor what their rows mean: those that see each other are in `bias`, those that count in `weights`.
 *
 * Inputs, for `batch` sequences of T tokens, N = batch * T, and R rows that carry loss:
 *   ids (N), positions (batch, T)  int64 · bias (batch, 1, T, T) float32, added to the attention scores
 *   window_bias, the same for layers with a sliding window; each of the two only where a layer asks for it, see `masksOf`
 *   rows (R) int64: the places among N whose logits are needed
 *   every tensor of the model by its name, float32 (and those of the adapter)
 *   for training also targets (R, 1) int64 and weights (R, 1) float32: loss = sum of weights · cross entropy;
 *   of the resident form also row_places (R, 1) and distinct_ids (U, 1) int64, each id once, and the same as numbers:
 *   id_numbers (1, N) and distinct_numbers (U, 1) float32
 *   with a divergence, teachers (R) int64 and divergence_weights (R, 1): += sum of weights · KL(row of the teacher ‖ row)
 *
 * For draft rows alone (`drafts`), T tokens of each sequence are those in draft rows and C are clean text before them, whose keys and values
 * `cleanGraph` gives: bias is (batch, 1, T, C + T), and there are clean_{2l}, clean_{2l+1} (batch, kvHeads, C, headSize) for each layer l. The
 * adapter is on all rows that run, and nothing is differentiated but these.
 * Outputs:
 *   of clean text: clean_{2l}, clean_{2l+1}
 *   of prediction: next (R) int64
 *   of training: loss () · cross_entropies (R) · gradient:NAME for each trained tensor · squares (P), their squared norms
 */
import { compose } from "../graph/compose.ts";
import { type Derivative, gatherOnce } from "../graph/derivatives.ts";
import { gradients } from "../graph/differentiate.ts";
import { DTYPES, type EncodedModel, Graph, type GraphNode, type Value } from "../graph/graph.ts";
import { capped, headNorm, masksOf, type Rotation, rotationOf, rotations, scoreScale, slides } from "./attention.ts";
import type { ModelConfig } from "./config.ts";
import { isLoraTarget, type LoraSettings, loraNames, loraTensors } from "./lora.ts";
import { type MedusaShape, medusaTensors } from "./medusa.ts";
import { expectedTensors, normNames, projectionRows } from "./tensors.ts";
import { transformer } from "./transformer.ts";

export interface TrainingGraphOptions {
  /** Sequences in a pass. */
  readonly batch: number;
  /** Tokens of the longest sequence: more than the context where several texts share one. Default: the context length. */
  readonly sequenceLength?: number;
  /** An adapter is trained instead of the model's own tensors. */
  readonly lora?: LoraSettings | null;
  /** Only draft rows run, behind the keys and values of clean text. Default: false. */
  readonly drafts?: boolean;
  /** Build the term of the forward KL divergence. */
  readonly divergence?: boolean;
  /** `resident`: for devices with operators and memory of their own. Default: `host`, for the processor. */
  readonly form?: "host" | "resident";
  /** Medusa heads are trained, alone or with what is trained beside them: see `medusa-training-graph.ts`. */
  readonly medusa?: MedusaTraining | undefined;
  /** The share of the target that is spread over the whole vocabulary (Szegedy et al., arXiv:1512.00567, section 7). */
  readonly labelSmoothing?: number;
}

/** Which heads are trained, and whether the model, or its adapter, is too (Medusa-2). */
export interface MedusaTraining extends MedusaShape {
  readonly base: "frozen" | "trained";
}

/** Name and shape of every tensor that training changes, the heads last. */
export function trainedTensors(
  config: ModelConfig,
  lora: LoraSettings | null = null,
  medusa?: MedusaTraining | undefined,
): [string, readonly number[]][] {
  const own = lora === null ? expectedTensors(config) : loraTensors(config, lora);
  if (medusa === undefined) return [...own];
  return [...(medusa.base === "trained" ? own : []), ...medusaTensors(config, medusa)];
}

/** The name of layer l's keys (2l) or values (2l + 1) of clean text. */
export const cleanName = (index: number): string => `clean_${index}`;

/** The graph from tokens to the normalized stream, and all that is needed to go on from there. `keys` is told of each layer's. */
export async function streamGraph(
  config: ModelConfig,
  { batch, sequenceLength = 0, lora = null, drafts = false, medusa }: TrainingGraphOptions,
  keys?: (graph: Graph, layer: number, k: Value, v: Value) => void,
): Promise<{
  readonly graph: Graph;
  readonly tensor: (name: string) => Value;
  readonly stream: Value;
  readonly ids: Value;
}> {
  const { heads, kvHeads, headSize, contextLength } = config;
  const graph = new Graph();
  const tensors = new Map<string, Value>();
  for (const [name, shape] of expectedTensors(config)) tensors.set(name, graph.input(name, "float32", shape));
  for (const [name, shape] of lora === null ? [] : loraTensors(config, lora)) {
    tensors.set(name, graph.input(name, "float32", shape));
  }
  for (const [name, shape] of medusa === undefined ? [] : medusaTensors(config, medusa))
    tensors.set(name, graph.input(name, "float32", shape));
  const tensor = (name: string): Value => tensors.get(name) as Value;
  const ids = graph.input("ids", "int64", ["N"]);
  const positions = graph.input("positions", "int64", [batch, "T"]);
  // The queries that share a key head stand below each other, and so do their biases.
  const mask = (name: string): Value => {
    const bias = graph.input(name, "float32", [batch, 1, "T", drafts ? "all" : "T"]);
    return graph.op("Tile", [bias, graph.integers(1, 1, heads / kvHeads, 1)]); // (batch, 1, heads/kvHeads * T, T)
  };
  const asked = masksOf(config);
  const causal = asked.causal ? mask("bias") : null;
  const windowed = asked.window ? mask("window_bias") : null;
  const places = Math.max(contextLength, sequenceLength); // the engine wants one for each token of a sequence
  const rotationIn = rotations(config, places, (data, shape) => graph.constant(data, shape));
  const scalar = (value: number): Value => graph.scalar(value);
  /** What a norm multiplies by. */
  const normWeight = (name: string): Value =>
    config.normsAddOne ? graph.op("Add", [tensor(name), scalar(1)]) : tensor(name);

  /** x Wᵀ + b, and what an adapter adds. x is `(N, in)`. */
  const product = (x: Value, name: string): Value => {
    const biasOf = tensors.get(name.replace(/weight$/, "bias"));
    const inputs = [x, tensor(name), ...(biasOf === undefined ? [] : [biasOf])];
    const y = graph.op("Gemm", inputs, { transB: 1 });
    if (lora === null || !isLoraTarget(name, lora)) return y;
    const { a, b } = loraNames(name);
    const low = graph.op("Gemm", [x, tensor(a)], { transB: 1 });
    const added = graph.op("Gemm", [low, tensor(b)], { transB: 1, alpha: { float: lora.alpha / lora.rank } });
    return graph.op("Add", [y, added]);
  };

  /** Split into heads and, for queries and keys, rotated: `(batch, count, T, headSize)` from `(N, count * headSize)`. */
  const split = (x: Value, count: number, norm: string | null, rotation: Rotation | null): Value => {
    const normed = norm !== null && tensors.has(norm) ? headNorm(graph, config, x, normWeight(norm), count) : x;
    let y = graph.op("Reshape", [normed, graph.integers(batch, -1, count * headSize)]);
    if (rotation !== null) {
      const tables = [positions, rotation.cos, rotation.sin];
      y = graph.op("RotaryEmbedding", [y, ...tables], rotationOf(config, count));
    }
    const apart = graph.op("Reshape", [y, graph.integers(batch, -1, count, headSize)]);
    return graph.op("Transpose", [apart], { perm: [0, 2, 1, 3] });
  };

  /** Keys or values of a layer, those of clean text before them. */
  const behindClean = (own: Value, index: number): Value => {
    if (!drafts) return own;
    const clean = graph.input(cleanName(index), "float32", [batch, kvHeads, "C", headSize]);
    return graph.op("Concat", [clean, own], { axis: 2 });
  };

  const attention = (x: Value, at: string, index: number): Value => {
    const of = (name: string): string => `${at}.self_attn.${name}.weight`;
    const projected = config.packedProjections
      ? graph.ops("Split", [product(x, of("qkv_proj")), graph.integers(...projectionRows(config))], 3, { axis: -1 })
      : ["q_proj", "k_proj", "v_proj"].map((name) => product(x, of(name)));
    const rotation = rotationIn(index);
    const q = split(projected[0] as Value, heads, of("q_norm"), rotation);
    const k = behindClean(split(projected[1] as Value, kvHeads, of("k_norm"), rotation), 2 * index);
    const v = behindClean(split(projected[2] as Value, kvHeads, null, null), 2 * index + 1);
    keys?.(graph, index, k, v);
    const grouped = graph.reshape(q, [batch, kvHeads, -1, headSize], [batch, heads, -1, headSize]);
    const alpha = { float: scoreScale(config) };
    const raw = graph.op("FusedMatMul", [grouped, k], { transA: 0, transB: 1, alpha });
    const scores = config.attentionCap === undefined ? raw : capped(graph, raw, config.attentionCap, scalar);
    const bias = (slides(config, index) ? windowed : causal) as Value;
    const shares = graph.op("Softmax", [graph.op("Add", [scores, bias])], { axis: -1 });
    const mixed = graph.op("FusedMatMul", [shares, v], { transA: 0, transB: 0, alpha: { float: 1 } });
    const apart = graph.op("Reshape", [mixed, graph.integers(batch, heads, -1, headSize)]);
    const together = graph.op("Transpose", [apart], { perm: [0, 2, 1, 3] });
    return product(graph.reshape(together, [-1, heads * headSize], [batch, -1, heads, headSize]), of("o_proj"));
  };

  const embedding = tensor("model.embed_tokens.weight");
  const stream = await transformer(
    config,
    {
      graph,
      layer: async (index) => {
        const at = `model.layers.${index}`;
        const mlp = (name: string, x: Value): Value => product(x, `${at}.mlp.${name}.weight`);
        const norm = (part: string | null): Value | null => (part === null ? null : normWeight(`${at}.${part}.weight`));
        const { input, attended, feedForward, fed } = normNames(config);
        return {
          norms: { input: norm(input), attended: norm(attended), feedForward: norm(feedForward), fed: norm(fed) },
          attention: (x) => attention(x, at, index),
          gateAndUp(x) {
            const [gate, up] = config.packedProjections
              ? graph.ops("Split", [mlp("gate_up_proj", x)], 2, { axis: -1, num_outputs: 2 })
              : [mlp("gate_proj", x), mlp("up_proj", x)];
            return { gate: gate as Value, up: { value: up as Value, scale: null } };
          },
          down: ({ value }) => mlp("down_proj", value),
        };
      },
      finalNorm: async () => normWeight("model.norm.weight"),
      scalar,
    },
    graph.op("Gather", [embedding, ids]), // (N, D)
  );
  return { graph, tensor, stream, ids };
}

/** The graph from tokens to the logits of the wanted rows. */
async function forwardGraph(config: ModelConfig, options: TrainingGraphOptions) {
  const { graph, tensor, stream, ids } = await streamGraph(config, options);
  const rows = graph.input("rows", "int64", ["R"]);
  const logits = vocabularyLogits(config, graph, graph.op("Gather", [stream, rows]), tensor(headName(config)));
  return { graph, tensor, logits, ids, rows };
}

/** The name of the model's own matrix to the vocabulary. */
export const headName = ({ tiedHead }: Pick<ModelConfig, "tiedHead">): string =>
  tiedHead ? "model.embed_tokens.weight" : "lm_head.weight";

/** From rows of the stream `(R, D)` to logits `(R, V)`. */
export function vocabularyLogits(config: ModelConfig, graph: Graph, x: Value, head: Value): Value {
  const plain = graph.op("Gemm", [x, head], { transB: 1 });
  return config.logitCap === undefined ? plain : capped(graph, plain, config.logitCap, (value) => graph.scalar(value));
}

/** -log p of each row's target, `(R, 1)`. */
export const entropiesOf = (graph: Graph, logs: Value, targets: Value): Value =>
  graph.op("Neg", [graph.op("GatherElements", [logs, targets], { axis: 1 })]);

/** Outputs of a loss, the gradients of trained tensors and their squared norms. */
export function outputGradients(
  graph: Graph,
  loss: Value,
  trained: readonly (readonly [name: string, shape: readonly number[]])[],
  byTensor: readonly Value[],
): void {
  graph.output(loss, "loss", "float32", []);
  const squares: Value[] = [];
  for (const [i, [name, shape]] of trained.entries()) {
    const gradient = byTensor[i] as Value;
    graph.output(gradient, `gradient:${name}`, "float32", shape);
    const square = graph.op("ReduceSumSquare", [gradient], { keepdims: 0 });
    squares.push(graph.op("Unsqueeze", [square, graph.integers(0)]));
  }
  graph.output(graph.op("Concat", squares, { axis: 0 }), "squares", "float32", [trained.length]);
}

/** What the device's rules for `Gather` need: see `gatherOnce`. */
function residentRules(graph: Graph, ids: Value, rows: Value): (node: GraphNode) => Derivative | undefined {
  const rowPlaces = graph.input("row_places", "int64", ["R", 1]);
  const distinct = graph.input("distinct_ids", "int64", ["U", 1]);
  const numbers = graph.input("id_numbers", "float32", [1, "N"]);
  const distinctNumbers = graph.input("distinct_numbers", "float32", ["U", 1]);
  const same = graph.op("Cast", [graph.op("Equal", [distinctNumbers, numbers])], { to: DTYPES.float32 });
  const byIndices = new Map([
    [ids.name, gatherOnce(distinct, same)],
    [rows.name, gatherOnce(rowPlaces, null)],
  ]);
  return ({ type, inputs }) => (type === "Gather" ? byIndices.get(inputs[1]?.name ?? "") : undefined);
}

/** The graph of clean text through the model without an adapter: keys and values of each layer, and no logits. */
export async function cleanGraph(config: ModelConfig, options: TrainingGraphOptions): Promise<EncodedModel> {
  const { batch, sequenceLength = 0 } = options;
  const { graph } = await streamGraph(config, { batch, sequenceLength }, (graph, layer, ...both) => {
    const shape = [batch, config.kvHeads, "T", config.headSize];
    for (const [i, value] of both.entries()) graph.output(value, cleanName(2 * layer + i), "float32", shape);
  });
  return graph.encode();
}

/** The graph that says what comes after each wanted row. */
export async function predictionGraph(config: ModelConfig, options: TrainingGraphOptions): Promise<EncodedModel> {
  const { graph, logits } = await forwardGraph(config, options);
  graph.output(graph.op("ArgMax", [logits], { axis: -1, keepdims: 0 }), "next", "int64", ["R"]);
  if (options.form === "resident") compose(graph);
  return graph.encode();
}

/** The graph of the loss and its gradients. */
export async function trainingGraph(config: ModelConfig, options: TrainingGraphOptions): Promise<EncodedModel> {
  const { lora = null, divergence = false, labelSmoothing = 0 } = options;
  const { graph, tensor, logits, ids, rows } = await forwardGraph(config, options);
  const resident = options.form === "resident";
  const targets = graph.input("targets", "int64", ["R", 1]);
  const weights = graph.input("weights", "float32", ["R", 1]);
  const logs = graph.op("LogSoftmax", [logits], { axis: -1 }); // (R, V)
  const total = (x: Value): Value => graph.op("ReduceSum", [x], { keepdims: 0 });
  const alongRows = (x: Value): Value => graph.op("ReduceSum", [x, graph.integers(-1)], { keepdims: 1 });

  const entropies = entropiesOf(graph, logs, targets); // (R, 1)
  let smoothed = entropies;
  if (labelSmoothing > 0) {
    const spread = graph.op("Mul", [alongRows(logs), graph.scalar(-labelSmoothing / config.vocabSize)]);
    smoothed = graph.op("Add", [graph.op("Mul", [entropies, graph.scalar(1 - labelSmoothing)]), spread]);
  }
  let loss = total(graph.op("Mul", [smoothed, weights]));
  const constants: Value[] = [];
  if (divergence) {
    const teachers = graph.input("teachers", "int64", ["R"]);
    const divergenceWeights = graph.input("divergence_weights", "float32", ["R", 1]);
    const teacher = graph.op("Gather", [logs, teachers]);
    constants.push(teacher); // the target distribution has no gradient
    const apart = graph.op("Mul", [graph.op("Exp", [teacher]), graph.op("Sub", [teacher, logs])]);
    loss = graph.op("Add", [loss, total(graph.op("Mul", [alongRows(apart), divergenceWeights]))]);
  }

  const trained = trainedTensors(config, lora);
  const byTensor = gradients(
    graph,
    loss,
    trained.map(([name]) => tensor(name)),
    { constants, ...(resident && { ruleOf: residentRules(graph, ids, rows) }) },
  );
  graph.output(graph.op("Reshape", [entropies, graph.integers(-1)]), "cross_entropies", "float32", ["R"]);
  outputGradients(graph, loss, trained, byTensor);
  if (resident) compose(graph);
  return graph.encode();
}
