/**
 * The items of a file that is one JSON list, one at a time: such files outgrow the longest string there can be. The parsing is
 * @streamparser/json's; how long and how deep an item may be is ours. Knows nothing of what is in them.
 */
import { JSONParser, TokenType } from "@streamparser/json";
import { CllmError } from "../error.ts";
import { MAX_JSON_DEPTH } from "../files/json.ts";
import { textPieces } from "../files/text.ts";

const LONGEST_ITEM = 256 * 2 ** 20;

/**
 * Throws `bad-file` where the file is no list, an item is damaged, nests too deep or is too long, or the end is missing.
 *
 * @example for await (const item of jsonItems("sharegpt.json")) check(item);
 */
export async function* jsonItems(path: string): AsyncGenerator<unknown, void, void> {
  const wrong = (reason: string, cause?: unknown): CllmError =>
    new CllmError("bad-file", `${path} is no JSON list: ${reason}`, { cause });
  const parser = new JSONParser({ paths: ["$.*"], keepStack: false, stringBufferSize: 1 << 16 });
  let items: unknown[] = [];
  let count = 0;
  let length = 0; // of the present item, as far as it was read
  let depth = 0;
  let failure: unknown = null;
  parser.onError = (error) => {
    failure ??= error;
  };
  parser.onValue = ({ value }) => {
    items.push(value);
    count++;
    length = 0;
  };
  parser.onToken = ({ token }) => {
    if (token === TokenType.LEFT_BRACE || token === TokenType.LEFT_BRACKET) depth++;
    else if (token === TokenType.RIGHT_BRACE || token === TokenType.RIGHT_BRACKET) depth--;
    if (depth - 1 > MAX_JSON_DEPTH) throw wrong(`item ${count} nests more than ${MAX_JSON_DEPTH} levels deep`);
  };
  const checked = (act: () => void): void => {
    act();
    if (failure instanceof CllmError) throw failure;
    if (failure !== null) throw wrong(`item ${count} is damaged (${(failure as Error).message})`, failure);
  };
  let begun = false;
  for await (const piece of textPieces(path)) {
    if (!begun && piece.trim() !== "") {
      begun = true;
      if (!piece.trimStart().startsWith("[")) throw wrong("it does not begin with [");
    }
    length += piece.length;
    if (parser.isEnded && piece.trim() === "") continue;
    if (parser.isEnded) throw wrong("something follows its end");
    checked(() => parser.write(piece));
    yield* items;
    items = [];
    if (length > LONGEST_ITEM) throw wrong(`item ${count} has over ${LONGEST_ITEM} characters`);
  }
  if (!begun) throw wrong("it is empty");
  if (!parser.isEnded) throw wrong("it ends within");
}
