/**
 * An encoded model whose big constants lie in one file, as most programs expect them: rewrites where each constant says
 * that its bytes are. Knows no model. Reference: onnx.proto, TensorProto.external_data.
 */
import type { EncodedModel } from "./graph.ts";
import { Message } from "./protobuf.ts";

export interface OneFileModel {
  readonly bytes: Uint8Array;
  /** What the file at `location` is made of, in order; between the pieces are zeros. */
  readonly pieces: readonly { readonly offset: number; readonly data: Uint8Array }[];
}

/** Big pieces start at pages, so that they can be mapped into memory. */
const PAGE = 4096;
const SMALL_ALIGNMENT = 64;

/** Where the next piece of `length` bytes begins in a file that ends at `end`. */
export function alignedOffset(end: number, length: number): number {
  const alignment = length >= PAGE ? PAGE : SMALL_ALIGNMENT;
  return Math.ceil(end / alignment) * alignment;
}

/** Fields: ModelProto.graph, GraphProto.initializer, TensorProto.name and .external_data, and of its entries. */
const GRAPH = 7;
const INITIALIZER = 5;
const NAME = 8;
const EXTERNAL_DATA = 13;
const KEY = 1;
const VALUE = 2;

/** The same model with all external data in the file `location`, a path relative to the model's. */
export function inOneFile({ bytes, externalData }: EncodedModel, location: string): OneFileModel {
  const offsets = new Map<string, number>();
  const pieces: { offset: number; data: Uint8Array }[] = [];
  let end = 0;
  for (const { path, data } of externalData) {
    const offset = alignedOffset(end, data.length);
    offsets.set(path, offset);
    pieces.push({ offset, data });
    end = offset + data.length;
  }
  const place = (path: string): ExternalEntries => ({ location, offset: String(offsets.get(path)) });
  return { bytes: relocated(bytes, (entries) => ({ ...entries, ...place(entries["location"] as string) })), pieces };
}

/** What a constant says of its bytes: `location`, `offset`, `length`, and what the engine adds. */
export type ExternalEntries = Readonly<Record<string, string>>;

/** The model with what each external constant says of its bytes replaced; they are counted in the graph's order. */
export function relocated(
  bytes: Uint8Array,
  place: (entries: ExternalEntries, index: number) => ExternalEntries,
): Uint8Array {
  let index = 0;
  const tensor = (content: Uint8Array): Uint8Array => {
    const entries = entriesOf(content);
    if (entries["location"] === undefined) return content;
    const rest = [...fieldsOf(content)].filter(({ field }) => field !== EXTERNAL_DATA).map(({ raw }) => raw);
    const added = Object.entries(place(entries, index++)).map(([key, value]) => {
      const entry = new Message().string(KEY, key).string(VALUE, value);
      return new Message().message(EXTERNAL_DATA, entry).finish();
    });
    return Buffer.concat([...rest, ...added]);
  };
  return mapField(bytes, GRAPH, (graph) => mapField(graph, INITIALIZER, tensor));
}

/** Names of the external constants of a model, in the graph's order, with what each says of its bytes. */
export function externalConstants(bytes: Uint8Array): { readonly name: string; readonly entries: ExternalEntries }[] {
  const found: { name: string; entries: ExternalEntries }[] = [];
  for (const graph of fieldsOf(bytes)) {
    if (graph.field !== GRAPH || graph.content === null) continue;
    for (const { field, content } of fieldsOf(graph.content)) {
      if (field !== INITIALIZER || content === null) continue;
      const entries = entriesOf(content);
      if (entries["location"] !== undefined) found.push({ name: nameOf(content), entries });
    }
  }
  return found;
}

function nameOf(tensor: Uint8Array): string {
  for (const { field, content } of fieldsOf(tensor))
    if (field === NAME && content) return new TextDecoder().decode(content);
  return "";
}

function entriesOf(tensor: Uint8Array): ExternalEntries {
  const entries: Record<string, string> = {};
  for (const { field, content } of fieldsOf(tensor)) {
    if (field !== EXTERNAL_DATA || content === null) continue;
    const [key, value] = entryOf(content);
    entries[key] = value;
  }
  return entries;
}

function entryOf(entry: Uint8Array): [key: string, value: string] {
  const texts = new Map<number, string>();
  for (const { field, content } of fieldsOf(entry)) texts.set(field, new TextDecoder().decode(content ?? undefined));
  return [texts.get(KEY) ?? "", texts.get(VALUE) ?? ""];
}

/** The message with every occurrence of a delimited field replaced. */
function mapField(message: Uint8Array, field: number, change: (content: Uint8Array) => Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const part of fieldsOf(message)) {
    const changed = part.field === field && part.content !== null;
    parts.push(changed ? new Message().bytes(field, change(part.content)).finish() : part.raw);
  }
  return Buffer.concat(parts);
}

interface Field {
  readonly field: number;
  /** With its tag. */
  readonly raw: Uint8Array;
  /** What a delimited field holds; null for others. */
  readonly content: Uint8Array | null;
}

const FIXED_BYTES: Readonly<Record<number, number>> = { 1: 8, 5: 4 };
const DELIMITED = 2;

function* fieldsOf(message: Uint8Array): Generator<Field, void, void> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[at++]!;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const start = at;
    const tag = varint();
    const wire = tag % 8;
    let content: Uint8Array | null = null;
    if (wire === DELIMITED) {
      const length = varint();
      content = message.subarray(at, at + length);
      at += length;
    } else if (wire === 0) varint();
    else at += FIXED_BYTES[wire] ?? 0;
    yield { field: Math.floor(tag / 8), raw: message.subarray(start, at), content };
  }
}
