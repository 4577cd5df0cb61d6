/**
 * Which files of a directory or repository make up its checkpoint, from their names alone: a GGUF file, or a Hugging
 * Face directory's configuration, tokenizer and safetensors. Knows no contents, disk or network.
 */
import { CllmError } from "../error.ts";
import { nearMisses } from "../files/near-miss.ts";
import { NGRAMS } from "./ngrams.ts";
import { OWN_FACTS } from "./own-facts.ts";

export const CONFIG = "config.json";
export const WEIGHTS = "model.safetensors";
export const WEIGHTS_INDEX = "model.safetensors.index.json";
export const GENERATION_CONFIG = "generation_config.json";
export const TOKENIZER = "tokenizer.json";
export const TOKENIZER_CONFIG = "tokenizer_config.json";
export const SPECIAL_TOKENS = "special_tokens_map.json";
export const TEMPLATE = "chat_template.jinja";
export const TEMPLATE_JSON = "chat_template.json";
export const ADAPTER_CONFIG = "adapter_config.json";
/** The folder of further templates, each named as its file. */
export const ADDITIONAL_TEMPLATES = "additional_chat_templates";

export interface Selection {
  /** The GGUF file to open (a set's first part), or null for the directory itself. */
  readonly gguf: string | null;
  /** Files needed, small ones first. The shards that an index names are not among them. */
  readonly files: readonly string[];
}

/** One GGUF file of several. */
export interface Wanted {
  /** Its path, or null. */
  readonly file: string | null;
  /** The quantization in its name, or null. */
  readonly tag: string | null;
}

/**
 * Choose among `names` (paths relative to the top, with `/`). Throws `not-found` where there is no checkpoint, `usage`
 * where there are several and none is wanted, `unsupported` for pickled weights.
 */
export function selectFiles(
  names: readonly string[],
  where: string,
  { file, tag }: Wanted = { file: null, tag: null },
): Selection {
  const all = new Set(names);
  if (file !== null) return selectGguf(all, where, file);
  if (tag !== null) return selectGguf(all, where, quantized(names, where, tag));
  const weights = [WEIGHTS, WEIGHTS_INDEX].find((name) => all.has(name));
  if (weights !== undefined && all.has(CONFIG)) {
    const small = [
      ...[
        CONFIG,
        GENERATION_CONFIG,
        TOKENIZER_CONFIG,
        SPECIAL_TOKENS,
        TEMPLATE,
        TEMPLATE_JSON,
        OWN_FACTS,
        NGRAMS,
        TOKENIZER,
      ],
    ];
    const templates = names.filter((name) => /^additional_chat_templates\/[^/]+\.jinja$/.test(name));
    return { gguf: null, files: [...small.filter((name) => all.has(name)), ...templates, weights] };
  }
  const ggufs = names.filter((name) => !name.includes("/") && isModel(name));
  if (ggufs.length === 1) return selectGguf(all, where, ggufs[0]!);
  if (ggufs.length > 1) {
    const some = ggufs.slice(0, 12).join(", ") + (ggufs.length > 12 ? ", ..." : "");
    const next = `name one, as in ${where}/${ggufs[0]}`;
    throw new CllmError("usage", `${where} has ${ggufs.length} GGUF files (${some}); ${next}`);
  }
  throw nothing(names, where, weights !== undefined);
}

/** Whether a file's name is that of a GGUF file. */
export function isGgufName(name: string): boolean {
  return /\.gguf$/i.test(name);
}

/** A GGUF file, or the first of a set, that is a model by its name: not an encoder of images, or what helps a model. */
function isModel(name: string): boolean {
  const [base = ""] = /[^/]*$/.exec(name) ?? [];
  return isGgufName(name) && isFirstPart(name) && !/mmproj|imatrix|^(mtp|eagle3|dflash|dspark)-/i.test(base);
}

/** The first file with the quantization in its path, as a word before a dot or hyphen: llama.cpp's rule for its tags. */
function quantized(names: readonly string[], where: string, tag: string): string {
  const models = names.filter(isModel);
  const word = new RegExp(`(?:^|[^a-z0-9])${tag.replaceAll(/[^\w]/g, "\\$&")}[.-]`, "i");
  const found = models.find((name) => word.test(name));
  if (found !== undefined) return found;
  const some = models.slice(0, 12).join(", ") + (models.length > 12 ? ", ..." : "");
  const next = models.length === 0 ? "it has no GGUF file" : `it has ${some}`;
  throw new CllmError("not-found", `${where} has no GGUF file of the quantization ${tag}; ${next}`);
}

function selectGguf(all: ReadonlySet<string>, where: string, wanted: string): Selection {
  const files = partsOf(wanted);
  const missing = files.find((name) => !all.has(name));
  if (missing === undefined) return { gguf: files[0]!, files };
  const near = nearMisses(missing, all);
  const next = near.length > 0 ? `did you mean ${near.join(" or ")}?` : "check the file's name";
  throw new CllmError("not-found", `${where} has no file ${missing}; ${next}`);
}

/** Parts into which some publishers cut their files, with no header of their own: `NAME.gguf.part1of2`, `NAME.gguf-split-a`. */
const CUT = /^(.+\.gguf)(?:(\.part)\d+(of\d+)|(-split-)[a-z]+)$/i;

/** The error for a file that was cut, which says how to join it; null where none was. */
export function cutFileError(names: readonly string[], where: string): CllmError | null {
  const match = names.map((name) => CUT.exec(name)).find((match) => match !== null);
  if (!match) return null;
  const [part, whole = "", numbered = "", count = "", lettered = ""] = match;
  const parts = `"${whole}"${numbered}${lettered}*${count}`;
  const message =
    part === where ? `${where} is one part of a file that was cut` : `${where} has a file that was cut (${part})`;
  return new CllmError("usage", `${message}; join the parts first: cat ${parts} > "${whole}"`);
}

function nothing(names: readonly string[], where: string, hasWeights: boolean): CllmError {
  const cut = cutFileError(names, where);
  if (cut) return cut;
  if (names.includes(ADAPTER_CONFIG)) {
    const next = "load the model that it was trained on, and give this folder as the adapter";
    return new CllmError("usage", `${where} holds a low-rank adapter (${ADAPTER_CONFIG}) and no model; ${next}`);
  }
  const pickled = names.find((name) => /\.(bin|pt|pth|h5|msgpack)$/.test(name));
  if (hasWeights) return new CllmError("not-found", `${where} has weights but no ${CONFIG}; fetch that file too`);
  if (pickled !== undefined) {
    const message = `${where} has weights only as ${pickled}; safetensors and GGUF are supported`;
    return new CllmError("unsupported", `${message}; save them with save_pretrained(..., safe_serialization=True)`);
  }
  const message = `${where} holds no checkpoint: neither ${CONFIG} with ${WEIGHTS} nor a .gguf file`;
  return new CllmError("not-found", `${message}; name another directory, file or repository`);
}

const PART = /-(\d{5})(-of-)(\d{5})(\.gguf)$/i;
const MAX_PARTS = 1000;

function isFirstPart(name: string): boolean {
  const match = PART.exec(name);
  return match === null || Number(match[1]) === 1;
}

/** All files of the split GGUF set that `path` belongs to, in order; `path` itself where it is whole. */
export function partsOf(path: string): string[] {
  const match = PART.exec(path);
  if (!match) return [path];
  const parts = Number(match[3]);
  if (parts < 1 || parts > MAX_PARTS) {
    const message = `${path} names a set of ${parts} parts; 1 to ${MAX_PARTS} are possible`;
    throw new CllmError("unsupported", `${message}; merge it with llama-gguf-split`);
  }
  const number = (n: number): string => String(n).padStart(5, "0");
  return Array.from({ length: parts }, (_, i) => path.replace(PART, `-${number(i + 1)}$2${number(parts)}$4`));
}

/** A GGUF path without extension and part number, for people. */
export function withoutPart(path: string): string {
  return path.replace(PART, "$4").replace(/\.gguf$/i, "");
}
