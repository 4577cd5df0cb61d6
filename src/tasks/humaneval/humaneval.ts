/**
 * HumanEval: a function's head and docstring to be completed, right where its tests pass; pass@1 is the share of those
 * (Chen et al., arXiv:2107.03374). Completions end at the stop strings of that paper. Code that a model wrote runs only
 * where that is allowed, in a sandbox, apart from its tests. In one thing this is stricter than HumanEval's own harness: only
 * plain values reach the tests, so an object whose `__eq__` is always true passes none. Knows no model.
 */
import { CllmError } from "../../error.ts";
import { codeBlocks, dedent, finalAnswer, plainLines } from "../answer-text.ts";
import {
  cutAtStop,
  excerpt,
  oneTurn,
  type PromptFormat,
  promptFormat,
  type Task,
  type TaskExample,
  type TaskOptions,
  type Verdict,
  type VerdictName,
} from "../task.ts";
import { dataFile, hubFiles, idField, knownSplit, readExamples, textField } from "../task-data.ts";
import {
  createSandbox,
  ISOLATIONS,
  type Isolation,
  PROGRAM_TIMEOUT_MS,
  type Sandbox,
  type SandboxLimits,
  type SandboxResult,
} from "./sandbox.ts";

export interface HumanEvalOptions extends TaskOptions {
  /** Run what the model wrote. Default: false, and every answer is `ungraded`. */
  readonly allowCodeExecution?: boolean | undefined;
  /** Of each program. Default: those of the sandbox. */
  readonly limits?: SandboxLimits | undefined;
  /** Default: `namespaces`, and an error where this system gives none. `process` holds careless programs only. */
  readonly isolation?: Isolation | undefined;
  /** Runs the programs. Default: one of that isolation. */
  readonly sandbox?: Sandbox | undefined;
}

export interface HumanEvalExample extends TaskExample {
  /** The head of the function. */
  readonly head: string;
  readonly test: string;
  readonly entryPoint: string;
}

const STOP = ["\nclass", "\ndef", "\n#", "\nif", "\nprint", "\n```"];

export async function humaneval(options: HumanEvalOptions): Promise<Task<HumanEvalExample>> {
  const { dataDir, allowCodeExecution = false, isolation, limits = {} } = options;
  if (isolation !== undefined && !ISOLATIONS.includes(isolation)) {
    throw new CllmError("usage", `isolation must be ${ISOLATIONS.join(" or ")}, not ${String(isolation)}`);
  }
  if (isolation !== undefined && !allowCodeExecution) {
    throw new CllmError("usage", "isolation is for code that runs; add --allow-code-execution, or omit --isolation");
  }
  const format = promptFormat("humaneval", ["default", "chat"], options.promptFormat);
  const split = knownSplit("humaneval", ["test"], options.split);
  const files = ["humaneval/HumanEval.jsonl", ...hubFiles("humaneval", split, "openai_humaneval")];
  const path = dataFile(dataDir, files);
  const examples = await readExamples(path, options.limit, (record): HumanEvalExample => {
    const head = textField(record, "prompt");
    const entryPoint = textField(record, "entry_point");
    if (!/^[A-Za-z_]\w*$/.test(entryPoint)) {
      throw new CllmError(
        "bad-input",
        `${record.where}: entry_point must be the name of a function, not ${entryPoint}`,
      );
    }
    return {
      id: idField(record, "task_id"),
      where: record.where,
      category: null,
      ...oneTurn(format, humanEvalPrompt(format, head)),
      reference: textField(record, "canonical_solution"),
      stop: format === "chat" ? [] : STOP,
      maxNewTokens: options.maxNewTokens ?? 512,
      head,
      test: textField(record, "test"),
      entryPoint,
    };
  });
  const sandbox = allowCodeExecution ? (options.sandbox ?? (await createSandbox({ isolation }))) : null;
  return {
    name: "humaneval",
    settings: {
      promptFormat: format,
      allowCodeExecution,
      ...(sandbox !== null && {
        isolation: sandbox.isolation,
        python: sandbox.python,
        timeoutMs: limits.timeoutMs ?? PROGRAM_TIMEOUT_MS,
      }),
    },
    examples,
    grade: (example, [answer = ""]) => grade(sandbox, example, format, answer, limits),
    async [Symbol.asyncDispose]() {},
  };
}

function humanEvalPrompt(format: PromptFormat, head: string): string {
  if (format !== "chat") return head;
  return `Complete this function. Answer with the whole function in one block of Python code.\n\`\`\`python\n${head}\`\`\``;
}

/**
 * The function as the answer has it, ready for its tests; null where there is nothing. In a chat it is the first block of
 * code that defines the function and does more than repeat its head, else a definition between prose, else the first block
 * or the whole text, as the rest of the function.
 */
export function programOf(example: HumanEvalExample, format: PromptFormat, answer: string): string | null {
  const text = plainLines(finalAnswer(answer));
  if (format !== "chat") {
    const completion = cutAtStop(text, STOP);
    return completion.trim() === "" ? null : `${example.head}${completion}`;
  }
  const whole = new RegExp(`^(?:def\\s+${example.entryPoint}\\b|${example.entryPoint}\\s*=[^=])`, "m");
  const blocks = codeBlocks(text).map(({ code }) => code);
  const before = example.head.slice(0, Math.max(0, example.head.search(whole))); // imports and helpers
  const solves = (code: string): boolean => whole.test(code) && !example.head.includes(code.trim());
  const defining = blocks.map(dedent).find(solves) ?? definitionInProse(text, whole);
  if (defining !== null) return `${before}${defining}`;
  const rest = blocks[0] ?? text;
  return rest.trim() === "" ? null : `${example.head}${rest}`;
}

/** Lines that can stand at the left edge of Python around a definition. */
const CODE_LINE =
  /^(?:\s|$|#|@|\)|\]|\}|(?:async\s+)?def\s|class\s+\w+\s*[:(]|import\s+\w|from\s+\S+\s+import\s|\w+\s*(?::\s*[^=]+)?=\s)/;

/** From the first line of code before a definition to the first line of prose behind it; null where there is none. */
function definitionInProse(text: string, whole: RegExp): string | null {
  const lines = dedent(text).split("\n");
  const at = lines.findIndex((line) => whole.test(line));
  if (at < 0) return null;
  const prose = lines.findIndex((line, index) => index > at && !CODE_LINE.test(line));
  let first = at;
  while (first > 0 && CODE_LINE.test(lines[first - 1]!)) first--;
  return lines.slice(first, prose < 0 ? lines.length : prose).join("\n");
}

const VERDICT_OF: Readonly<Record<SandboxResult["outcome"], VerdictName>> = {
  passed: "right",
  failed: "wrong",
  error: "error",
  memory: "limit",
  output: "limit",
  timeout: "timeout",
  refused: "refused",
  "bad-data": "bad-data",
};

async function grade(
  sandbox: Sandbox | null,
  example: HumanEvalExample,
  format: PromptFormat,
  answer: string,
  limits: SandboxLimits,
): Promise<Verdict> {
  const code = programOf(example, format, answer);
  if (code === null) return { verdict: "no-answer", detail: "no code in the answer" };
  if (sandbox === null) return { verdict: "ungraded", detail: "code runs only where allowCodeExecution is given" };
  const { entryPoint, head, reference, test } = example;
  const job = {
    program: code,
    entryPoint,
    setup: `${head}${reference}`, // helpers of the head, which some tests call
    tests: `${test}\ncheck(${entryPoint})\n`,
  };
  const { outcome, detail } = await sandbox.judge(job, limits);
  const fallback = outcome === "passed" ? "all tests pass" : outcome === "failed" ? "a test fails" : outcome;
  return { verdict: VERDICT_OF[outcome], detail: detail.trim() === "" ? fallback : excerpt(detail) };
}
