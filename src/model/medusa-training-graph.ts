/**
 * Medusa heads as a graph for training (Cai et al., arXiv:2401.10774, section 2.2): the model's layers, heads on the rows that carry loss,
 * and the gradients of what is trained. With a frozen base (Medusa-1) nothing is differentiated but the heads; else (Medusa-2) the
 * model's own loss is added, and its gradients. Knows neither where sequences come from nor how losses are weighted.
 *
 * Inputs beside those of `training-graph.ts`: the heads' tensors by their names, and for head k `head_targets_k` (R, 1) int64 and
 * `head_weights_k` (R, 1) float32; loss += sum of weights · cross entropy. With a trained base also targets and weights (R, 1).
 * Outputs: loss () · head_entropies (heads, R) · gradient:NAME · squares, and with a trained base cross_entropies (R).
 */
import { gradients } from "../graph/differentiate.ts";
import type { EncodedModel, Value } from "../graph/graph.ts";
import type { ModelConfig } from "./config.ts";
import { linearName, medusaBlocks } from "./medusa.ts";
import {
  entropiesOf,
  headName,
  type MedusaTraining,
  outputGradients,
  streamGraph,
  type TrainingGraphOptions,
  trainedTensors,
  vocabularyLogits,
} from "./training-graph.ts";

/** The graph of the loss and its gradients. */
export async function medusaTrainingGraph(
  config: ModelConfig,
  options: TrainingGraphOptions & { readonly medusa: MedusaTraining },
): Promise<EncodedModel> {
  const { lora = null, medusa } = options;
  const { graph, tensor, stream } = await streamGraph(config, options);
  const rows = graph.input("rows", "int64", ["R"]);
  const hidden = graph.op("Gather", [stream, rows]); // (R, D)
  const terms: Value[] = [];
  /** The cross entropies of logits, whose weighted sum joins the loss. */
  const learn = (logits: Value, suffix: string): Value => {
    const targets = graph.input(`${suffix === "" ? "" : "head_"}targets${suffix}`, "int64", ["R", 1]);
    const weights = graph.input(`${suffix === "" ? "" : "head_"}weights${suffix}`, "float32", ["R", 1]);
    const entropies = entropiesOf(graph, graph.op("LogSoftmax", [logits], { axis: -1 }), targets);
    terms.push(graph.op("ReduceSum", [graph.op("Mul", [entropies, weights])], { keepdims: 0 }));
    return entropies; // (R, 1)
  };

  if (medusa.base === "trained") {
    const own = learn(vocabularyLogits(config, graph, hidden, tensor(headName(config))), "");
    graph.output(graph.op("Reshape", [own, graph.integers(-1)]), "cross_entropies", "float32", ["R"]);
  }
  const entropies: Value[] = [];
  for (let head = 0; head < medusa.heads; head++) {
    const x = await medusaBlocks(graph, medusa, head, hidden, (x, weight, bias) =>
      graph.op("Gemm", [x, tensor(weight), ...(bias === null ? [] : [tensor(bias)])], { transB: 1 }),
    );
    const table = tensor(medusa.ownLinear ? linearName(head, medusa.layers) : headName(config));
    const logits = graph.op("Gemm", [x, table], { transB: 1 });
    entropies.push(graph.op("Reshape", [learn(logits, `_${head}`), graph.integers(1, -1)]));
  }
  const all = entropies.length === 1 ? (entropies[0] as Value) : graph.op("Concat", entropies, { axis: 0 });
  graph.output(all, "head_entropies", "float32", [medusa.heads, "R"]);
  const loss = terms.reduce((sum, term) => graph.op("Add", [sum, term]));
  const trained = trainedTensors(config, lora, medusa);
  const byTensor = gradients(
    graph,
    loss,
    trained.map(([name]) => tensor(name)),
  );
  outputGradients(graph, loss, trained, byTensor);
  return graph.encode();
}
