/** The conditions of a figure: what it ran on, and which commit ran. Knows no figure. */
import { execFileSync } from "node:child_process";
import { arch, availableParallelism, cpus, platform } from "node:os";
import { fileURLToPath } from "node:url";

/** What figures depend on: processor, cores, system and runtime. */
export function machineName(): string {
  const processor = cpus()[0]?.model.trim() || "unknown processor";
  return `${processor}, ${availableParallelism()} cores, ${platform()} ${arch()}, Node.js ${process.versions.node}`;
}

/** The commit that runs, with + where files differ from it; null outside a checkout. */
export function commitOfCheckout(): string | null {
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  const git = (...args: string[]): string =>
    execFileSync("git", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    if (git("rev-parse", "--show-prefix") !== "") return null; // an enclosing repository is not ours
    return git("rev-parse", "--short", "HEAD") + (git("status", "--porcelain", "--untracked-files=no") ? "+" : "");
  } catch {
    return null;
  }
}
