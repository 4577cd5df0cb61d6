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
  const { layers, heads, kvHeads, headSize, normEpsilon, slidingWindow } = config;
  const vector = async (name: string): Promise<Vector> => [...(await weights.read(name))];
  const matrix = async (name: string): Promise<Vector[]> => {
    const [rows = 0, columns = 0] = weights.shape(name);
    const data = [...(await weights.read(name))];
    return Array.from({ length: rows }, (_, r) => data.slice(r * columns, (r + 1) * columns));
  };
  const linear = async (name: string, x: Vector[]): Promise<Vector[]> => {
    const w = await matrix(`${name}.weight`);
    const b = weights.has(`${name}.bias`) ? await vector(`${name}.bias`) : null;
    return x.map((v) => w.map((row, i) => dot(row, v) + (b?.[i] ?? 0)));
  };
  const norm = async (name: string, x: Vector[]): Promise<Vector[]> => {
    const gain = await vector(`${name}.weight`);
    return x.map((v) => {
      const rms = Math.sqrt(dot(v, v) / v.length + normEpsilon);
      return v.map((value, i) => (value / rms) * gain[i]!);
    });
  };
  const headsOf = (x: Vector[], count: number): Vector[][] =>
    x.map((v) => Array.from({ length: count }, (_, h) => v.slice(h * headSize, (h + 1) * headSize)));

  const attention = async (name: string, x: Vector[]): Promise<Vector[]> => {
    let queries = headsOf(await linear(`${name}.q_proj`, x), heads);
    let keys = headsOf(await linear(`${name}.k_proj`, x), kvHeads);
    const values = headsOf(await linear(`${name}.v_proj`, x), kvHeads);
    if (weights.has(`${name}.q_norm.weight`)) {
      queries = await Promise.all(queries.map((q) => norm(`${name}.q_norm`, q)));
      keys = await Promise.all(keys.map((k) => norm(`${name}.k_norm`, k)));
    }
    queries = queries.map((hs, t) => hs.map((q) => rotate(config, q, t)));
    keys = keys.map((hs, t) => hs.map((k) => rotate(config, k, t)));
    const mixed = queries.map((hs, t) =>
      hs.flatMap((q, h) => {
        const shared = Math.floor(h / (heads / kvHeads)); // the key-value head of this query head
        const from = slidingWindow === null ? 0 : Math.max(0, t - slidingWindow + 1);
        const seen = keys.slice(from, t + 1);
        const p = softmax(seen.map((k) => dot(q, k[shared]!) / Math.sqrt(headSize)));
        return q.map((_, i) => p.reduce((sum, weight, j) => sum + weight * values[from + j]![shared]![i]!, 0));
      }),
    );
    return linear(`${name}.o_proj`, mixed);
  };
  const feedForward = async (name: string, x: Vector[]): Promise<Vector[]> => {
    const gate = await linear(`${name}.gate_proj`, x);
    const up = await linear(`${name}.up_proj`, x);
    const both = gate.map((g, t) => g.map((value, i) => (value / (1 + Math.exp(-value))) * up[t]![i]!));
    return linear(`${name}.down_proj`, both);
  };

  const table = await matrix("model.embed_tokens.weight");
  let x = Array.from(tokens, (id) => table[id]!);
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    x = add(x, await attention(`${at}.self_attn`, await norm(`${at}.input_layernorm`, x)));
    x = add(x, await feedForward(`${at}.mlp`, await norm(`${at}.post_attention_layernorm`, x)));
  }
  x = await norm("model.norm", x);
  return config.tiedHead ? x.map((v) => table.map((row) => dot(row, v))) : await linear("lm_head", x);
}

/** Channel j of the first half and of the second are a pair, turned by its own angle (GPT-NeoX's order). */
function rotate({ headSize, ropeTheta, ropeScaling }: ModelConfig, x: Vector, position: number): Vector {
  const half = headSize / 2;
  return x.map((value, i) => {
    const pair = i % half;
    const base = 1 / ropeTheta ** ((2 * pair) / headSize);
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
    const angle = position * frequency;
    const other = i < half ? -x[i + half]! : x[i - half]!;
    return value * Math.cos(angle) + other * Math.sin(angle);
  });
}

function dot(a: Vector, b: Vector): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

function add(a: Vector[], b: Vector[]): Vector[] {
  return a.map((v, t) => v.map((value, i) => value + b[t]![i]!));
}

function softmax(scores: Vector): Vector {
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const total = powers.reduce((sum, value) => sum + value, 0);
  return powers.map((value) => value / total);
}
