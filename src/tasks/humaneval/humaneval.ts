/**
 * HumanEval: a function's head and docstring to be completed, right where its tests pass; pass@1 is the share of those
 * (Chen et al., arXiv:2107.03374). Completions end at the stop strings of that paper. Code that a model wrote runs only
 * where that is allowed, in a sandbox. Knows no model.
 */
import { CllmError } from "../../error.ts";
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
import { createSandbox, PROGRAM_TIMEOUT_MS, type Sandbox, type SandboxLimits, type SandboxResult } from "./sandbox.ts";

export interface HumanEvalOptions extends TaskOptions {
  /** Run what the model wrote. Default: false, and every answer is `ungraded`. */
  readonly allowCodeExecution?: boolean | undefined;
  /** Of each program. Default: those of the sandbox. */
  readonly limits?: SandboxLimits | undefined;
  /** Runs the programs. Default: the best that this machine has. */
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
  const { dataDir, allowCodeExecution = false, limits = {} } = options;
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
  const sandbox = allowCodeExecution ? (options.sandbox ?? (await createSandbox())) : null;
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

/** The function as the answer has it, ready for its tests; null where there is nothing. */
export function programOf(example: HumanEvalExample, format: PromptFormat, answer: string): string | null {
  if (format !== "chat") {
    const completion = cutAtStop(answer, STOP);
    return completion.trim() === "" ? null : `${example.head}${completion}`;
  }
  const code = /```(?:python|py)?[ \t]*\n([\s\S]*?)(?:\n```|$)/i.exec(answer)?.[1] ?? answer;
  if (code.trim() === "") return null;
  const whole = new RegExp(`^def\\s+${example.entryPoint}\\b`, "m");
  if (!whole.test(code)) return `${example.head}${code}`;
  const before = example.head.slice(0, Math.max(0, example.head.search(whole))); // imports and helpers
  return `${before}${code}`;
}

const VERDICT_OF: Readonly<Record<SandboxResult["outcome"], VerdictName>> = {
  passed: "right",
  failed: "wrong",
  error: "error",
  memory: "limit",
  output: "limit",
  timeout: "timeout",
  refused: "refused",
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
  const program = `${code}\n${example.test}\ncheck(${example.entryPoint})\n`;
  const { outcome, detail } = await sandbox.run(program, limits);
  const fallback = outcome === "passed" ? "all tests pass" : outcome === "failed" ? "a test fails" : outcome;
  return { verdict: VERDICT_OF[outcome], detail: detail.trim() === "" ? fallback : excerpt(detail) };
}
