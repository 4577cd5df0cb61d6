/**
 * Numbers that stay in a device's memory between runs: brought there, read back, and room for more. Two tiny graphs move them, since
 * the binding has no other way. Knows no device by name, and not what the numbers mean.
 */
import { type EncodedModel, Graph } from "../graph/graph.ts";
import { float32Data, float32Tensor, type Program, type Tensor } from "./ort.ts";

/** Flat float32 tensors of a device. Everything throws `engine`. */
export interface DeviceMemory {
  /** A copy of `data`, bit for bit. */
  put(data: Float32Array): Promise<Tensor>;
  /** Room for so many numbers, whatever is in it. */
  take(count: number): Promise<Tensor>;
  /** Hands a tensor back, for a later `take`. */
  give(tensor: Tensor): void;
  /** Frees a tensor. */
  drop(tensor: Tensor): void;
  /** Copies a tensor's numbers into `data`. */
  read(tensor: Tensor, data: Float32Array): Promise<void>;
  /** Frees everything that was put or taken. */
  release(): Promise<void>;
}

export interface MemoryOptions {
  /** Compiles a graph whose outputs stay on the device, or come back. */
  compile(model: EncodedModel, options: { readonly outputsOnDevice: boolean }): Promise<Program>;
}

export async function openResidentMemory({ compile }: MemoryOptions): Promise<DeviceMemory> {
  const there = await compile(copyGraph(), { outputsOnDevice: true });
  const back = await compile(copyGraph(), { outputsOnDevice: false }).catch(async (error) => {
    await there.release();
    throw error;
  });
  const all = new Set<Tensor>();
  const free = new Map<number, Tensor[]>();
  const put = async (data: Float32Array): Promise<Tensor> => {
    const { copy } = await there.run({ numbers: float32Tensor(data, [data.length]) }, ["copy"]);
    all.add(copy as Tensor);
    return copy as Tensor;
  };
  return {
    put,
    async take(count) {
      return free.get(count)?.pop() ?? (await put(new Float32Array(count)));
    },
    give(tensor) {
      const others = free.get(tensor.size);
      if (others === undefined) free.set(tensor.size, [tensor]);
      else others.push(tensor);
    },
    drop(tensor) {
      all.delete(tensor);
      tensor.dispose();
    },
    async read(tensor, data) {
      const { copy } = await back.run({ numbers: tensor }, ["copy"]);
      data.set(float32Data(copy as Tensor));
      (copy as Tensor).dispose();
    },
    async release() {
      for (const tensor of all) tensor.dispose();
      all.clear();
      free.clear();
      await there.release();
      await back.release();
    },
  };
}

/** numbers (n) -> copy (n): a `Reshape`, since arithmetic could change bits, as those of -0. */
function copyGraph(): EncodedModel {
  const graph = new Graph();
  const numbers = graph.input("numbers", "float32", ["n"]);
  graph.output(graph.op("Reshape", [numbers, graph.integers(-1)]), "copy", "float32", ["n"]);
  return graph.encode();
}
