/**
 * A decoder of one's own. Over a `Transcript`, which accepts, counts, stops and truncates, a decoder only chooses the guesses of
 * each pass. This one guesses that the last two tokens come again. A program of your own imports from "cllm".
 */
import { type Decoder, load, Transcript } from "../src/index.ts";

export const again: Decoder = async function* (session, prompt, options) {
  const text = new Transcript(session, prompt, options);
  while (text.unfinished()) {
    const last = text.tokens.slice(-2);
    const guesses = Int32Array.of(...last, ...last).subarray(0, text.left - 1);
    const { iteration } = await text.verify(guesses); // the guesses that the model writes itself are accepted
    yield iteration;
  }
};

/** Asks the same with it and one by one; returns both texts and the passes of each. */
export async function main(pathOrId: string): Promise<{ texts: [string, string]; passes: [number, number] }> {
  await using model = await load(pathOrId);
  const request = { prompt: "ha ha ha ha", maxNewTokens: 32, ignoreEos: true };
  const mine = await model.generate({ ...request, decoder: again });
  const plain = await model.generate({ ...request, decoder: "ar" });
  return { texts: [mine.text, plain.text], passes: [mine.stats.forwards, plain.stats.forwards] };
}
