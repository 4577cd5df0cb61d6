/**
 * The Python code that confines a generated program, as texts: `PROBE` tells what an interpreter is made of, `CONFINE`
 * gives up everything else before the program runs. Python 3.8 and newer, standard library only. What then runs, and
 * who judges it, is in `python-roles.ts`.
 */

/**
 * Prints JSON: `{path, version, libraries, ctypes, files}`. `libraries` are the folders of the standard library. `files` are
 * the shared objects that its extension modules load, each under every name that the loader may look for.
 */
export const PROBE: string = `
import json, os, sys, sysconfig

version = sys.version_info
told = {"path": sys.executable, "version": "%d.%d.%d" % version[:3], "libraries": [], "files": [], "ctypes": False}
if version >= (3, 8):
    folders = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), os.path.dirname(os.__file__)]
    folders += [path for path in sys.path if os.path.basename(path) in ("lib-dynload", "python%d%d.zip" % version[:2])]
    told["libraries"] = sorted({os.path.abspath(path) for path in folders if path and os.path.exists(path)})
if version >= (3, 8) and sys.platform == "linux":
    def load(module):
        try:
            __import__(module)
            return True
        except BaseException:
            return False

    told["ctypes"] = load("ctypes")
    if told["ctypes"]:
        try:
            sys.modules["ctypes"].CDLL("libgcc_s.so.1")  # opened by name when a thread ends
        except OSError:
            pass
    avoided = ("_test", "_xx", "xx", "_tkinter", "_curses", "_dbm", "_gdbm", "readline", "nis", "ossaudiodev")
    for folder in [path for path in sys.path if os.path.basename(path) == "lib-dynload" and os.path.isdir(path)]:
        for name in sorted(os.listdir(folder)):
            if not name.startswith(avoided):
                load(name.split(".")[0])
    mapped = set()
    with open("/proc/self/maps") as lines:
        for line in lines:
            path = line.split(None, 5)[-1].strip() if line.count("/") else ""
            if path.startswith("/") and ".so" in os.path.basename(path) and os.path.isfile(path):
                mapped.add(path)
    files = set(mapped)
    for folder in {os.path.dirname(path) for path in mapped}:
        for entry in os.scandir(folder):
            if entry.is_symlink() and os.path.realpath(entry.path) in mapped:
                files.add(entry.path)
    if os.path.exists("/etc/ld.so.cache"):
        files.add("/etc/ld.so.cache")
    inside = tuple(path + os.sep for path in told["libraries"])
    told["files"] = sorted(path for path in files if not path.startswith(inside))
print(json.dumps(told))
`;

/**
 * Defines `confine(job)`. The job has `plan`, which is null or the probe's `libraries` and `files`; `libraries`, `limits` and
 * `seconds`. With a plan it moves into namespaces of its own, whose root holds the plan's files, `/dev/null` and an empty
 * `/own` of 16 MB, and gives up all rights and the starting of processes; the parent waits outside. Then it sets limits and refuses, by an audit hook, what
 * no task needs. Returns the exception that the hook raises. Ends with 90 where a step fails, and says which.
 */
export const CONFINE: string = `
import sys

OWN = "/own"  # the program's own folder in the new root

def enter(plan, folder):
    import ctypes, os, struct
    libc = ctypes.CDLL(None, use_errno=True)

    def do(step, result):
        if result != 0:
            raise OSError(ctypes.get_errno(), step + ": " + os.strerror(ctypes.get_errno()))

    def mount(source, target, kind, flags, options=None):
        code = [None if part is None else os.fsencode(part) for part in (source, target, kind, options)]
        do("mount " + target, libc.mount(code[0], code[1], code[2], ctypes.c_ulong(flags), code[3]))

    READ_ONLY, NO_SETUID, NO_DEVICES, REMOUNT, BIND, RECURSIVE = 1, 2, 4, 32, 4096, 16384
    KEPT = [(1, 1), (2, 2), (4, 4), (8, 8), (1024, 1024), (2048, 2048), (4096, 1 << 21)]  # of statvfs, of mount

    def bind(source, target, devices=False):
        mount(source, target, None, BIND | RECURSIVE)
        if not devices:
            held = os.statvfs(target).f_flag  # what an outer namespace holds must stay
            flags = sum(flag for told, flag in KEPT if held & told)
            mount(None, target, None, REMOUNT | BIND | READ_ONLY | NO_SETUID | NO_DEVICES | flags)

    user, group = os.geteuid(), os.getegid()
    do("unshare", libc.unshare(0x10000000 | 0x40000000 | 0x20000000 | 0x08000000 | 0x00020000))  # user, net, pid, ipc, mount
    for name, text in ("setgroups", "deny"), ("uid_map", "0 %d 1" % user), ("gid_map", "0 %d 1" % group):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)
    do("prctl", libc.prctl(1, 9, 0, 0, 0))  # it dies with its parent, and the child with it
    child = os.fork()
    if child != 0:
        os.closerange(0, 64)
        _, status = os.waitpid(child, 0)
        os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
    do("prctl", libc.prctl(1, 9, 0, 0, 0))

    mount(None, "/", None, RECURSIVE | (1 << 18))  # private
    mount("tmpfs", folder, "tmpfs", NO_SETUID | NO_DEVICES, "size=1m,mode=755")

    def make(path):
        """The place of a path in the new root; links on the way become the same links."""
        place, rest = "/", [part for part in path.split("/") if part]
        while rest:
            part = rest.pop(0)
            if part == "..":
                place = os.path.dirname(place)
                continue
            host = os.path.join(place, part)
            here = folder + host
            if os.path.islink(host):
                aim = os.readlink(host)
                if not os.path.lexists(here):
                    os.symlink(aim, here)
                place = "/" if aim.startswith("/") else place
                rest = [step for step in aim.split("/") if step not in ("", ".")] + rest
                continue
            if not os.path.lexists(here):
                if rest or os.path.isdir(host):
                    os.mkdir(here)
                else:
                    os.close(os.open(here, os.O_CREAT | os.O_WRONLY))
            place = host
        return place

    bound = set()
    for path in plan["libraries"] + plan["files"]:
        host = make(path)
        if host in bound or any(host.startswith(other + "/") for other in bound):
            continue
        bound.add(host)
        bind(host, folder + host)
        for hidden in ("site-packages", "dist-packages"):
            if os.path.isdir(os.path.join(host, hidden)):
                mount("tmpfs", os.path.join(folder + host, hidden), "tmpfs", READ_ONLY, "size=4k,mode=555")
    os.makedirs(folder + "/dev")
    os.close(os.open(folder + "/dev/null", os.O_CREAT | os.O_WRONLY))
    bind("/dev/null", folder + "/dev/null", devices=True)
    os.mkdir(folder + OWN)
    mount("tmpfs", folder + OWN, "tmpfs", NO_SETUID | NO_DEVICES, "size=16m,mode=700")

    os.chdir(folder)
    pivot = {"x86_64": 155, "i686": 217, "armv7l": 218, "ppc64le": 203, "s390x": 217}.get(os.uname().machine, 41)
    do("pivot_root", libc.syscall(ctypes.c_long(pivot), b".", b"."))
    do("umount", libc.umount2(b".", 2))  # the old root, which lies on top
    os.chdir("/")
    mount(None, "/", None, REMOUNT | BIND | READ_ONLY | NO_SETUID | NO_DEVICES)
    os.chdir(OWN)

    do("no_new_privs", libc.prctl(38, 1, 0, 0, 0))
    for right in range(64):
        libc.prctl(24, right, 0, 0, 0)  # out of the bounding set
    do("capset", libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()))
    # No process, no other program, no look into another one: a filter of system calls, where this knows their numbers.
    known = {"x86_64": (0xC000003E, 56, (57, 58, 59, 101, 310, 311, 322)), "aarch64": (0xC00000B7, 220, (221, 117, 270, 271, 281))}
    if os.uname().machine in known:
        machine, clone, refused = known[os.uname().machine]
        LOAD, EQUAL, AT_LEAST, HAS, RETURN, NO, ABSENT, YES = 0x20, 0x15, 0x35, 0x45, 0x06, 0x50001, 0x50026, 0x7FFF0000
        steps = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, machine), (RETURN, 0, 0, NO), (LOAD, 0, 0, 0)]
        for call in refused:
            steps += [(EQUAL, 0, 1, call), (RETURN, 0, 0, NO)]
        steps += [(EQUAL, 0, 1, 435), (RETURN, 0, 0, ABSENT), (AT_LEAST, 0, 1, 1 << 30), (RETURN, 0, 0, NO)]  # clone3, x32
        steps += [(EQUAL, 0, 3, clone), (LOAD, 0, 0, 16), (HAS, 1, 0, 0x10000), (RETURN, 0, 0, NO), (RETURN, 0, 0, YES)]  # threads
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
        program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
        do("seccomp", libc.prctl(22, 2, program, 0, 0))
    for name in [name for name in sys.modules if "ctypes" in name]:
        del sys.modules[name]

def confine(job):
    import faulthandler, os
    folder = os.path.realpath(os.getcwd())
    sys.path[:] = [path for path in sys.path if path and os.path.realpath(path) != folder]
    if job["plan"] is not None:
        try:
            enter(job["plan"], folder)
        except OSError as error:
            os.write(2, str(error.strerror).encode())
            os._exit(90)
        os.environ.update(HOME=OWN, TMPDIR=OWN)
        folder = OWN
    faulthandler.dump_traceback_later(job["seconds"] + 2, exit=True)
    try:
        import resource
        for name, value in job["limits"].items():
            try:
                resource.setrlimit(getattr(resource, name), (value, value))
            except (AttributeError, ValueError, OSError):
                pass
    except ImportError:
        pass

    class Refused(PermissionError):
        pass

    never = ("socket.", "subprocess.", "ctypes.", "pty.", "winreg.", "os.exec", "os.fork", "os.kill", "os.posix_spawn",
             "os.spawn", "os.startfile", "os.system", "os.chflags", "os.chmod", "os.chown", "os.lockf", "gc.get_", "resource.",
             "syslog.", "signal.pthread_kill", "sys._current_frames", "ftplib.", "http.", "urllib.", "smtplib.")
    changing = frozenset(["os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate",
                          "os.utime", "os.removexattr", "os.setxattr", "shutil.rmtree"])
    listing = frozenset(["os.listdir", "os.scandir", "os.chdir"])
    modules = frozenset(["ctypes", "_ctypes", "_posixsubprocess", "_testcapi", "_testinternalcapi", "_sqlite3", "_dbm",
                         "_gdbm", "_posixshmem", "readline", "spwd"])  # they open files where no event tells of it
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    realpath, isdir, fspath, fsdecode = os.path.realpath, os.path.isdir, os.fspath, os.fsdecode
    separator, nothing = os.sep, os.devnull
    readable = tuple(realpath(path) + separator for path in job["libraries"])
    for owner in (os, sys.modules.get("posix")):
        for name in ("pidfd_open", "mkfifo", "mknod"):
            if hasattr(owner, name):
                delattr(owner, name)

    def start(*arguments):
        raise Refused("it may not start a process")

    try:
        import _posixsubprocess
        _posixsubprocess.fork_exec = start  # so that libraries which import it can be imported
    except ImportError:
        pass

    def place(path):
        return realpath(fsdecode(fspath(path))) + separator

    def inside(path):
        return place(path).startswith(folder + separator)

    def known(path):
        where = place(path)
        return where.startswith(folder + separator) or where.startswith(readable)

    def guard(event, arguments):
        if event.startswith(never):
            raise Refused("it may not use " + event)
        if event == "import":
            name, path = arguments[:2]
            if name in modules or (path is not None and not place(path).startswith(readable)):
                raise Refused("it may not import " + repr(name))
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & writing:
                if path != nothing and (isinstance(path, int) or path is None or not inside(path)):
                    raise Refused("it may not write " + repr(path))
            elif not isinstance(path, int) and path is not None and path != nothing:
                if isdir(path) and not inside(path):  # what is in it could be named by its number
                    raise Refused("it may not open the folder " + repr(path))
                if not known(path):
                    raise Refused("it may not read " + repr(path))
        elif event in listing:
            path = arguments[0]
            if isinstance(path, (str, bytes)) or hasattr(path, "__fspath__"):
                if not known(path):
                    raise Refused("it may not list " + repr(path))
        elif event in changing:
            for path in arguments:
                if isinstance(path, (str, bytes)) or hasattr(path, "__fspath__"):
                    if not inside(path):
                        raise Refused("it may not change " + repr(path))
                elif isinstance(path, int) and event == "os.truncate":
                    raise Refused("it may not change a file by its number")

    sys.addaudithook(guard)
    return Refused
`;
