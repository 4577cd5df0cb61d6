/**
 * What names a model on the hub, in all the ways that people copy it: `owner/name`, a file or a quantization of it, the
 * address of its page. Knows no network and no disk.
 */
import { CllmError } from "../../error.ts";
import { shorten } from "../../files/near-miss.ts";

/** A repository, and which part of it. */
export interface HubId {
  readonly repo: string;
  /** One GGUF file of it, or null. */
  readonly file: string | null;
  /** A quantization such as `Q4_K_M`, which one of its GGUF files has in its name, or null. */
  readonly tag: string | null;
  /** The branch, tag or commit that is named, or null. */
  readonly revision: string | null;
}

const NAME = "[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?";
const REPO = new RegExp(`^${NAME}/${NAME}$`);
const ID = new RegExp(`^(${NAME}/${NAME})(?:/(.+\\.gguf))?(?::([\\w.-]{1,64}))?$`, "i");
const FILE = /^[^\\:*?"<>|\p{Cc}]+$/u;
const PUBLIC_HOSTS: readonly string[] = ["huggingface.co", "www.huggingface.co", "hf.co"];
/** First parts of the addresses of pages that are not models. */
const OTHER_KINDS: Readonly<Record<string, string>> = {
  datasets: "a data set",
  spaces: "a space",
  buckets: "a bucket",
  collections: "a collection",
  papers: "a paper",
};
/** What comes after the repository in the address of a file or a branch. */
const PAGES: readonly string[] = ["tree", "blob", "resolve", "raw", "blame"];

/** The hub's address without a slash at its end: `HF_ENDPOINT`, else the public one. */
export function hubEndpoint(): string {
  return (process.env["HF_ENDPOINT"] || "https://huggingface.co").replace(/\/+$/, "");
}

/**
 * Parses `owner/name`, `owner/name/file.gguf` and `owner/name:Q4_K_M`, with or without `hf:` before it; the address of a
 * model's page or file on the hub, with or without `https://`; and `hf://owner/name@revision/file`. Null for anything
 * else. Throws `usage` for an address that is no model's.
 *
 * @example parseHubId("https://huggingface.co/owner/name/blob/main/model.Q8_0.gguf")?.file; // "model.Q8_0.gguf"
 */
export function parseHubId(text: string, endpoint: string = hubEndpoint()): HubId | null {
  if (text.startsWith("hf://")) return parseUri(text);
  const path = pathOfAddress(text, endpoint);
  return path === null ? parsePlain(text.replace(/^hf:/, "")) : parseAddress(text, path);
}

/** What a model is called by its id: repository, file and quantization. */
export function hubName({ repo, file, tag }: HubId): string {
  return `${repo}${file === null ? "" : `/${file}`}${tag === null ? "" : `:${tag}`}`;
}

function parsePlain(text: string): HubId | null {
  const [, repo, file = null, tag = null] = ID.exec(text) ?? [];
  if (repo === undefined || (file !== null && tag !== null)) return null;
  if (file === null && /\.gguf$/i.test(repo)) return null; // folder/file.gguf is a path
  return checked({ repo, file, tag, revision: null });
}

/** The id, or null where its names could not be a repository's. `latest` means that no quantization was chosen. */
function checked(id: HubId): HubId | null {
  const { repo, file, tag } = id;
  if (!REPO.test(repo) || /\.\.|--/.test(repo)) return null;
  if (file !== null && (!FILE.test(file) || file.split("/").some((part) => part === "" || /^\.+$/.test(part))))
    return null;
  return { ...id, tag: tag?.toLowerCase() === "latest" ? null : tag };
}

function refuse(text: string, problem: string): CllmError {
  const next = "give a model's page, such as https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct";
  return new CllmError("usage", `${shorten(text)} ${problem}; ${next}`);
}

/** `hf://[models/]owner/name[@revision][/file]`. */
function parseUri(text: string): HubId {
  const path = text.slice("hf://".length).replace(/^models\//, "");
  const other = OTHER_KINDS[path.split("/", 1)[0]!];
  if (other !== undefined) throw refuse(text, `is ${other}`);
  const [, repo = "", revision = null, rest = ""] =
    /^([^/]+\/[^/@]+)(?:@(refs\/(?:pr\/\d+|convert\/[\w.-]+)|[^/]+))?(.*)$/.exec(path) ?? [];
  const id = parsePlain(`${repo}${rest}`);
  if (id === null) throw refuse(text, "names no model");
  return { ...id, revision: revision === null ? null : decoded(text, revision) };
}

/** What follows the hub's name in an address; null for what is not an address. Throws for those of other hosts. */
function pathOfAddress(text: string, endpoint: string): string | null {
  const [, scheme = "", host = "", path = ""] = /^(https?:\/\/)?([^/]+)\/?(.*)$/i.exec(text) ?? [];
  const hosts = [...PUBLIC_HOSTS, endpoint.replace(/^https?:\/\//i, "").toLowerCase()];
  if (hosts.includes(host.toLowerCase())) return path;
  if (scheme === "") return null;
  throw refuse(text, `is an address of ${shorten(host)}, and models are fetched from ${endpoint}`);
}

/** `owner/name[:tag]`, or `owner/name/PAGE/revision[/file]`. */
function parseAddress(text: string, path: string): HubId {
  const written = path.replace(/[?#].*$/, "").replace(/\/+$/, "");
  const parts = written.split("/").map((part) => decoded(text, part));
  const [owner = "", name = "", page, ...rest] = parts;
  const other = OTHER_KINDS[owner];
  if (other !== undefined) throw refuse(text, `is the page of ${other}`);
  if (page === undefined || !PAGES.includes(page)) {
    const id = parsePlain(parts.join("/"));
    if (id !== null) return id;
    throw refuse(text, "is not the page of a model");
  }
  const long = rest[0] === "refs" && rest.length >= 3 ? 3 : 1; // refs/pr/1
  const revision = rest.slice(0, long).join("/") || null;
  const file = rest.slice(long).join("/");
  if (page === "tree" && file !== "") throw refuse(text, "is the page of a folder");
  const isWeights = /\.gguf$/i.test(file); // another file stands for the directory that it is in
  if (!isWeights && file.includes("/")) throw refuse(text, "is a file in a folder and no GGUF file");
  const id = checked({ repo: `${owner}/${name}`, file: isWeights ? file : null, tag: null, revision });
  if (id !== null) return id;
  throw refuse(text, "is not the page of a model");
}

function decoded(text: string, part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw refuse(text, `holds ${shorten(part)}, which is no part of an address`);
  }
}
