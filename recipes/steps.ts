/**
 * What a recipe is: commands of cllm in order, each of which goes on where it was stopped and leaves a file when it is done.
 * Runs them one by one, each in a process of its own, and shows what it runs so that anybody can run it by hand. Knows no task.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, relative } from "node:path";
import { fileURLToPath } from "node:url";

export interface Step {
  readonly name: string;
  /** The file or folder that is there once the step is done. */
  readonly makes: string;
  /** The command's arguments, or the work itself. */
  readonly run: readonly string[] | (() => Promise<void>);
}

export interface RecipeOptions {
  /** GGUF file, directory or hub id of the base. */
  readonly model: string;
  /** Folder of the data sets. */
  readonly dataDir: string;
  /** Where everything goes. */
  readonly out: string;
  /** A few steps of everything, to see that it runs. */
  readonly small: boolean;
}

export type Recipe = (options: RecipeOptions) => readonly Step[];

const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

/** Runs what is not done yet. Returns the status of the first command that failed, or 0. */
export async function runSteps(steps: readonly Step[], say: (line: string) => void): Promise<number> {
  for (const { name, makes, run } of steps) {
    if (existsSync(makes)) {
      say(`${name}: done, ${relative(".", makes)}`);
      continue;
    }
    await mkdir(dirname(makes), { recursive: true });
    if (typeof run === "function") {
      say(`${name}: begins`);
      await run();
      continue;
    }
    say(`${name}: cllm ${run.map(quoted).join(" ")}`);
    const child = spawn(process.execPath, [main, ...run], { stdio: "inherit" });
    const end = (): void => void child.kill("SIGTERM"); // a terminal's Ctrl-C reaches it by itself
    process.on("SIGTERM", end);
    const [status, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
    process.off("SIGTERM", end);
    if (status !== 0) {
      say(`${name}: stopped${signal === null ? "" : ` by ${signal}`}; the same command goes on`);
      return status ?? 1;
    }
  }
  return 0;
}

const quoted = (argument: string): string => (/^[\w./:=,@-]+$/.test(argument) ? argument : JSON.stringify(argument));
