/** The built command, for tests that run it as its users do: in processes of its own, on a tiny real checkpoint. */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface BuiltCommand {
  /** The program's file, for tests that start it themselves. */
  readonly main: string;
  /** A folder that is gone after the file's tests; commands run in it. */
  readonly scratch: string;
  /** The tiny checkpoint, which commands take where they are given none. */
  readonly model: string;
  readonly env: NodeJS.ProcessEnv;
  run(...args: readonly string[]): SpawnSyncReturns<string>;
}

/** A folder and a checkpoint for the calling file's tests, gone after them. */
export function builtCommand(): BuiltCommand {
  const main = join(root, "dist/cli/main.js");
  const scratch = mkdtempSync(join(tmpdir(), "cllm-command-"));
  const model = writeTinyCheckpoint(join(scratch, "tiny"));
  const env = {
    ...process.env,
    CLLM_MODELS: model,
    CLLM_CACHE: join(scratch, "cache"),
    NO_COLOR: "1",
    FORCE_COLOR: "",
  };
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));
  const run = (...args: readonly string[]) =>
    spawnSync(process.execPath, [main, ...args], { encoding: "utf8", env, cwd: scratch });
  return { main, scratch, model, env, run };
}
