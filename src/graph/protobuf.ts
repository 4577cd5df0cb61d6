/**
 * The little of protobuf's wire format that ONNX models need, writing only: varints, 32-bit floats, length-delimited
 * fields. Knows nothing about ONNX. Reference: protobuf.dev/programming-guides/encoding.
 */

const VARINT = 0;
const DELIMITED = 2;
const FIXED32 = 5;
const utf8 = new TextEncoder();

/** A message under construction. Methods append one field each and return the message, so that calls chain. */
export class Message {
  #bytes = new Uint8Array(64);
  #length = 0;

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }

  #varint(value: bigint): void {
    this.#reserve(10);
    let rest = BigInt.asUintN(64, value); // negative numbers take ten bytes, as the format wants
    while (rest > 127n) {
      this.#bytes[this.#length++] = Number(rest & 127n) | 128;
      rest >>= 7n;
    }
    this.#bytes[this.#length++] = Number(rest);
  }

  #tag(field: number, wireType: number): void {
    this.#varint((BigInt(field) << 3n) | BigInt(wireType)); // beyond 32 bits for the largest fields
  }

  int(field: number, value: number | bigint): this {
    this.#tag(field, VARINT);
    this.#varint(BigInt(value));
    return this;
  }

  float(field: number, value: number): this {
    this.#tag(field, FIXED32);
    this.#reserve(4);
    new DataView(this.#bytes.buffer).setFloat32(this.#length, value, true);
    this.#length += 4;
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.#tag(field, DELIMITED);
    this.#varint(BigInt(value.length));
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  string(field: number, value: string): this {
    return this.bytes(field, utf8.encode(value));
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.finish());
  }

  /** The encoded message: a view, valid until the next append. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}
