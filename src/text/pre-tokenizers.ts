/**
 * The pre-tokenizers of byte-level BPE that GGUF files refer to by name (`tokenizer.ggml.pre`): how text is cut into
 * words before any merge. A name stands for a list of regular expressions, each splitting what the one before left
 * whole; names and expressions are those of llama.cpp and of the models' own `tokenizer.json`. Knows no vocabulary.
 */
import { CllmError } from "../error.ts";

/** How one pre-tokenizer cuts text, and what goes with it. */
export interface PreTokenizer {
  /** Applied in order; what matches becomes a word of its own, and what lies between matches too. */
  readonly patterns: readonly string[];
  /** A word that is a token as a whole is not merged from its bytes. */
  readonly ignoreMerges: boolean;
  /** Whether a text starts with the beginning-of-sequence token where the file does not say. */
  readonly addBos: boolean;
  /** Unicode normalization before everything else, where the model's own `tokenizer.json` has it: llama.cpp does without. */
  readonly normalize: "NFC" | null;
}

/** The words of GPT-2: contractions, letters, digits and punctuation, each with the space before it. */
export const GPT2_WORDS: string = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const SPACES = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** GPT-4's words, with runs of at most `digits` digits. */
function gpt4Words(digits: string): string {
  return `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`;
}

/**
 * GPT-4o's words: as GPT-4's, but a word also ends where small letters turn into capital ones. `ending` is what belongs
 * to a word behind its letters, `more` a condition on each letter.
 */
function gpt4oWords(digits: string, ending: string, lineEnds = "[\\r\\n/]*", more = ""): string {
  const letter = (kinds: string): string => (more === "" ? kinds : `(?:${more}${kinds})`);
  const capital = letter("[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]");
  const small = letter("[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]");
  const before = "[^\\r\\n\\p{L}\\p{N}]?";
  return `${before}${capital}*${small}+${ending}|${before}${capital}+${small}*${ending}|${digits}| ?[^\\s\\p{L}\\p{N}]+${lineEnds}|${SPACES}`;
}

/** DeepSeek V3's words: punctuation and the Latin letters behind it, letters with their marks. */
function deepSeekWords(behindSymbols: string): string {
  return (
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+" +
    `| ?[\\p{P}\\p{S}]+${behindSymbols}|\\s+(?!\\S)|\\s+`
  );
}

/** Latin, Greek, Cyrillic and other cased letters, as DeepSeek's first models list them. */
const DEEPSEEK_LETTERS =
  "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373" +
  "\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f" +
  "\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77" +
  "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d" +
  "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb" +
  "\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128" +
  "\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4" +
  "\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf" +
  "\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\u{10400}-\u{1044f}\u{104b0}-\u{104d3}" +
  "\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}";
const CHINESE_AND_KOREAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";
const CHINESE_AND_JAPANESE = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
const UP_TO_THREE_DIGITS = "\\p{N}{1,3}";
const ANY_SCRIPT_OF_ASIA =
  "[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f\u0e80-\u0eff" +
  "\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+";

const gpt2: PreTokenizer = { patterns: [GPT2_WORDS], ignoreMerges: false, addBos: false, normalize: null };
/** As GPT-2's in all but the patterns. */
const cutBy = (...patterns: string[]): PreTokenizer => ({ ...gpt2, patterns });
const digitByDigit: PreTokenizer = cutBy("\\p{N}", GPT2_WORDS);
const llama3: PreTokenizer = { ...cutBy(gpt4Words(UP_TO_THREE_DIGITS)), ignoreMerges: true, addBos: true };
const threeDigits: PreTokenizer = cutBy(gpt4Words(UP_TO_THREE_DIGITS));
const oneDigit: PreTokenizer = cutBy(gpt4Words("\\p{N}"));
const qwen2: PreTokenizer = { ...oneDigit, normalize: "NFC" };
const tekken: PreTokenizer = { ...llama3, patterns: [gpt4oWords("\\p{N}", "")] };
const gpt4o: PreTokenizer = cutBy(gpt4oWords(UP_TO_THREE_DIGITS, `${CONTRACTIONS}?`));
const deepSeekCoder: PreTokenizer = cutBy("[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CHINESE_AND_KOREAN, "\\p{N}");
const deepSeekLlm: PreTokenizer = cutBy(
  "[\\r\\n]",
  `\\s?[${DEEPSEEK_LETTERS}]+`,
  "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
  "\\s+$",
  CHINESE_AND_KOREAN,
  "\\p{N}+",
);
const deepSeekV3: PreTokenizer = cutBy(
  UP_TO_THREE_DIGITS,
  CHINESE_AND_JAPANESE,
  deepSeekWords("[\\r\\n]*|\\s*[\\r\\n]+"),
);
const spark: PreTokenizer = cutBy(UP_TO_THREE_DIGITS, CHINESE_AND_JAPANESE, deepSeekWords("|[\\r\\n]"), "\\p{N}");
const youtu: PreTokenizer = {
  ...cutBy(
    "[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+" +
      `|[\u3105-\u312f]+|${CHINESE_AND_JAPANESE}`,
    gpt4oWords("\\p{N}", `${CONTRACTIONS}?`),
  ),
  ignoreMerges: true,
};
const qwen35: PreTokenizer = {
  ...cutBy(
    `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${SPACES}`,
  ),
  normalize: "NFC",
};
const withoutPunctuation = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+";
/** Groups of three digits, counted from the right: a match is such a group and what is no digit behind it. */
const superBpe: PreTokenizer = cutBy("\\p{N}+", "\\p{Nd}{3}(?=(?:\\p{Nd}{3})*(?!\\p{Nd}))\\P{Nd}*");
const fromTheRight = (digit: string, end: string): string => `${digit}{1,3}(?=(?:${digit}{3})*${end})`;
const afmoe: PreTokenizer = cutBy(
  fromTheRight("\\p{N}", "(?!\\p{N})"),
  ANY_SCRIPT_OF_ASIA,
  deepSeekWords("[\\r\\n]*|\\s*[\\r\\n]+"),
);
const tinyAya: PreTokenizer = cutBy(fromTheRight("\\d", "\\b"), gpt4oWords(UP_TO_THREE_DIGITS, `${CONTRACTIONS}?`));
const jais2: PreTokenizer = cutBy(
  gpt4Words(UP_TO_THREE_DIGITS).replace(
    "\\s+(?!\\S)|\\s+",
    `${[512, 256, 128, 64, 32, 16, 8, 4].map((n) => `\\s{${n}}(?!\\S)|`).join("")}\\s{1,2}(?!\\S)|\\s{1}`,
  ),
);
const bailing: PreTokenizer = cutBy(
  "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
);
const seedCoder: PreTokenizer = cutBy(
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${SPACES}`,
);
const exaoneMoe: PreTokenizer = cutBy(
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}` +
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
);
const chameleon: PreTokenizer = {
  ...cutBy(
    "<sentinel:[0-9]+>",
    "(?:IMGIMG)(?:(?:A|B|C|D|E|F|G|H|I){1,4})Z",
    "(?:[\\t\\n]|    |  )",
    "\\p{N}",
    "[\\p{P}!-/:-@\\[-`{-~]",
    GPT2_WORDS,
  ),
  addBos: true,
};
const kimi: PreTokenizer = cutBy(
  `[\\p{Script=Han}]+|${gpt4oWords(UP_TO_THREE_DIGITS, `${CONTRACTIONS}?`, "[\\r\\n]*", "(?!\\p{Script=Han})")}`,
);
const fallback: PreTokenizer = cutBy("[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2_WORDS, "\\p{N}+", "[0-9][0-9][0-9]");
const falcon: PreTokenizer = cutBy("[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2_WORDS, "[0-9][0-9][0-9]");

/**
 * By the names of llama.cpp. The first name of a pre-tokenizer is the one that files written here get. Two kinds are not
 * here: SentencePiece vocabularies, which are not written in bytes (gemma4, sarvam-moe), and encoders with separators.
 */
const NAMES: readonly (readonly [pre: PreTokenizer, ...names: string[]])[] = [
  [fallback, "default"],
  [gpt2, "gpt-2", "phi-2", "mpt", "olmo", "jais", "exaone4", "trillion", "granite-docling", "gigachat", "a.x-4.0"],
  [gpt2, "mellum", "modern-bert", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de"],
  [digitByDigit, "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"],
  [llama3, "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"],
  [qwen2, "qwen2", "deepseek-r1-qwen", "f2llmv2"],
  [oneDigit, "stablelm2", "hunyuan", "solar-open", "grok-2", "megrez", "kormo"],
  [threeDigits, "dbrx", "smaug-bpe", "chatglm-bpe", "glm4"],
  [tekken, "tekken"],
  [gpt4o, "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"],
  [{ ...gpt4o, ignoreMerges: true }, "granite-embed-multi-97m"],
  [deepSeekCoder, "deepseek-coder"],
  [deepSeekLlm, "deepseek-llm"],
  [deepSeekV3, "deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
  [spark, "spark2_5"],
  [youtu, "youtu"],
  [falcon, "falcon"],
  [qwen35, "qwen35"],
  [cutBy(withoutPunctuation), "poro-chat", "bloom", "gpt3-finnish"],
  [cutBy(withoutPunctuation, "\\p{N}"), "viking"],
  [jais2, "jais-2"],
  [superBpe, "superbpe"],
  [bailing, "bailingmoe", "bailingmoe2", "llada-moe"],
  [seedCoder, "seed-coder"],
  [cutBy(gpt4Words("\\p{N}").replace(`${CONTRACTIONS}|`, "")), "ufakzeka"],
  [cutBy("[^\\n]+|[\\n]+", gpt4Words("\\p{N}")), "laguna"],
  [exaoneMoe, "exaone-moe"],
  [{ ...cutBy(UP_TO_THREE_DIGITS, gpt4Words("\\p{N}+")), ignoreMerges: true }, "minicpm5"],
  [tinyAya, "tiny_aya", "cohere2moe"],
  [afmoe, "afmoe"],
  [chameleon, "chameleon"],
  [kimi, "kimi-k2"],
];

const BY_NAME: ReadonlyMap<string, PreTokenizer> = new Map(
  NAMES.flatMap(([pre, ...names]) => names.map((name) => [name, pre] as const)),
);

/** Every name that is known. */
export const PRE_TOKENIZER_NAMES: readonly string[] = [...BY_NAME.keys()];

/**
 * The pre-tokenizer of that name; a file that names none gets "default", as in llama.cpp. Throws `unsupported` for a
 * name that is not known, because any other way of cutting would give the model tokens it was not trained on.
 */
export function preTokenizerNamed(name: string | null): PreTokenizer {
  const found = BY_NAME.get(name ?? "default");
  if (found) return found;
  throw new CllmError(
    "unsupported",
    `the GGUF file's pre-tokenizer is ${JSON.stringify(name)}; supported are ${PRE_TOKENIZER_NAMES.join(", ")}; ` +
      "load the model from its Hugging Face directory instead, where tokenizer.json spells the pre-tokenizer out",
  );
}

/** The name of the pre-tokenizer that cuts text this way, or null where none does. */
export function nameOfPreTokenizer(wanted: Omit<PreTokenizer, "addBos">): string | null {
  for (const [name, { patterns, ignoreMerges, normalize }] of BY_NAME) {
    if (ignoreMerges !== wanted.ignoreMerges || normalize !== wanted.normalize) continue;
    if (patterns.length === wanted.patterns.length && patterns.every((p, i) => p === wanted.patterns[i])) return name;
  }
  return null;
}
