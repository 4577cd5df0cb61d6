/** HumanEval: what counts as passing, and that programs of every ill will end with a verdict and leave nothing behind. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type HumanEvalOptions, humaneval } from "../../src/tasks/humaneval/humaneval.ts";
import { SHUT_FILE_SYSTEM } from "../../src/tasks/humaneval/prelude.ts";
import { createSandbox, type Isolation, NAMESPACES, type Sandbox } from "../../src/tasks/humaneval/sandbox.ts";
import type { VerdictName } from "../../src/tasks/task.ts";
import { hasSharedData, SHARED_DATA, skipNote } from "./shared-data.ts";

const folder = mkdtempSync(join(tmpdir(), "cllm-humaneval-"));
process.env["TMPDIR"] = folder; // so that what is left behind is ours
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const hasPython = spawnSync("python3", ["-c", "import sys; assert sys.version_info >= (3, 8)"]).status === 0;

const ROW = {
  task_id: "HumanEval/0",
  prompt: 'from typing import List\n\ndef double(xs: List[int]) -> List[int]:\n    """ Twice each. """\n',
  canonical_solution: "    return [2 * x for x in xs]\n",
  test: "def check(candidate):\n    assert candidate([1, 2]) == [2, 4]\n    assert candidate([]) == []\n",
  entry_point: "double",
};

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
    run: () => {
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

describe.each<Isolation>(["namespaces", "process"])("isolated by %s (skipped without Python)", (isolation) => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    if (hasPython) sandbox = await createSandbox({ isolation });
  });
  const graded = (answer: string, options: Partial<HumanEvalOptions> = {}) => verdict(answer, { sandbox, ...options });
  const leftovers = () => readdirSync(tmpdir()).filter((name) => name.startsWith("cllm-code-"));

  /** Python 3.8 or newer is there, and for namespaces the system lets us have them. */
  const law = (name: string, run: () => Promise<void>): void => {
    test.skipIf(!hasPython)(name, { timeout: 60_000 }, async (context) => {
      if (sandbox.isolation !== isolation) context.skip("this system gives no namespaces");
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
      'import os; os.write(3, b\'{"token": "x", "outcome": "passed", "detail": ""}\'); os._exit(0)',
      "import os; os.close(3)",
      "import os; os.abort()",
      "print('passed', flush=True); raise KeyboardInterrupt",
    ]) {
      expect([way, await graded(`    ${way}`)]).toEqual([way, "error"]);
    }
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

test.skipIf(!hasPython)("the kernel holds what gets past Python (skipped without Python)", async (context) => {
  if ((await createSandbox()).isolation !== "namespaces") context.skip("this system gives no namespaces");
  const [own, target] = [join(folder, "own"), join(folder, "beyond.txt")];
  mkdirSync(own);
  writeFileSync(target, "kept");
  const seconds = 90_000 + (process.pid % 9_999);
  const command = `
    echo in > here && cat here; id -u
    echo x > ${target}; rm -f ${target}; mount -o remount,bind,rw /; umount .; echo x > /dev/null
    grep -c : /proc/net/dev; ls /sys/class/net
    setsid sleep ${seconds} &`;
  const shut = ["sh", "-c", SHUT_FILE_SYSTEM, "sh", own, "sh", "-c", command];
  const { stdout, stderr } = spawnSync("unshare", [...NAMESPACES, ...shut], { encoding: "utf8" });
  expect(stdout).toMatch(/^in\n/);
  for (const refused of ["beyond.txt: Read-only", "mount: /: permission denied", "umount", "/dev/null: "])
    expect(stderr).toContain(refused);
  expect(readFileSync(target, "utf8")).toBe("kept");
  expect(readdirSync(own)).toEqual([]); // its files went with it
  expect(commandLines().filter((line) => line.includes(String(seconds)) && line.startsWith("sleep"))).toEqual([]);
});

function commandLines(): string[] {
  const ids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return ids.map((id) => {
    try {
      return readFileSync(`/proc/${id}/cmdline`, "utf8");
    } catch {
      return ""; // it has ended
    }
  });
}

describe("prompts and data", () => {
  test("a chat's answer may hold the whole function or the rest of it", async () => {
    write([ROW]);
    const seen: string[] = [];
    const sandbox: Sandbox = {
      isolation: "process",
      python: "none",
      run: async (program) => {
        seen.push(program);
        return { outcome: "passed", detail: "" };
      },
    };
    const options = { dataDir: folder, promptFormat: "chat", allowCodeExecution: true, sandbox } as const;
    await using task = await humaneval(options);
    const [example] = task.examples;
    expect(example!.input([])).toMatchObject({ messages: [{ content: expect.stringContaining(ROW.prompt) }] });
    const whole = "def double(xs: List[int]):\n    return xs * 2";
    await task.grade(example!, [`Here:\n\`\`\`python\n${whole}\n\`\`\`\nIt doubles.`]);
    await task.grade(example!, [ROW.canonical_solution]);
    const tests = `\n${ROW.test}\ncheck(double)\n`;
    expect(seen).toEqual([
      `from typing import List\n\n${whole}${tests}`,
      `${ROW.prompt}${ROW.canonical_solution}${tests}`,
    ]);
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
  `every sixteenth reference solution passes, and none passes another's tests ${skipNote}`,
  { timeout: 120_000 },
  async () => {
    await using task = await humaneval({ dataDir: SHARED_DATA, allowCodeExecution: true });
    expect(task.examples.length).toBe(164);
    for (let i = 0; i < task.examples.length; i += 16) {
      const example = task.examples[i]!;
      expect([example.id, await task.grade(example, [example.reference!])]).toMatchObject([
        example.id,
        { verdict: "right" },
      ]);
    }
    const [first, second] = task.examples;
    expect((await task.grade(first!, [second!.reference!])).verdict).not.toBe("right");
  },
);
