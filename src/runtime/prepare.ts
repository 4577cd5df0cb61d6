/**
 * A decode graph made for files: weights are read and quantized unit by unit, written down and forgotten, together with the
 * copy that the engine makes of them in the order of its products. Several threads can each make a part of the same model.
 * Knows neither where prepared models are kept nor how threads are started.
 */
import { closeSync, openSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CllmError } from "../error.ts";
import type { ConstantStore, DType, Graph, GraphNode, Value } from "../graph/graph.ts";
import { alignedOffset, type ExternalEntries, externalConstants } from "../graph/one-file.ts";
import type { ModelConfig } from "../model/config.ts";
import type { DraftAdapter } from "../model/draft-adapter.ts";
import type { WeightUnit } from "../model/layered-weights.ts";
import type { Weights } from "../model/weights.ts";
import { buildGraph, type GraphPlan } from "./build-graph.ts";
import { savePrepacked } from "./ort.ts";

/** What one thread makes of a model: the units that it takes first. */
export interface Share {
  /** Counted from 0. */
  readonly index: number;
  /** Who has which unit, the vocabulary and then the layers: 0 while nobody has it, else the thread's index and one. Threads share its memory. */
  readonly taken: Int32Array;
}

/** Units of a model that nobody has yet, for threads of this process. Behind them is what tells the threads to stop. */
export function freeUnits({ layers }: Pick<ModelConfig, "layers">): Int32Array {
  return new Int32Array(new SharedArrayBuffer((layers + 2) * Int32Array.BYTES_PER_ELEMENT));
}

/** Threads that make parts end before their next unit. */
export function stopParts(taken: Int32Array): void {
  Atomics.store(taken, taken.length - 1, 1);
}

/** Whether the thread may have the unit: it has it already, or nobody had it until now. Throws `aborted` once threads are to stop. */
export function takeUnit({ index, taken }: Share, unit: WeightUnit): "mine" | "new" | null {
  if (Atomics.load(taken, taken.length - 1) !== 0) throw new CllmError("aborted", "preparing the model was stopped");
  const holder = Atomics.compareExchange(taken, unit === "vocabulary" ? 0 : unit + 1, 0, index + 1);
  if (holder === 0) return "new";
  return holder === index + 1 ? "mine" : null;
}

/** A part of a model, in the files of a folder. */
export interface Part {
  /** The graph of one slot, whose external constants are not placed yet. */
  readonly graph: Uint8Array;
  /** Where the external constants of this part lie, by their index in the graph. */
  readonly places: readonly (readonly [index: number, entries: ExternalEntries])[];
}

/** A graph with constants that nobody reads: its nodes are those of the same model with any other weights. */
export async function hollowGraph(
  plan: GraphPlan,
  weights: Weights,
  slots: number,
  draft: DraftAdapter | null = null,
): Promise<Uint8Array> {
  const store: ConstantStore = { put: () => ({ location: UNPLACED, offset: 0 }) };
  const { encoded } = await buildGraph(plan, weights, { store, slots, draft, begin: () => false });
  return encoded.bytes;
}

const UNPLACED = "unplaced";

/**
 * Makes a thread's part of a model: its constants go to `constants-INDEX.bin` in `folder`. It goes through all units and takes
 * those that are free, so that all threads end at the same time. `onUnit` is called before each that it takes, and may throw to stop.
 */
export async function makePart(
  plan: GraphPlan,
  weights: Weights,
  folder: string,
  share: Share,
  onUnit: (unit: WeightUnit) => void = () => {},
): Promise<Part> {
  const file = new PartFile(join(folder, `constants-${share.index}.bin`), plan.products.form !== "resident");
  try {
    let seen = 0; // nodes of the units before
    const begin = async (unit: WeightUnit, graph: Graph): Promise<boolean> => {
      await file.prepack(graph, graph.nodes.slice(seen));
      seen = graph.nodes.length;
      const taken = takeUnit(share, unit);
      file.writing = taken !== null;
      if (taken === "new") onUnit(unit);
      return file.writing;
    };
    file.writing = share.index === 0; // what comes before the first unit
    const { graph, encoded } = await buildGraph(plan, weights, { store: file, begin });
    await file.prepack(graph, graph.nodes.slice(seen));
    return { graph: encoded.bytes, places: [...file.places] };
  } finally {
    file.close();
  }
}

/** The products whose constants the engine puts in an order of its own, by what their first input holds. */
const PACKED: ReadonlyMap<string, DType> = new Map<string, DType>([
  ["MatMul", "float32"],
  ["MatMulNBits", "float32"],
  ["MatMulIntegerToFloat", "uint8"],
]);

/** The file of a part's constants. */
class PartFile implements ConstantStore {
  /** Whether what is put is of this part; without it, it is only counted. */
  writing = true;
  readonly places = new Map<number, ExternalEntries>();
  readonly #path: string;
  readonly #packs: boolean;
  readonly #file: number;
  #count = 0;
  #end = 0;
  #buffer: Buffer = Buffer.alloc(0);

  /** `packs`: the engine has an order of its own for constants, as on a processor. */
  constructor(path: string, packs: boolean) {
    this.#path = path;
    this.#packs = packs;
    this.#file = openSync(path, "wx+");
  }

  put(bytes: Uint8Array): { readonly location: string; readonly offset: number } {
    const index = this.#count++;
    if (!this.writing) return { location: UNPLACED, offset: 0 };
    const offset = this.#append(bytes);
    const location = basename(this.#path);
    this.places.set(index, { location, offset: String(offset), length: String(bytes.length) });
    return { location, offset };
  }

  #append(bytes: Uint8Array): number {
    const offset = alignedOffset(this.#end, bytes.length);
    this.#end = offset + bytes.length;
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at, bytes.length - at, offset + at);
    return offset;
  }

  /**
   * Lets the engine pack the constants of these nodes that are of this part, and keeps what it makes of them. The
   * engine loads the file that it writes itself, and then crashes: its copies lie at odd addresses, and products need
   * aligned ones.
   */
  async prepack(graph: Graph, nodes: readonly GraphNode[]): Promise<void> {
    const own = new Map([...this.places.keys()].map((index) => [graph.outside[index] as string, index]));
    const packed = nodes.filter(
      ({ type, inputs }) => PACKED.has(type) && inputs.some((value) => value !== null && own.has(value.name)),
    );
    if (!this.#packs || packed.length === 0) return;
    const scratch = { model: `${this.#path}.part`, saved: `${this.#path}.saved`, data: `${this.#path}.data` };
    try {
      writeFileSync(
        scratch.model,
        graph.part(packed, ({ type }: GraphNode, _: Value) => PACKED.get(type) as DType),
      );
      await savePrepacked(scratch.model, scratch.saved, basename(scratch.data)).catch((cause: unknown) => {
        const next = "the disk may be full: free some space, or name another cache folder";
        throw new CllmError("disk", `the engine cannot write to ${dirname(this.#path)}; ${next}`, { cause });
      });
      const data = openSync(scratch.data, "r");
      try {
        for (const { name, entries } of externalConstants(await readFile(scratch.saved))) {
          const index = own.get(name);
          if (index === undefined) continue;
          const copies = Object.entries(entries).filter(([key]) => key.startsWith("prepacked"));
          const moved = copies.map(([key, value]) => [key, this.#moved(value, data)] as const);
          this.places.set(index, { ...this.places.get(index), ...Object.fromEntries(moved) });
        }
      } finally {
        closeSync(data);
      }
    } finally {
      for (const path of Object.values(scratch)) rmSync(path, { force: true });
    }
  }

  /** `KEY|OFFSET;LENGTH;PADDING|...`: the pieces of a packed constant, read from `data` and written here. */
  #moved(value: string, data: number): string {
    const [key, ...pieces] = value.split("|");
    const places = pieces.map((piece) => {
      const [offset, length, ...rest] = piece.split(";");
      if (this.#buffer.length < Number(length)) this.#buffer = Buffer.allocUnsafeSlow(Number(length));
      const bytes = this.#buffer.subarray(0, Number(length));
      readSync(data, bytes, 0, bytes.length, Number(offset));
      return [this.#append(bytes), length, ...rest].join(";");
    });
    return [key, ...places].join("|");
  }

  close(): void {
    closeSync(this.#file);
  }
}
