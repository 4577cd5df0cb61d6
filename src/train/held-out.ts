/** An example that is asked and not trained on, and how its answer is judged. Knows no model. */
import type { TokenIds } from "../runtime/session.ts";
import type { Example } from "./objectives.ts";

export interface HeldOut extends Example {
  /** Whether an answer is right; default: it is the example's completion. */
  readonly isRight?: (answer: TokenIds) => boolean | Promise<boolean>;
}
