/**
 * Three replicas behind nginx under load, one of them killed in the middle: how many answers were whole, how many failed and said
 * so, and how many were lost untold, which must be none. Exit code 1 where one is, 77 where nginx is not there.
 *
 *   node bench/cluster/replicas.mjs [--model DIR] [--seconds 60] [--clients 32] [--replicas 3] [--max-tokens 32]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ask, nginxPath, startReplicas } from "./proxy.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { values } = parseArgs({
  options: {
    model: { type: "string", default: join(root, "models/text-to-sql") },
    seconds: { type: "string", default: "60" },
    clients: { type: "string", default: "32" },
    replicas: { type: "string", default: "3" },
    "max-tokens": { type: "string", default: "32" },
  },
});
if (nginxPath() === undefined) {
  console.error("skipped: nginx is not installed: apt-get install nginx-light");
  process.exit(77);
}
const [seconds, clients, count, maxTokens] = ["seconds", "clients", "replicas", "max-tokens"].map((name) =>
  Number(values[name]),
);
const folder = mkdtempSync(join(tmpdir(), "cllm-replicas-"));
let running = null;
try {
  running = await startReplicas(folder, resolve(values.model), count);
  const victim = running.replicas[1];
  const timer = setTimeout(() => victim.child.kill("SIGKILL"), (seconds * 1000) / 2);
  const counts = await ask(running.url, { clients, seconds, maxTokens });
  clearTimeout(timer);
  const report = {
    benchmark: "cluster/replicas",
    machine: `${cpus()[0]?.model ?? "unknown"}, ${availableParallelism()} cores`,
    ...{ seconds, clients, replicas: count, killed: 1 },
    ...counts,
    perReplica: running.replicas.map(({ logged }) => logged.length),
  };
  console.log(
    `${report.asked} asked, ${report.whole} whole, ${report.told} failed and told, ${report.untold} lost untold`,
  );
  console.log(JSON.stringify(report));
  process.exitCode = report.untold === 0 && report.whole > 0 ? 0 : 1;
} finally {
  await running?.stop();
  rmSync(folder, { recursive: true, force: true });
}
