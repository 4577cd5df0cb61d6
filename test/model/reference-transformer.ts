/**
 * The plain twin of the decode graph: a transformer of the Llama family written down as its papers do, one vector after the
 * other in double precision, without cache, graph or tricks. Slow, and meant to be read.
 */
import type { ModelConfig } from "../../src/model/config.ts";
import type { Weights } from "../../src/model/weights.ts";

type Vector = number[];

/** Logits after each of `tokens`, `(T, V)`. */
export async function referenceLogits(
  config: ModelConfig,
  weights: Weights,
  tokens: ArrayLike<number>,
): Promise<number[][]> {
  const { layers, heads, kvHeads, headSize, normEpsilon, slidingWindow, normPlace = "before" } = config;
  const { residualScale = 1, attentionScale = 1 / Math.sqrt(headSize), attentionCap, logitCap } = config;
  const vector = async (name: string): Promise<Vector> => [...(await weights.read(name))];
  const matrix = async (name: string): Promise<Vector[]> => {
    const [rows = 0, columns = 0] = weights.shape(name);
    const data = [...(await weights.read(name))];
    return Array.from({ length: rows }, (_, r) => data.slice(r * columns, (r + 1) * columns));
  };
  /** One after the other of packed matrices, or whole ones. */
  const projections = async (
    at: string,
    packed: string,
    parts: readonly string[],
    sizes: readonly number[],
    x: Vector[],
  ) => {
    if (!config.packedProjections) return Promise.all(parts.map((part) => linear(`${at}.${part}`, x)));
    const all = await linear(`${at}.${packed}`, x);
    const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0));
    return starts.map((start, i) => all.map((v) => v.slice(start, start + sizes[i]!)));
  };
  const linear = async (name: string, x: Vector[]): Promise<Vector[]> => {
    const w = await matrix(`${name}.weight`);
    const b = weights.has(`${name}.bias`) ? await vector(`${name}.bias`) : null;
    return x.map((v) => w.map((row, i) => dot(row, v) + (b?.[i] ?? 0)));
  };
  const norm = async (name: string, x: Vector[]): Promise<Vector[]> => {
    const gain = (await vector(`${name}.weight`)).map((weight) => (config.normsAddOne ? 1 + weight : weight));
    return x.map((v) => {
      const rms = Math.sqrt(dot(v, v) / v.length + normEpsilon);
      return v.map((value, i) => (value / rms) * gain[i]!);
    });
  };
  const headsOf = (x: Vector[], count: number): Vector[][] =>
    x.map((v) => Array.from({ length: count }, (_, h) => v.slice(h * headSize, (h + 1) * headSize)));

  const attention = async (name: string, x: Vector[], layer: number): Promise<Vector[]> => {
    const sizes = [heads, kvHeads, kvHeads].map((count) => count * headSize);
    const projected = await projections(name, "qkv_proj", ["q_proj", "k_proj", "v_proj"], sizes, x);
    let [q, k] = projected as [Vector[], Vector[]];
    if (config.wideQueryKeyNorm) [q, k] = [await norm(`${name}.q_norm`, q), await norm(`${name}.k_norm`, k)];
    let queries = headsOf(q, heads);
    let keys = headsOf(k, kvHeads);
    const values = headsOf(projected[2]!, kvHeads);
    const sliding = slidingWindow !== null && (config.slidingLayers?.[layer] ?? true);
    const local = config.slidingRopeTheta !== undefined && (config.slidingLayers?.[layer] ?? true);
    const rope = local ? { ...config, ropeTheta: config.slidingRopeTheta!, ropeScaling: null } : config;
    const rotated = config.rotatedLayers?.[layer] ?? true;
    if (!config.wideQueryKeyNorm && weights.has(`${name}.q_norm.weight`)) {
      queries = await Promise.all(queries.map((q) => norm(`${name}.q_norm`, q)));
      keys = await Promise.all(keys.map((k) => norm(`${name}.k_norm`, k)));
    }
    if (rotated) {
      queries = queries.map((hs, t) => hs.map((q) => rotate(rope, q, t)));
      keys = keys.map((hs, t) => hs.map((k) => rotate(rope, k, t)));
    }
    const mixed = queries.map((hs, t) =>
      hs.flatMap((q, h) => {
        const shared = Math.floor(h / (heads / kvHeads)); // the key-value head of this query head
        const from = sliding ? Math.max(0, t - slidingWindow + 1) : 0;
        const seen = keys.slice(from, t + 1);
        const p = softmax(seen.map((k) => capped(attentionScale * dot(q, k[shared]!), attentionCap)));
        return q.map((_, i) => p.reduce((sum, weight, j) => sum + weight * values[from + j]![shared]![i]!, 0));
      }),
    );
    return linear(`${name}.o_proj`, mixed);
  };
  const feedForward = async (name: string, x: Vector[]): Promise<Vector[]> => {
    const sizes = [config.intermediateSize, config.intermediateSize];
    const [gate, up] = (await projections(name, "gate_up_proj", ["gate_proj", "up_proj"], sizes, x)) as [
      Vector[],
      Vector[],
    ];
    const activate = config.activation === "gelu" ? gelu : silu;
    const both = gate.map((g, t) => g.map((value, i) => activate(value) * up[t]![i]!));
    return linear(`${name}.down_proj`, both);
  };

  const table = await matrix("model.embed_tokens.weight");
  const times = (x: Vector[], factor: number): Vector[] => x.map((v) => v.map((value) => factor * value));
  let x = times(
    Array.from(tokens, (id) => table[id]!),
    config.embeddingScale ?? 1,
  );
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    /** What a block adds, between its norms. */
    const block = async (before: string, behind: string, run: (x: Vector[]) => Promise<Vector[]>): Promise<void> => {
      const out = await run(normPlace === "after" ? x : await norm(`${at}.${before}`, x));
      x = add(x, times(normPlace === "before" ? out : await norm(`${at}.${behind}`, out), residualScale));
    };
    await block("input_layernorm", "post_attention_layernorm", (x) => attention(`${at}.self_attn`, x, layer));
    const before = normPlace === "both" ? "pre_feedforward_layernorm" : "post_attention_layernorm";
    await block(before, "post_feedforward_layernorm", (x) => feedForward(`${at}.mlp`, x));
  }
  x = await norm("model.norm", x);
  const logits = config.tiedHead ? x.map((v) => table.map((row) => dot(row, v))) : await linear("lm_head", x);
  return times(logits, config.logitScale ?? 1).map((row) => row.map((value) => capped(value, logitCap)));
}

/** Channel j of the first half and of the second are a pair, turned by its own angle (GPT-NeoX's order). */
function rotate(config: ModelConfig, x: Vector, position: number): Vector {
  const { headSize, rotarySize = headSize, ropeTheta, ropeScaling, contextLength } = config;
  const half = rotarySize / 2;
  return x.map((value, i) => {
    if (i >= rotarySize) return value;
    const pair = i % half;
    const base = 1 / ropeTheta ** ((2 * pair) / rotarySize);
    let magnitude = 1;
    let frequency = base;
    if (ropeScaling?.type === "linear") frequency = base / ropeScaling.factor;
    if (ropeScaling?.type === "divisors") frequency = base / ropeScaling.divisors[pair]!;
    if (ropeScaling?.type === "llama3") {
      const { factor, lowFrequencyFactor, highFrequencyFactor, originalContextLength } = ropeScaling;
      const wavelength = (2 * Math.PI) / base;
      const smooth =
        (originalContextLength / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
      if (wavelength > originalContextLength / lowFrequencyFactor) frequency = base / factor;
      else if (wavelength >= originalContextLength / highFrequencyFactor)
        frequency = ((1 - smooth) * base) / factor + smooth * base;
    }
    if (ropeScaling?.type === "longrope") {
      const { short, long, originalContextLength } = ropeScaling;
      frequency = base / (contextLength > originalContextLength ? long : short)[pair]!;
      magnitude = ropeScaling.magnitude;
    }
    if (ropeScaling?.type === "yarn") {
      const { factor, originalContextLength, fastTurns, slowTurns } = ropeScaling;
      const channel = (turns: number): number =>
        (rotarySize / 2) * (Math.log(originalContextLength / (turns * 2 * Math.PI)) / Math.log(ropeTheta));
      const low = Math.max(0, Math.floor(channel(fastTurns)));
      const high = Math.min(rotarySize - 1, Math.ceil(channel(slowTurns)));
      const divided = Math.min(1, Math.max(0, (pair - low) / (high === low ? 0.001 : high - low)));
      frequency = base * (1 - divided) + (base / factor) * divided;
      magnitude = ropeScaling.magnitude;
    }
    const angle = position * frequency;
    const other = i < half ? -x[i + half]! : x[i - half]!;
    return magnitude * (value * Math.cos(angle) + other * Math.sin(angle));
  });
}

function dot(a: Vector, b: Vector): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

const silu = (x: number): number => x / (1 + Math.exp(-x));
const gelu = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const capped = (x: number, cap: number | undefined): number => (cap === undefined ? x : cap * Math.tanh(x / cap));

function add(a: Vector[], b: Vector[]): Vector[] {
  return a.map((v, t) => v.map((value, i) => value + b[t]![i]!));
}

function softmax(scores: Vector): Vector {
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const total = powers.reduce((sum, value) => sum + value, 0);
  return powers.map((value) => value / total);
}
