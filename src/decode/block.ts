/**
 * One block from its draft to its fixed point, for those who want to see every point on the way. Knows nothing about where
 * the draft comes from.
 */
import type { Transcript } from "./transcript.ts";
import type { Iteration } from "./types.ts";

/**
 * Jacobi iterations over `block`, guesses for what follows the text, (n,): refines it in place until all of it is
 * settled or the text ends. The block's last guess is never run: what follows it is the next block's.
 */
export async function* refineBlock(text: Transcript, block: Int32Array): AsyncGenerator<Iteration, void, void> {
  for (let right = 0; right < block.length && text.unfinished(); ) {
    const { iteration, refined } = await text.verify(block.subarray(right, -1));
    block.set(iteration.accepted, right);
    right += iteration.accepted.length;
    block.set(refined, right);
    yield iteration;
  }
}
