/**
 * The numbers of a model in training in a device's own memory: weights, gradients and moments stay there, and AdamW runs there as a
 * graph, tensor by tensor. A run may not write what it reads, so each tensor's new numbers go where another's of its size were before.
 * The parameters' arrays follow only when they are asked for.
 */
import { ADAMW_CONSTANTS, adamWGraph, sumGraph } from "../model/adamw-graph.ts";
import type { Device } from "../runtime/devices/device.ts";
import { type Feeds, float32Data, reshaped, type Tensor } from "../runtime/ort.ts";
import type { DeviceMemory } from "../runtime/resident-memory.ts";
import { adamWConstants } from "./adamw.ts";
import type { AdamWConstants } from "./adamw-kernel.ts";
import { gradientName, type Numbers } from "./numbers.ts";
import type { Parameters, TrainedTensor } from "./parameters.ts";

/** A trained tensor's numbers, flat. */
type Held = Record<"data" | "first" | "second", Tensor>;
const PARTS = ["data", "first", "second"] as const;

/** Throws `engine`, as where the device has too little memory. */
export async function residentNumbers(
  { trained, frozen }: Parameters,
  device: Device,
  openMemory: () => Promise<DeviceMemory>,
): Promise<Numbers> {
  const memory = await openMemory();
  const releases = [() => memory.release()];
  const release = async (): Promise<void> => {
    for (const each of releases.splice(0)) await each();
  };
  const compiled = async (graph: ReturnType<typeof sumGraph>) => {
    const program = await device.compile(graph, { threads: 1 });
    releases.unshift(() => program.release());
    return program;
  };
  const brought = async ({ data, first, second }: TrainedTensor): Promise<Held> => ({
    data: await memory.put(data),
    first: await memory.put(first),
    second: await memory.put(second),
  });
  try {
    const [adamW, sum] = [await compiled(adamWGraph()), await compiled(sumGraph())];
    const fixed: Feeds = {};
    for (const { name, shape, data } of frozen) fixed[name] = reshaped(await memory.put(data), shape);
    const held: Held[] = [];
    for (const tensor of trained) held.push(await brought(tensor));
    let changed = false;
    return {
      feeds: () => ({
        ...fixed,
        ...Object.fromEntries(trained.map(({ name, shape }, i) => [name, reshaped((held[i] as Held).data, shape)])),
      }),
      async compute(program, feeds, outputs) {
        const gradients: Tensor[] = [];
        for (const { data } of trained) gradients.push(await memory.take(data.length));
        const into = trained.map(({ name, shape }, i) => [gradientName(name), reshaped(gradients[i] as Tensor, shape)]);
        const results = await program.run(feeds, outputs, Object.fromEntries(into));
        return { gradients, results };
      },
      async add(before, more) {
        const [gradients, squares] = [[] as Tensor[], new Float32Array(before.length)];
        for (const [i, a] of before.entries()) {
          const [b, total] = [more[i] as Tensor, await memory.take(a.size)];
          const { square } = await sum.run({ a, b }, ["square"], { sum: total });
          squares[i] = float32Data(square as Tensor)[0] as number;
          gradients.push(total);
          memory.give(a);
          memory.give(b);
        }
        return { gradients, squares };
      },
      async update(gradients, stepOf) {
        changed = true;
        const known = new Map<string, Feeds>();
        const constantsOf = async (values: AdamWConstants): Promise<Feeds> => {
          const key = JSON.stringify(values);
          const constants = known.get(key) ?? {};
          if (known.has(key)) return constants;
          for (const name of ADAMW_CONSTANTS) constants[name] = await memory.put(Float32Array.of(values[name]));
          known.set(key, constants);
          return constants;
        };
        for (const [i, gradient] of gradients.entries()) {
          const constants = await constantsOf(adamWConstants(stepOf(i)));
          const { data: weights, first, second } = held[i] as Held;
          const next = { data: await memory.take(gradient.size) } as Held;
          next.first = await memory.take(gradient.size);
          next.second = await memory.take(gradient.size);
          await adamW.run({ weights, gradient, first, second, ...constants }, [], {
            ...{ new_weights: next.data, new_first: next.first, new_second: next.second },
          });
          held[i] = next;
          for (const tensor of [weights, first, second, gradient]) memory.give(tensor);
        }
        for (const constants of known.values()) for (const tensor of Object.values(constants)) memory.drop(tensor);
      },
      async read(gradients) {
        const arrays = gradients.map(({ size }) => new Float32Array(size));
        for (const [i, gradient] of gradients.entries()) await memory.read(gradient, arrays[i] as Float32Array);
        return arrays;
      },
      async fetch() {
        if (!changed) return;
        for (const [i, tensor] of trained.entries()) {
          for (const part of PARTS) await memory.read((held[i] as Held)[part], tensor[part]);
        }
        changed = false;
      },
      async bring() {
        for (const [i, tensor] of trained.entries()) {
          for (const part of PARTS) memory.drop((held[i] as Held)[part]);
          held[i] = await brought(tensor);
        }
        changed = false;
      },
      release,
    };
  } catch (error) {
    await release();
    throw error;
  }
}
