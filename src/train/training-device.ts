/**
 * Where a run trains: opens the device that is asked for, sees on a tiny model whether it trains as the processor does and the same
 * each time, and for `auto` whether it is faster. Knows no device's inside and no step.
 */
import { CllmError } from "../error.ts";
import { hash } from "../hash.ts";
import type { ModelConfig } from "../model/config.ts";
import { expectedTensors } from "../model/tensors.ts";
import { trainedTensors } from "../model/training-graph.ts";
import { cpu } from "../runtime/devices/cpu.ts";
import type { Device } from "../runtime/devices/device.ts";
import { onDevice, type WantedDevice } from "../runtime/open-device.ts";
import { tinyOf } from "../runtime/probe.ts";
import { type Pack, segment } from "./pack.ts";
import { type Parameters, randomParameters } from "./parameters.ts";
import { Trainer, type TrainerOptions } from "./trainer.ts";

/** Of losses and of a tensor's largest gradient. */
const TOLERANCE = 1e-3;

/**
 * A trainer on the device. Throws `unsupported` where that is not there, or does not train as the processor; `auto` takes the processor
 * then, and `onNote` says why.
 */
export async function openTrainer(
  wanted: WantedDevice,
  config: ModelConfig,
  parameters: Parameters,
  options: Omit<TrainerOptions, "device">,
  onNote?: (line: string) => void,
): Promise<{ readonly trainer: Trainer; readonly device: Device }> {
  const { made, device } = await onDevice(
    wanted,
    async (device) => {
      if (device !== cpu) await proveTraining(config, device);
      if (wanted === "auto" && device !== cpu) await requireFaster(device, config, parameters, options);
      return Trainer.create(config, parameters, { ...options, device });
    },
    onNote,
  );
  return { trainer: made, device };
}

/** One text of so many tokens, each to be followed by the next. Tokens come more than once. */
function packOf(length: number, vocabSize: number): Pack {
  const tokens = Int32Array.from({ length: length + 1 }, (_, i) => hash(i) % Math.min(vocabSize, 1 + (length >> 1)));
  const weights = new Float32Array(length).fill(1 / length);
  return { segments: [segment(tokens.subarray(0, -1), { targets: tokens.subarray(1), weights })] };
}

/** Throws `unsupported` where a tiny model's loss and gradients are not the processor's, or not the same twice. */
export async function proveTraining(real: ModelConfig, device: Device): Promise<void> {
  const config = tinyOf(real);
  const pack = packOf(24, config.vocabSize);
  const run = async (on: Device, times: number): Promise<readonly (readonly Float32Array[])[]> => {
    await using trainer = await Trainer.create(config, randomParameters(config, 1), {
      ...{ batch: 1, threads: 1, device: on },
    });
    const all: (readonly Float32Array[])[] = [];
    for (let i = 0; i < times; i++) {
      const gradients = await trainer.gradients([pack]);
      all.push([Float32Array.of(gradients.loss), ...(await trainer.read(gradients))]);
    }
    return all;
  };
  const [once = [], twice = []] = await run(device, 2);
  const [expected = []] = await run(cpu, 1);
  const refused = (what: string): CllmError =>
    new CllmError("unsupported", `this device does not train exactly: ${what}; take device cpu, or another driver`);
  for (const [i, values] of expected.entries()) {
    const [found, again] = [once[i] as Float32Array, twice[i] as Float32Array];
    const what = i === 0 ? "the loss" : `the gradient of ${trainedTensors(config)[i - 1]?.[0]}`;
    if (!found.every((value, j) => Object.is(value, again[j]))) throw refused(`${what} differs from run to run`);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const apart = values.reduce((most, value, j) => Math.max(most, Math.abs(value - (found[j] as number))), 0);
    if (!(apart <= TOLERANCE * largest)) {
      throw refused(`${what} of a tiny model differs by ${apart.toPrecision(2)} from the processor's`);
    }
  }
}

/** Layers and tokens that tell how fast a device is. */
const SLICE = { layers: 2, tokens: 128, rounds: 2 };

/** Throws `unsupported` where the first layers and the vocabulary take the device longer than the processor. */
async function requireFaster(
  device: Device,
  config: ModelConfig,
  parameters: Parameters,
  options: Omit<TrainerOptions, "device">,
): Promise<void> {
  const slice = { ...config, layers: Math.min(SLICE.layers, config.layers) };
  const names = new Set([...expectedTensors(slice), ...trainedTensors(slice, options.lora)].map(([name]) => name));
  const part: Parameters = {
    ...parameters,
    trained: parameters.trained.filter(({ name }) => names.has(name)),
    frozen: parameters.frozen.filter(({ name }) => names.has(name)),
  };
  const pack = packOf(Math.min(SLICE.tokens, config.contextLength), config.vocabSize);
  const fastest = async (on: Device): Promise<number> => {
    await using trainer = await Trainer.create(slice, part, { ...options, batch: 1, device: on });
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round <= SLICE.rounds; round++) {
      const start = performance.now();
      await trainer.gradients([pack]); // it ends with the loss, which has to come from the device
      if (round > 0) least = Math.min(least, performance.now() - start); // the first one compiles
    }
    return least;
  };
  const [there, here] = [await fastest(device), await fastest(cpu)];
  if (there < here) return;
  const times = `${there.toFixed(1)} ms on ${device.name} and ${here.toFixed(1)} ms on cpu`;
  throw new CllmError("unsupported", `gradients of ${slice.layers} layers take ${times}`);
}
