/** HumanEval: what counts as passing, and that programs of every ill will end with a verdict and leave nothing behind. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ownOwner } from "../../src/files/owner.ts";
import { type HumanEvalOptions, humaneval } from "../../src/tasks/humaneval/humaneval.ts";
import { CONFINE, PROBE } from "../../src/tasks/humaneval/python-confine.ts";
import {
  createSandbox,
  ISOLATIONS,
  type Isolation,
  type Sandbox,
  type SandboxJob,
} from "../../src/tasks/humaneval/sandbox.ts";
import type { VerdictName } from "../../src/tasks/task.ts";
import { readingWays, WAYS_TO_CHEAT } from "./cheating.ts";
import { hasSharedData, SHARED_DATA, skipNote } from "./shared-data.ts";

const folder = mkdtempSync(join(tmpdir(), "cllm-humaneval-"));
process.env["TMPDIR"] = folder; // so that what is left behind is ours
afterAll(() => rmSync(folder, { recursive: true, force: true }));
/** What an evaluation that was killed leaves: of a process that is gone. */
const { place, pid } = ownOwner();
const abandoned = join(folder, `cllm-code.${place}-${pid}-1-0123abcd.incomplete`);
mkdirSync(join(abandoned, "answer"), { recursive: true });

const hasPython = spawnSync("python3", ["-c", "import sys; assert sys.version_info >= (3, 8)"]).status === 0;

const ROW = {
  task_id: "HumanEval/0",
  prompt: 'from typing import List\n\ndef double(xs: List[int]) -> List[int]:\n    """ Twice each. """\n',
  canonical_solution: "    return [2 * x for x in xs]\n",
  test: "def check(candidate):\n    assert candidate([1, 2]) == [2, 4]\n    assert candidate([]) == []\n",
  entry_point: "double",
};

const SOLVED = `${ROW.prompt}${ROW.canonical_solution}`;

function write(rows: readonly unknown[]): void {
  mkdirSync(join(folder, "humaneval"), { recursive: true });
  writeFileSync(join(folder, "humaneval/HumanEval.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
}

async function verdict(answer: string, options: Partial<HumanEvalOptions> = {}): Promise<VerdictName> {
  write([ROW]);
  await using task = await humaneval({ dataDir: folder, allowCodeExecution: true, ...options });
  return (await task.grade(task.examples[0]!, [answer])).verdict;
}

test("nothing runs unless it is allowed", async () => {
  const sandbox: Sandbox = {
    isolation: "process",
    python: "none",
    judge: () => {
      throw new Error("it ran");
    },
  };
  expect(await verdict(ROW.canonical_solution, { allowCodeExecution: false, sandbox })).toBe("ungraded");
});

test("without Python, an error says what to install", async () => {
  await expect(createSandbox({ python: "no-such-python" })).rejects.toMatchObject({
    code: "not-found",
    message: expect.stringMatching(/no-such-python does not start.*Python 3\.8/),
  });
});

describe("without namespaces", () => {
  /** A Python that tells of itself what is asked. */
  function pretended(told: object): string {
    const path = join(folder, "pretended-python");
    const real = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).stdout.trim();
    const probe = { path: real, version: "3.9.0", libraries: ["/no/such/library"], files: [], ctypes: true, ...told };
    writeFileSync(path, `#!/bin/sh\necho '${JSON.stringify(probe)}'\n`, { mode: 0o755 });
    return path;
  }

  test.skipIf(!hasPython || process.platform !== "linux").each([
    [{ ctypes: false }, /lacks the module ctypes.*--isolation process/],
    [{}, /mount .*No such file.*--isolation process/],
  ])("an error says why and what else there is, and nothing falls back %#", async (told, message) => {
    await expect(createSandbox({ python: pretended(told) })).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringMatching(message),
    });
  });

  test("an isolation has to be one, and to have code to run", async () => {
    write([ROW]);
    const wrong = { dataDir: folder, allowCodeExecution: true, isolation: "docker" as Isolation };
    await expect(humaneval(wrong)).rejects.toThrow(/namespaces or process, not docker/);
    const idle = { dataDir: folder, isolation: "process" as const };
    await expect(humaneval(idle)).rejects.toThrow(/--allow-code-execution/);
  });
});

describe.each(ISOLATIONS)("isolated by %s (skipped without Python)", (isolation) => {
  let sandbox: Sandbox | null = null;
  beforeAll(async () => {
    if (hasPython) sandbox = await createSandbox({ isolation }).catch(() => null);
  });
  const graded = (answer: string, options: Partial<HumanEvalOptions> = {}) =>
    verdict(answer, { sandbox: sandbox!, ...options });
  const judged = (job: Partial<SandboxJob>) =>
    sandbox!.judge({ program: "", entryPoint: "f", setup: "", tests: "", ...job });
  const leftovers = () => readdirSync(tmpdir()).filter((name) => name.startsWith("cllm-code"));

  /** Python 3.8 or newer is there, and for namespaces the system lets us have them. */
  const law = (name: string, run: () => Promise<void>): void => {
    test.skipIf(!hasPython)(name, { timeout: 60_000 }, async (context) => {
      if (sandbox === null) context.skip("this system gives no namespaces");
      const before = leftovers();
      await run();
      expect(leftovers().filter((entry) => !before.includes(entry))).toEqual([]);
    });
  };

  law("right code is right, and cut at the first stop string", async () => {
    expect(await graded(ROW.canonical_solution)).toBe("right");
    expect(await graded(`${ROW.canonical_solution}\nprint(undefined)\ndef check(c): assert False`)).toBe("right");
    expect(await graded("    print('a' * 1000)\n    return [x + x for x in xs]")).toBe("right");
  });

  law("what a killed evaluation left is gone after the first answer", async () => {
    await judged({});
    expect(existsSync(abandoned)).toBe(false);
  });

  law("all else has a verdict of its own", async () => {
    expect(await graded("    return xs")).toBe("wrong");
    expect(await graded("    return [")).toBe("error");
    expect(await graded("    return ys")).toBe("error");
    expect(await graded("    return input()")).toBe("error"); // nothing to read
    expect(await graded("   \n")).toBe("no-answer");
  });

  law("leaving before the tests passes nothing, however it is done", async () => {
    for (const way of [
      "import os; os._exit(0)",
      "import sys; sys.exit(0)",
      "raise SystemExit(0)",
      "import os; os.close(4)",
      "import os; os.closerange(0, 64)",
      "import os; os.abort()",
      "print('passed', flush=True); raise KeyboardInterrupt",
    ]) {
      expect([way, await graded(`    ${way}`)]).toEqual([way, "error"]);
    }
  });

  law("no program makes its own verdict", async () => {
    const ways = { ...WAYS_TO_CHEAT, ...readingWays() };
    const passed: string[] = [];
    for (const [name, program] of Object.entries(ways)) {
      const { outcome } = await judged({
        program,
        entryPoint: "double",
        setup: SOLVED,
        tests: `${ROW.test}check(double)`,
      });
      if (outcome === "passed") passed.push(name);
    }
    expect(Object.keys(ways).length).toBeGreaterThan(25);
    expect(passed).toEqual([]);
  });

  law("plain values cross with their types, both ways", async () => {
    const values = `[None, True, 0, -7, 2 ** 53, -(2 ** 900), 0.1, -0.0, float("inf"), "a", "\\ud800\\0\\n\\u20ac", "opaque", b"\\xff",
      bytearray(b"a"), 1j, [], [[1, [2.0]]], (), (1, (2,)), set(), {1, "a"}, frozenset([1]), {}, {1: [2], "t": {"v": 3}, (1,): {4}},
      range(1, 9, 2), Fraction(1, 3), Decimal("0.10")]`;
    const imports = "from fractions import Fraction\nfrom decimal import Decimal\n";
    const tests = `${imports}for value in ${values}:
      far = f(value)
      assert repr(far) == repr(value) and type(far) is type(value), (value, far)
      assert f(value, wrapped=True) == [value]
      assert kind(value) == type(value).__name__`;
    const program = `
class List(list): pass
def f(value, wrapped=False): return List([value]) if wrapped else value`;
    const setup = "def kind(value): return type(value).__name__";
    expect(await judged({ program, tests, setup })).toEqual({ outcome: "passed", detail: "" });
    const counting = "def f(n):\n    for i in range(n): yield i";
    expect(
      await judged({ program: counting, tests: "assert tuple(f(3)) == (0, 1, 2) and f(3) != [0, 1, 2]" }),
    ).toMatchObject({
      outcome: "passed",
    });
    const raising = "def f(x):\n    raise ValueError('no ' + x)";
    const waiting = "try:\n    f('x')\n    assert False\nexcept ValueError as error: assert str(error) == 'no x'";
    expect(await judged({ program: raising, tests: waiting })).toMatchObject({ outcome: "passed" });
  });

  law("what does not cross is nobody's success", async () => {
    const identity = "def f(x): return x";
    expect(await judged({ program: identity, tests: "f(print)" })).toMatchObject({ outcome: "bad-data" });
    expect(await judged({ program: identity, tests: "f(1)", setup: "raise ValueError" })).toMatchObject({
      outcome: "bad-data",
    });
    expect(await judged({ program: "f = 7", tests: "f(1)" })).toMatchObject({
      outcome: "error",
      detail: expect.stringContaining("no function f"),
    });
    expect(await judged({ program: "def f(x): return 'a' * 10_000_000", tests: "f(1)" })).toMatchObject({
      outcome: "output",
    });
    const swallowed = "def f(x): return [0] * 10 ** 12";
    expect(await judged({ program: swallowed, tests: "try:\n    f(1)\nexcept: pass" })).toMatchObject({
      outcome: "memory",
    });
  });

  law("nothing but Python's own files is read", async () => {
    const secret = join(folder, "secret.txt");
    writeFileSync(secret, "secret");
    for (const path of [
      secret,
      "/etc/passwd",
      "/etc/shadow",
      "/proc/self/environ",
      "/proc/1/environ",
      "/proc/self/mem",
    ]) {
      const program = `def f():\n    try: return open(${JSON.stringify(path)}, "rb").read(9)\n    except OSError: return None`;
      expect([path, await judged({ program, tests: "assert f() is None, f()" })]).toMatchObject([
        path,
        { outcome: "passed" },
      ]);
      expect(await graded(`    return open(${JSON.stringify(path)}).read()`)).toBe("refused");
    }
    const program = "import os\ndef f(): return len(os.environ)";
    expect(await judged({ program, tests: "assert f() <= 6, f()" })).toMatchObject({ outcome: "passed" }); // its own
    expect(await graded("    import os\n    return os.listdir('/')")).toBe("refused");
    const library =
      "    import asyncio, subprocess, json, decimal, hashlib, collections, zlib, bz2, datetime, statistics, dataclasses\n";
    expect(await graded(`${library}    hashlib.md5(b'a')\n${ROW.canonical_solution}`)).toBe("right");
  });

  law("what has no end is stopped", async () => {
    const limits = { timeoutMs: 1_000 };
    expect(await graded("    while True: pass", { limits })).toBe("timeout");
    const deaf =
      "    import signal, time\n    for s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\n    time.sleep(1e6)";
    expect(await graded(deaf, { limits })).toBe("timeout");
    expect(await graded("    while True: print('for ever')")).toBe("limit");
    expect(await graded("    import sys\n    while True: sys.stderr.write('for ever')")).toBe("limit");
    expect(await graded("    return [0] * 10 ** 12")).toBe("limit");
    expect(await graded("    try:\n        x = 'a'\n        while True: x += x\n    except ValueError: pass")).toBe(
      "limit",
    );
  });

  law("processes and threads do not outlive it", async () => {
    const bomb = "    import os\n    while True: os.fork()";
    expect(await graded(bomb)).toBe("refused");
    expect(await graded("    import subprocess\n    subprocess.Popen(['sleep', '1000'])")).toBe("refused");
    expect(await graded("    import os\n    os.system('sleep 1000')")).toBe("refused");
    const direct =
      "_posixsubprocess.fork_exec([b'/bin/true'], [b'/bin/true'], True, (), None, None, *[-1] * 8, *[False] * 9, None)";
    expect(await graded(`    import _posixsubprocess\n    ${direct}`)).toBe("refused");
    const again = "import sys; sys.modules.pop('_posixsubprocess'); import _posixsubprocess";
    expect(await graded(`    ${again}`)).toBe("refused");
    expect(await graded("    import multiprocessing as m\n    m.Process(target=print).start()")).toBe("refused");
    expect(await graded("    import os\n    os.kill(os.getppid(), 9)")).toBe("refused");
    const thread = "    import threading, time\n    threading.Thread(target=time.sleep, args=(1e6,)).start()\n";
    expect(await graded(thread + ROW.canonical_solution)).toBe("right");
  });

  law("files are written in its own empty folder only", async () => {
    const kept = join(folder, "kept.txt");
    writeFileSync(kept, "kept");
    const path = JSON.stringify(kept);
    for (const way of [
      `open(${path}, "w")`,
      `open(${path}, "a").write("x")`,
      `import os; os.remove(${path})`,
      `import os; os.rename(${path}, "here")`,
      `import os; os.open(${path}, os.O_RDWR | os.O_TRUNC)`,
      `import os; os.symlink(${path}, "link"); open("link", "w")`,
      `import pathlib; pathlib.Path(${path}).unlink()`,
      `import shutil; shutil.rmtree(${JSON.stringify(folder)})`,
      `import os; os.remove("kept.txt", dir_fd=os.open(${JSON.stringify(folder)}, os.O_RDONLY))`,
      `import ctypes; ctypes.CDLL(None).unlink(${path}.encode())`,
    ]) {
      expect([way, await graded(`    ${way}`)]).toEqual([way, "refused"]);
      expect(existsSync(kept)).toBe(true);
    }
    const own = "    import os\n    assert os.listdir('.') == []\n    open('a', 'w').write('b')\n    os.remove('a')\n";
    expect(await graded(own + ROW.canonical_solution)).toBe("right");
    expect(await graded("    with open('a', 'w') as f:\n        while True: f.write('a' * 65536)")).toBe("error");
  });

  law("there is no network", async () => {
    let calls = 0;
    const server = createServer((_, response) => {
      calls++;
      response.end();
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo;
    const fetching = `    import urllib.request\n    urllib.request.urlopen("http://127.0.0.1:${port}")`;
    expect(await graded(fetching)).toBe("refused");
    expect(await graded(`    import socket\n    socket.create_connection(("127.0.0.1", ${port}))`)).toBe("refused");
    server.close();
    expect(calls).toBe(0);
  });
});

describe("the kernel holds what gets past Python (skipped without namespaces)", () => {
  /** Runs `script` where a program runs, but without the audit hook. */
  function unguarded(script: string, { shell = "" } = {}): ReturnType<typeof spawnSync> & { stdout: string } {
    const probe = spawnSync("python3", ["-s", "-S", "-B", "-c", PROBE], { encoding: "utf8" });
    const { path, libraries, files } = JSON.parse(probe.stdout);
    const own = mkdtempSync(join(folder, "own-"));
    const code = `${CONFINE.replace("sys.addaudithook(guard)", "pass")}
import json, os
confine(json.loads(sys.stdin.buffer.read()))
${script}`;
    const input = JSON.stringify({ plan: { libraries, files }, libraries, limits: {}, seconds: 30 });
    const python = [path, "-s", "-S", "-B", "-c", code];
    const [command, ...args] = shell === "" ? python : ["sh", "-c", shell, "sh", ...python];
    return spawnSync(command!, args, { cwd: own, input, encoding: "utf8", timeout: 30_000 });
  }

  const law = (name: string, run: () => void): void => {
    test.skipIf(!hasPython)(name, { timeout: 60_000 }, async (context) => {
      if ((await createSandbox().catch(() => null)) === null) context.skip("this system gives no namespaces");
      run();
    });
  };

  law("there is nothing to read, write, mount, call or signal", () => {
    const target = join(folder, "beyond.txt");
    writeFileSync(target, "kept");
    const { stdout, stderr } = unguarded(`
import ctypes, socket
libc = ctypes.CDLL(None, use_errno=True)
def fails(action):
    try: action()
    except OSError: return True
    return False
def write(path):
    open(path, "w").write("x")
def run_thread():
    import threading
    ran = []
    thread = threading.Thread(target=ran.append, args=(True,))
    thread.start(); thread.join()
    return ran
there = lambda path: os.path.lexists(path)
print(json.dumps({
  "cwd": os.getcwd(), "own": os.listdir("."), "id": os.getpid(), "devices": os.listdir("/dev"), "top": sorted(os.listdir("/")),
  "seen": [path for path in ["/etc/passwd", "/etc/shadow", "/proc/1", "/sys/class", "/tmp", ${JSON.stringify(target)}] if there(path)],
  "written": [path for path in ["/x", os.__file__, os.path.dirname(os.__file__) + "/x", "/dev/x"] if not fails(lambda: write(path))],
  "own_written": not fails(lambda: write("own")), "nothing": not fails(lambda: write("/dev/null")),
  "big": fails(lambda: [write("big"), open("big", "ab").write(b"a" * (17 << 20))]),
  "mount": libc.mount(b"tmpfs", b"/own", b"tmpfs", 0, None), "unshare": libc.unshare(0x20000), "chroot": libc.chroot(b"/own"),
  "remount": libc.mount(None, b"/", None, ctypes.c_ulong(32 | 4096), None), "umount": libc.umount2(b"/dev/null", 2),
  "fork": not fails(os.fork), "exec": not fails(lambda: os.execv("/dev/null", ["x"])), "spawn": not fails(lambda: os.posix_spawn("/x", ["x"], {})),
  "ptrace": libc.ptrace(0, 0, 0, 0), "thread": run_thread(),
  "networks": [name for _, name in socket.if_nameindex()], "connect": fails(lambda: socket.create_connection(("127.0.0.1", 1), 1)),
  "packages": [name for name in ("site-packages", "dist-packages") for path in sys.path
               if os.path.isdir(path + "/" + name) and os.listdir(path + "/" + name)],
}))`);
    expect(stderr).toBe("");
    const told = JSON.parse(stdout);
    expect(told).toMatchObject({ cwd: "/own", own: [], id: 1, devices: ["null"], seen: [], written: [], packages: [] });
    expect(told).toMatchObject({ own_written: true, nothing: true, big: true, connect: true, networks: ["lo"] });
    expect(told).toMatchObject({ mount: -1, unshare: -1, chroot: -1, remount: -1, umount: -1 });
    expect(told).toMatchObject({ fork: false, exec: false, spawn: false, ptrace: -1, thread: [true] });
    expect(told.top).not.toContain("proc");
    expect(readFileSync(target, "utf8")).toBe("kept");
  });

  law("it does not outlive whoever started it", () => {
    const seconds = 90_000 + (process.pid % 9_999);
    const alive = (): string[] => commandLines().filter((line) => line.includes(`time.sleep(${seconds})`));
    // the shell starts it in the background, waits until it says that it is there, and is killed
    const shell = 'exec 9<&0; "$@" <&9 >ready & while [ ! -s ready ]; do sleep 0.05; done; kill -9 $$';
    unguarded(`import time\nprint("ready", flush=True)\ntime.sleep(${seconds})`, { shell });
    const end = Date.now() + 10_000;
    while (alive().length > 0 && Date.now() < end) spawnSync("sleep", ["0.05"]);
    expect(alive()).toEqual([]);
  });
});

function commandLines(): string[] {
  const ids = existsSync("/proc") ? readdirSync("/proc").filter((name) => /^\d+$/.test(name)) : [];
  return ids.map((id) => {
    try {
      return readFileSync(`/proc/${id}/cmdline`, "utf8");
    } catch {
      return ""; // it has ended
    }
  });
}

describe("prompts and data", () => {
  const WHOLE = "def double(xs: List[int]):\n    return xs * 2";
  const indented = (text: string) => text.replace(/^(?=.)/gm, "   ");

  test("a chat's answer may hold the whole function or the rest of it", async () => {
    write([ROW]);
    await using task = await chatTask();
    const [example] = task.examples;
    expect(example!.input([])).toMatchObject({ messages: [{ content: expect.stringContaining(ROW.prompt) }] });
    await task.grade(example!, [`Here:\n\`\`\`python\n${WHOLE}\n\`\`\`\nIt doubles.`]);
    await task.grade(example!, [ROW.canonical_solution]);
    const rest = { entryPoint: "double", setup: SOLVED, tests: `${ROW.test}\ncheck(double)\n` };
    expect(seen).toEqual([
      { program: `from typing import List\n\n${WHOLE}`, ...rest },
      { program: `${ROW.prompt}${ROW.canonical_solution}`, ...rest },
    ]);
  });

  const seen: SandboxJob[] = [];

  function chatTask() {
    seen.length = 0;
    const sandbox: Sandbox = {
      isolation: "process",
      python: "none",
      judge: async (job) => {
        seen.push(job);
        return { outcome: "passed", detail: "" };
      },
    };
    return humaneval({ dataDir: folder, promptFormat: "chat", allowCodeExecution: true, sandbox });
  }

  const fenced = (code: string, info = "python", fence = "```") => `${fence}${info}\n${code}\n${fence}`;

  test.each<[string, string]>([
    ["a usage example first", `Use it so:\n${fenced("print(double([1]))")}\nThe function:\n${fenced(WHOLE)}`],
    ["a usage example last", `${fenced(WHOLE)}\nUse it so:\n${fenced("print(double([1]))")}`],
    ["the head repeated first", `${fenced(ROW.prompt)}\nSolved:\n${fenced(WHOLE)}`],
    ["python3", fenced(WHOLE, "python3")],
    ["Python with a title", fenced(WHOLE, 'Python title="a.py"')],
    ["no language", fenced(WHOLE, "")],
    ["tildes", fenced(WHOLE, "py", "~~~")],
    ["four backticks", fenced(WHOLE, "py", "````")],
    ["an indented fence", `1. So:\n\n${indented(fenced(WHOLE))}\n\nThat is all.`],
    ["a fence in a list", `- ${fenced(WHOLE).split("\n").join("\n  ")}`],
    ["CRLF", `Here:\n${fenced(WHOLE)}\nDone.`.replaceAll("\n", "\r\n")],
    ["no end of the fence", `Here:\n\`\`\`python\n${WHOLE}`],
    ["a definition in prose", `Sure, here it is:\n\n${WHOLE}\n\nThis doubles every number.`],
    ["a definition alone", WHOLE],
    ["an indented definition", indented(WHOLE)],
    ["a draft first", `<think>\n${fenced("def double(xs): return None")}\n</think>\n\n${fenced(WHOLE)}`],
    ["a draft that the prompt opened", `Well.\n${fenced("def double(xs): return None")}\n</think>\n${fenced(WHOLE)}`],
  ])("a chat's function is found behind %s", async (_, answer) => {
    write([ROW]);
    await using task = await chatTask();
    await task.grade(task.examples[0]!, [answer]);
    expect(seen.map(({ program }) => program.replace(/\n+(?=def)/, "\n\n").trimEnd())).toEqual([
      `from typing import List\n\n${WHOLE}`,
    ]);
  });

  test("a definition in one line, or by name, is one too", async () => {
    write([ROW]);
    await using task = await chatTask();
    await task.grade(task.examples[0]!, ["Use ```python def double(xs): return xs * 2``` for it."]);
    await task.grade(task.examples[0]!, [fenced("double = lambda xs: xs * 2")]);
    expect(seen.map(({ program }) => program)).toEqual([
      "from typing import List\n\ndef double(xs): return xs * 2",
      "from typing import List\n\ndouble = lambda xs: xs * 2",
    ]);
  });

  test("a draft without end is no answer", async () => {
    write([ROW]);
    await using task = await chatTask();
    const { verdict } = await task.grade(task.examples[0]!, [`<think>\n${fenced(WHOLE)}`]);
    expect(verdict).toBe("no-answer");
  });

  test.each<[readonly unknown[], RegExp]>([
    [[], /holds no examples/],
    [[ROW, { ...ROW }], /HumanEval\.jsonl:2 has the id HumanEval\/0 of .*HumanEval\.jsonl:1/],
    [[{ ...ROW, task_id: undefined }], /HumanEval\.jsonl:1 has no task_id/],
    [[{ ...ROW, task_id: null }], /task_id is null; it must be a text or a whole number/],
    [[{ ...ROW, entry_point: "x); import os" }], /entry_point must be the name of a function/],
    [[{ ...ROW, test: "" }], /test is empty/],
  ])("data that lack something are an error with their place, %#", async (rows, message) => {
    write(rows);
    await expect(humaneval({ dataDir: folder })).rejects.toMatchObject({
      code: "bad-input",
      message: expect.stringMatching(message),
    });
  });

  test("there is no prompt of the paper", async () => {
    await expect(humaneval({ dataDir: folder, promptFormat: "paper" })).rejects.toThrow(/it has default, chat/);
  });
});

test.skipIf(!hasSharedData || !hasPython)(
  `every reference solution passes, and none passes another's tests ${skipNote}`,
  { timeout: 300_000 },
  async (context) => {
    const sandbox = await createSandbox().catch(() => null);
    if (sandbox === null) context.skip("this system gives no namespaces");
    await using task = await humaneval({ dataDir: SHARED_DATA, allowCodeExecution: true, sandbox: sandbox! });
    expect(task.examples.length).toBe(164);
    for (const example of task.examples) {
      expect([example.id, await task.grade(example, [example.reference!])]).toMatchObject([
        example.id,
        { verdict: "right" },
      ]);
    }
    const [first, second] = task.examples;
    expect((await task.grade(first!, [second!.reference!])).verdict).not.toBe("right");
  },
);
