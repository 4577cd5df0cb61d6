#!/usr/bin/env node
/**
 * The `cllm` program: the process around a command. Ctrl-C and a closed pipe cancel what runs, the terminal is left as
 * it was found, and the exit code says what happened.
 */
import { readFileSync } from "node:fs";
import { CllmError } from "../error.ts";
import { commandsFor } from "./commands.ts";
import { createInterrupt } from "./interrupt.ts";
import { runProgram } from "./program.ts";
import { formatError } from "./terminal.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

const interrupt = createInterrupt();
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return interrupt.end(0); // the reader has seen enough
    const unwritten = new CllmError("disk", `cannot write the output (${error.message})`, { cause: error });
    if (interrupt.ended === null && stream === process.stdout)
      process.stderr.write(`${formatError(unwritten, process.argv.includes("--json"))}\n`);
    interrupt.end(1);
  });
}

const args = process.argv.slice(2);
const code = await runProgram(args, await commandsFor(args), version, interrupt.signal, interrupt.allow);
// Standard input may still be open, so the process does not end by itself; what was written leaves first.
if (process.stdout.writable) await new Promise<void>((done) => void process.stdout.write("", () => done()));
await interrupt.leave(code);
