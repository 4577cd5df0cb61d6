/** A request's body as JSON, of a bounded size. Knows nothing of what it should hold. */
import { CllmError } from "../error.ts";
import { RequestError } from "./http-error.ts";

/** Throws `usage` where the body is not JSON or not said to be, `too-large`, and `aborted` where it ends early. */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    // Browsers send other types to any server without asking it first, so that any page could use this one.
    const got = type === "" ? "none" : type.slice(0, 100);
    throw new RequestError("usage", `the content type must be application/json, not ${got}`, { status: 415 });
  }
  const text = await readText(request, maxBytes);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new RequestError("usage", `the body is not JSON: ${(error as Error).message.slice(0, 200)}`);
  }
}

async function readText(request: Request, maxBytes: number): Promise<string> {
  const declared = request.headers.get("content-length");
  if (Number(declared ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    if (declared !== null && !request.headers.has("transfer-encoding")) return await request.text(); // no longer than that
    for await (const chunk of request.body ?? []) {
      size += chunk.length;
      if (size > maxBytes) throw tooLarge(maxBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof CllmError) throw error;
    throw new CllmError("aborted", "the request's body ended early", { cause: error });
  }
  return Buffer.concat(chunks).toString("utf8");
}

function tooLarge(maxBytes: number): CllmError {
  const next = "send less, or raise --max-body";
  return new CllmError("too-large", `the request's body is larger than the ${maxBytes} bytes that are taken; ${next}`);
}
