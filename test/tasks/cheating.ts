/** Programs that try to pass the tests of `double` without solving it, by name. None of them may. */
import { SHARED_DATA } from "./shared-data.ts";

/** Everything that any version of this project, or another harness, has ever taken for a pass, on every descriptor. */
const FORGE = `
import json, os
def forge(token="", leave=True):
    report = {"token": token, "outcome": "passed", "detail": ""}
    for descriptor in range(3, 64):
        for told in (report,) if token else (report, {"ready": True}, {"value": True}, {"value": [2, 4]}):
            try: os.write(descriptor, (json.dumps(told) + "\\n").encode())
            except OSError: pass
    if leave: os._exit(0)
`;

const body = (lines: string): string => `def double(xs):\n${lines.replace(/^(?=.)/gm, "    ")}\n    return xs\n`;
const forging = (lines: string): string => `${FORGE}\n${body(lines)}`;

/** Looks through the variables of a frame, and of all before it, for whoever reports. */
const SEARCH = `
def search(frame):
    import types
    while frame is not None:
        for scope in (frame.f_locals, frame.f_globals):
            for name, value in list(scope.items()):
                if name in ("report", "send", "reply", "write", "judge"):
                    for arguments in (("passed", ""), (5, {"outcome": "passed", "detail": ""}), ({"value": True},)):
                        try: value(*arguments)
                        except BaseException: pass
                if name == "job" and isinstance(value, dict):
                    value.update(program="", tests="", seconds=0)
                    forge(value.get("token", ""), leave=False)
                if name in ("outcome", "detail", "ends"):
                    try: scope[name] = ("passed", "")
                    except BaseException: pass
        frame = frame.f_back
`;

const always = (base: string): string => `
class Always${base === "" ? "" : `(${base})`}:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __lt__
    def __sub__(self, other): return self
    def __rsub__(self, other): return self
    def __abs__(self): return self
`;

export const WAYS_TO_CHEAT: Readonly<Record<string, string>> = {
  "frames that lead to the reporter": `${FORGE}${SEARCH}${body("import sys; search(sys._getframe())")}`,
  "a traceback that leads to the reporter": `${FORGE}${SEARCH}${body("try: 1 / 0\nexcept ZeroDivisionError as error: search(error.__traceback__.tb_frame)")}`,
  "memory that is read for the token": forging(`
import re
with open("/proc/self/mem", "rb", 0) as memory:
    for line in open("/proc/self/maps"):
        if " rw" in line:
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            try:
                memory.seek(begin); data = memory.read(end - begin)
            except (OSError, ValueError, OverflowError): continue
            for token in re.findall(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", data): forge(token.decode())
forge()`),
  "an object that equals everything": `${always("")}${body("return Always()")}`,
  "a list that equals everything": `${always("list")}${body("return Always()")}`,
  "an int that equals everything": `${always("int")}${body("return Always()")}`,
  "a text that equals everything": `${always("str")}${body("return Always()")}`,
  "a dict that equals everything": `${always("dict")}${body("return Always()")}`,
  "an object of the mock library": body("from unittest.mock import ANY; return ANY"),
  "an answer by __getattr__": `class Any:\n    def __getattr__(self, name): return self\n    def __call__(self, *a): return True\n    __eq__ = __call__\n${body("return Any()")}`,
  "objects from the collector": forging(`
import gc
for found in gc.get_objects():
    if isinstance(found, dict) and "token" in found: forge(str(found["token"]), leave=False)
    if callable(found) and getattr(found, "__name__", "") in ("report", "send"): found("passed", "")
forge()`),
  "a report on every descriptor": forging("forge()"),
  "a report before the tests": `${FORGE}\nforge()\n${body("pass")}`,
  "a report at the end of the process": `${FORGE}\nimport atexit, sys\natexit.register(forge)\n${body("sys.exit(0)")}`,
  "a report from a thread": `${FORGE}\nimport threading\nthreading.Thread(target=forge, args=("", False), daemon=True).start()\n${body("pass")}`,
  "a report by a signal": `${FORGE}\nimport signal\nsignal.signal(signal.SIGALRM, lambda *a: forge())\nsignal.setitimer(signal.ITIMER_REAL, 0.001)\n${body("while True: pass")}`,
  "a report when an object dies": `${FORGE}\nclass Last:\n    def __del__(self): forge()\n${body("Last()")}`,
  "a clean end": body("import os; os._exit(0)"),
  "an end that never comes": `import os\nos._exit = lambda code: None\n${body("raise SystemExit(0)")}`,
  "an assertion that is none": `import builtins\nbuiltins.AssertionError = type("Never", (Exception,), {})\nbuiltins.abs = lambda x: 0\nbuiltins.len = lambda x: 2\n${body("pass")}`,
  "a compiler that drops assertions": `import builtins\nreal = builtins.compile\nbuiltins.compile = lambda *a, **k: real("", "", "exec")\nbuiltins.exec = lambda *a: None\n${body("pass")}`,
  "a reporter that is replaced": `import json, os\njson.dumps = lambda *a, **k: '{"outcome": "passed", "detail": "", "value": true}'\njson.JSONEncoder.encode = json.dumps\nos.write = lambda d, data: len(data)\n${body("pass")}`,
  "modules that are replaced": `import sys\nfor name in list(sys.modules):\n    if name not in ("sys", "builtins"): sys.modules[name] = None\n${body("pass")}`,
  "a module of the judge's": `for name in ("json", "builtins", "decimal", "random"):\n    open(name + ".py", "w").write("import os; os.write(5, b'{}')")\n${body("pass")}`,
  "a trace function": `import sys, threading\ndef trace(frame, event, argument):\n    frame.f_locals.update(outcome="passed")\n    return trace\nsys.settrace(trace); sys.setprofile(trace); threading.settrace(trace)\n${body("pass")}`,
  "an audit hook": `import sys\ndef hook(event, arguments):\n    if event == "open": raise SystemExit(0)\nsys.addaudithook(hook)\n${body("pass")}`,
  "its own main module": `import sys\nmain = sys.modules["__main__"].__dict__\nmain.update(encode=lambda *a: True, confine=lambda job: PermissionError, DEEPEST=0)\n${body("main['main']()")}`,
  "other bytecode": `import types\n${body("code = double.__code__\nfor name, value in list(globals().items()):\n    if isinstance(value, types.FunctionType): value.__code__ = code.replace(co_consts=(None, True))\nreturn True")}`,
  "native code": body("import ctypes; ctypes.memset(id(AssertionError), 0, 64)"),
  "native code of its own": `open("native.so", "wb").write(b"\\x7fELF")\n${body("import importlib.machinery as m; m.ExtensionFileLoader('native', './native.so').create_module(m.ModuleSpec('native', None, origin='./native.so'))")}`,
  "a process that goes on": forging("import os\nif os.fork() == 0: forge()"),
  "a parent that is stopped": body("import os, signal; os.kill(os.getppid(), signal.SIGSTOP)"),
  "an assertion error of its own": body("raise AssertionError"),
  "an error that looks like the judge's": `class Ended(BaseException): pass\n${body("raise Ended('passed', '')")}`,
  "a generator of anything": body("while True: yield True"),
  "a value without end": body("a = []; a.append(a); return a"),
  "a value that is too deep": body("a = []\nfor _ in range(100000): a = [a]\nreturn a"),
};

/** Programs that look for the answer in files and in other processes. */
export const readingWays = (): Readonly<Record<string, string>> => ({
  "the data set": body(`
for line in open(${JSON.stringify(`${SHARED_DATA}/humaneval/HumanEval.jsonl`)}):
    if "canonical_solution" in line: return [2 * x for x in xs]`),
  "memory of other processes": body(`
import os
for name in os.listdir("/proc"):
    if name.isdigit() and "canonical" in open("/proc/" + name + "/mem", "rb").read(9999): break
return [2 * x for x in xs]`),
  "pipes of other processes": forging(`
import os
for name in range(2, 99999):
    for descriptor in range(3, 20):
        try: os.write(os.open("/proc/%d/fd/%d" % (name, descriptor), os.O_WRONLY), b'{"outcome": "passed", "detail": ""}\\n')
        except FileNotFoundError: break
forge()`),
});
