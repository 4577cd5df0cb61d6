#!/usr/bin/env node
/**
 * The `cllm` program: the process around a command. Ctrl-C and a closed pipe cancel what runs, the terminal is left as
 * it was found, and the exit code says what happened.
 */
import { readFileSync } from "node:fs";
import { CllmError } from "../error.ts";
import { commands } from "./commands.ts";
import { runProgram } from "./program.ts";
import { formatError } from "./terminal.ts";

const SHOW_CURSOR = "\x1b[?25h";
const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** What ended the program from outside, as an exit code; null while nothing did. */
let ended: number | null = null;
const cancel = new AbortController();

function end(code: number): void {
  ended ??= code;
  cancel.abort();
}

/** Ctrl-C waits for the pass that is running; the second one does not. */
function interrupt(code: number): void {
  if (ended !== null) leave(ended);
  end(code);
}

function leave(code: number): never {
  if (process.stderr.isTTY) process.stderr.write(SHOW_CURSOR);
  process.exit(code);
}

process.on("SIGINT", () => interrupt(130));
process.on("SIGTERM", () => interrupt(143));
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return end(0); // the reader has seen enough
    const unwritten = new CllmError("disk", `cannot write the output (${error.message})`, { cause: error });
    if (ended === null && stream === process.stdout)
      process.stderr.write(`${formatError(unwritten, process.argv.includes("--json"))}\n`);
    end(1);
  });
}

const code = await runProgram(process.argv.slice(2), commands, version, cancel.signal);
// Standard input may still be open, so the process does not end by itself; what was written leaves first.
if (process.stdout.writable) await new Promise<void>((done) => void process.stdout.write("", () => done()));
leave(ended ?? code);
