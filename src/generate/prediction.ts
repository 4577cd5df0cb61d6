/**
 * What a caller predicts of an answer, as tokens to draft from. No text depends on it, so what is wrong with it is a note and never an
 * error. Knows no decoder.
 */
import { PredictionCursor } from "../decode/prediction.ts";
import { CllmError } from "../error.ts";
import type { TokenIds } from "../runtime/session.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Stats } from "./types.ts";

/** Characters that are read, for each token of the context: encoding a book would hold up everybody. */
const CHARACTERS = 8;

/** The prediction's ids; none where it has none. */
export function encodePrediction(
  prediction: string,
  tokenizer: Tokenizer,
  contextLength: number,
  note: (line: string) => void,
): TokenIds {
  const most = CHARACTERS * contextLength;
  const text = prediction.slice(0, most);
  if (text.length < prediction.length)
    note(`a prediction is longer than any answer: of its characters only the first ${most} are used`);
  try {
    const ids = tokenizer.encode(text, { addSpecialTokens: false });
    if (tokenizer.decode(ids) !== text)
      note("a prediction does not come back from its tokens as it was: it is used as far as it does");
    return ids;
  } catch (error) {
    if (!(error instanceof CllmError)) throw error;
    note(`a prediction has no tokens in this vocabulary, and is not used: ${error.message}`);
    return new Int32Array(0);
  }
}

/** How much of a prediction an answer has, whichever decoder wrote it. */
export function predictionStats(
  prediction: TokenIds | null,
  answer: TokenIds,
): Pick<Stats, "acceptedPredictionTokens" | "rejectedPredictionTokens"> {
  if (prediction === null) return { acceptedPredictionTokens: 0, rejectedPredictionTokens: 0 };
  const cursor = new PredictionCursor(prediction);
  cursor.follow(answer, 0);
  const { accepted, rejected } = cursor.counts;
  return { acceptedPredictionTokens: accepted, rejectedPredictionTokens: rejected };
}
