/**
 * The alphabet in which byte-level BPE writes bytes as printable characters (GPT-2's): printable Latin-1 stands for
 * itself, the other 68 bytes are moved to U+0100 and after. Knows neither vocabularies nor merges.
 */

const BYTE_BY_CHARACTER: ReadonlyMap<string, number> = (() => {
  const bytes = new Map<string, number>();
  let moved = 0;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    bytes.set(String.fromCharCode(printable ? byte : 0x100 + moved++), byte);
  }
  return bytes;
})();

/** The bytes that a byte-level token stands for, or null where a character is not of the alphabet. */
export function bytesOfByteLevelToken(token: string): Uint8Array | null {
  const bytes = new Uint8Array(token.length); // every character of the alphabet is one UTF-16 unit
  for (let i = 0; i < token.length; i++) {
    const byte = BYTE_BY_CHARACTER.get(token[i]!);
    if (byte === undefined) return null;
    bytes[i] = byte;
  }
  return bytes;
}

const CHARACTER_BY_BYTE: readonly string[] = (() => {
  const characters: string[] = [];
  for (const [character, byte] of BYTE_BY_CHARACTER) characters[byte] = character;
  return characters;
})();

/** The byte-level token that stands for these bytes. */
export function byteLevelToken(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => CHARACTER_BY_BYTE[byte]!).join("");
}
