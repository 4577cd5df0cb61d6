/**
 * What a tokenizer may do to a text beside cutting it into tokens, from its description: whether parts of the text may vanish or
 * shrink before they are counted. Knows no tokens.
 */

/** What a tokenizer may do to a text beside cutting it into tokens. */
export interface Coverage {
  /** Bytes of the text that a byte of a token may stand for; null where there is no limit. */
  readonly factor: number | null;
  /** Whether white space may vanish beside added tokens. */
  readonly dropsSpace: boolean;
}

interface Step {
  readonly type?: unknown;
  readonly [key: string]: unknown;
}

const COMPOSITION = 4; // bytes of decomposed text over those of composed text, at most; Unicode's own limit is 3 in UTF-8

/** That of an object in the form of `tokenizer.json`. */
export function coverageOf(json: object): Coverage {
  const { normalizer, pre_tokenizer, model, added_tokens } = json as Readonly<Record<string, unknown>>;
  const factors = [
    ...flat(normalizer, "normalizers").map(factorOfNormalizer),
    ...flat(pre_tokenizer, "pretokenizers").map(({ behavior }) => (behavior === "Removed" ? null : 1)),
    joinsUnknown((model ?? {}) as Step) ? null : 1,
  ];
  const added = (added_tokens ?? []) as readonly { readonly lstrip?: boolean; readonly rstrip?: boolean }[];
  return {
    factor: factors.reduce((most, factor) => (most === null || factor === null ? null : Math.max(most, factor))),
    dropsSpace: added.some(({ lstrip, rstrip }) => lstrip === true || rstrip === true),
  };
}

function factorOfNormalizer({ type, pattern, content }: Step): number | null {
  if (type === "NFC") return COMPOSITION;
  if (type === "Prepend") return 1;
  const text = (pattern as { readonly String?: unknown } | undefined)?.String;
  return type === "Replace" && text === " " && content === "\u2581" ? 1 : null;
}

/** Whether characters without a token become one token together. */
function joinsUnknown({ fuse_unk, byte_fallback, vocab }: Step): boolean {
  if (fuse_unk !== true) return false;
  const names = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  return !(byte_fallback === true && names.every((name) => Object.hasOwn(vocab as object, name)));
}

function flat(node: unknown, key: string): readonly Step[] {
  if (node === null || node === undefined) return [];
  const step = node as Step;
  return step.type === "Sequence" ? (step[key] as readonly unknown[]).flatMap((each) => flat(each, key)) : [step];
}
