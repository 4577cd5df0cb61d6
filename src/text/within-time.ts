/**
 * A limit on the time of synchronous work that strangers' data decides: templates and regular expressions. The engine
 * itself stops the work wherever it is, even inside a regular expression. Knows nothing of the work.
 */
import { type Context, createContext, Script } from "node:vm";

/** The work ran past its time and was stopped. */
export class TimeLimitError extends Error {
  override readonly name: string = "TimeLimitError";
}

const script = new Script("run()");
let context: Context | undefined; // made once: that takes about a millisecond

/** Runs `work` and gives its result. Throws `TimeLimitError` once `timeoutMs` are over, else what `work` throws. */
export function withinTime<T>(timeoutMs: number, work: () => T): T {
  context ??= createContext({});
  let result: { readonly value: T } | undefined;
  context["run"] = () => {
    result = { value: work() };
  };
  try {
    script.runInContext(context, { timeout: timeoutMs });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_SCRIPT_EXECUTION_TIMEOUT") {
      throw new TimeLimitError(`did not come to an end within ${timeoutMs} ms`, { cause: error });
    }
    throw error;
  } finally {
    context["run"] = undefined;
  }
  return result!.value;
}
