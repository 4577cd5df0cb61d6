/**
 * A Slurm of one machine for as long as a program needs it: munged, slurmctld and slurmd from Debian's packages, on loopback, with
 * all that they write in one folder. No systemd, and nothing in /etc is touched. Knows nothing of what the jobs do.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** The packages that it takes. */
export const PACKAGES = ["slurm-wlm", "munge"];

/** Why it cannot run here; null where it can. */
export function whyNot() {
  if (process.platform !== "linux") return "Slurm runs on Linux";
  if (process.getuid?.() !== 0) return "slurmd needs root";
  const missing = ["/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/sbin/munged"].filter((path) => !existsSync(path));
  return missing.length === 0 ? null : `${missing.join(" and ")} are missing: apt-get install ${PACKAGES.join(" ")}`;
}

const START_MS = 30_000;

/** Starts it in `folder`. `run` calls one of its commands; `stop` ends all three daemons. */
export async function startSlurm(
  folder,
  { cpus = availableParallelism(), port = 16_000 + (process.pid % 10_000) * 2 } = {},
) {
  for (const name of ["state", "spool"]) mkdirSync(join(folder, name), { recursive: true });
  const at = (name) => join(folder, name);
  const host = hostname().split(".")[0];
  writeFileSync(at("munge.key"), randomBytes(128), { mode: 0o400 });
  const settings = {
    ClusterName: "bench",
    SlurmctldHost: `${host}(127.0.0.1)`,
    SlurmUser: "root",
    AuthType: "auth/munge",
    AuthInfo: `socket=${at("munge.socket")}`,
    CryptoType: undefined,
    SlurmctldPort: port,
    SlurmdPort: port + 1,
    StateSaveLocation: at("state"),
    SlurmdSpoolDir: at("spool"),
    SlurmctldPidFile: at("slurmctld.pid"),
    SlurmdPidFile: at("slurmd.pid"),
    SlurmctldLogFile: at("slurmctld.log"),
    SlurmdLogFile: at("slurmd.log"),
    ProctrackType: "proctrack/pgid",
    TaskPlugin: "task/none",
    SelectType: "select/cons_tres",
    SelectTypeParameters: "CR_CPU",
    SchedulerParameters: "sched_interval=1,batch_sched_delay=0,sched_min_interval=0",
    AccountingStorageType: "accounting_storage/none",
    JobAcctGatherType: "jobacct_gather/none",
    MpiDefault: "none",
    ReturnToService: 2,
    KillWait: 2,
    MinJobAge: 600,
    NodeName: `${host} NodeAddr=127.0.0.1 CPUs=${cpus} State=UNKNOWN`,
    PartitionName: `all Nodes=${host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO`,
  };
  const lines = Object.entries(settings).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]));
  writeFileSync(at("slurm.conf"), `${lines.join("\n")}\n`);
  const env = { ...process.env, SLURM_CONF: at("slurm.conf") };
  const munged = spawn(
    "/usr/sbin/munged",
    [
      "--foreground",
      "--force",
      "--num-threads=2",
      `--key-file=${at("munge.key")}`,
      `--socket=${at("munge.socket")}`,
    ].concat([`--pid-file=${at("munged.pid")}`, `--log-file=${at("munged.log")}`, `--seed-file=${at("munge.seed")}`]),
    { stdio: "ignore" },
  );
  const run = (command, ...args) =>
    execFileSync(command, args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  const stop = async () => {
    for (const name of ["slurmd", "slurmctld"]) {
      if (!existsSync(at(`${name}.pid`))) continue;
      const pid = Number(readFileSync(at(`${name}.pid`), "utf8"));
      try {
        process.kill(pid, "SIGTERM");
        for (let i = 0; i < 50; i++) {
          process.kill(pid, 0);
          await delay(100);
        }
        process.kill(pid, "SIGKILL");
      } catch {} // it has ended
    }
    if (munged.exitCode !== null || munged.signalCode !== null) return;
    const ended = once(munged, "exit"); // it writes into the folder until then
    munged.kill("SIGTERM");
    const late = setTimeout(() => munged.kill("SIGKILL"), 5000);
    await ended;
    clearTimeout(late);
  };
  try {
    const end = Date.now() + START_MS;
    while (!existsSync(at("munge.socket"))) {
      if (Date.now() > end || munged.exitCode !== null) throw new Error("munged did not start");
      await delay(50);
    }
    for (const daemon of ["slurmctld", "slurmd"]) run(`/usr/sbin/${daemon}`, "-f", at("slurm.conf"));
    for (;;) {
      const { stdout } = spawnSync("sinfo", ["-h", "-o", "%T"], { env, encoding: "utf8" });
      if (stdout.trim() === "idle") break;
      if (Date.now() > end)
        throw new Error(`Slurm did not start: ${readFileSync(at("slurmctld.log"), "utf8").slice(-500)}`);
      await delay(200);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { run, stop };
}
