/**
 * The two scripts that stand between a stranger's program and the machine: a shell script that shuts the file system in
 * a mount namespace of its own, and the Python prelude that sets limits, refuses what a program may not do, runs it, and
 * reports with a token that only it was told. Texts only; `sandbox.ts` runs them.
 */

/**
 * Runs `"$@"` in the folder `$1`, which becomes an empty file system of its own, of 16 MB; all others become read-only
 * and without devices. Gives up all rights to change that. Fails with 90 and more where any of it cannot be had.
 */
export const SHUT_FILE_SYSTEM = `
folder=$1
shift
mount -t tmpfs -o size=16m,mode=700,nodev,nosuid tmpfs "$folder" || exit 90
while read -r _ _ _ _ point _; do
  point=$(printf '%b' "$point")
  [ "$point" = "$folder" ] || mount -o remount,bind,ro,nodev "$point" || exit 91
done < /proc/self/mountinfo
cd "$folder" || exit 92
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
`;

/**
 * Reads a job from standard input: \`{token, program, limits, seconds}\`. Writes \`{token, outcome, detail}\` to file
 * descriptor 3, unless the program ends the process before. Only the standard library, of Python 3.8 and newer.
 */
export const PRELUDE = `
import sys

def main():
    import faulthandler, json, os
    job = json.loads(sys.stdin.buffer.read())
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

    folder = os.path.realpath(os.getcwd())

    class Refused(PermissionError):
        pass

    never = ("socket.", "subprocess.", "ctypes.", "pty.", "winreg.", "os.exec", "os.fork", "os.kill", "os.posix_spawn",
             "os.spawn", "os.startfile", "os.system", "os.chflags", "os.chmod", "os.chown", "os.lockf", "gc.get_objects",
             "gc.get_referrers", "resource.", "syslog.", "signal.pthread_kill", "ftplib.", "http.", "urllib.", "smtplib.")
    changing = {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate", "os.utime",
                "os.removexattr", "os.setxattr", "shutil.rmtree"}
    modules = {"ctypes", "_ctypes", "_posixsubprocess", "_testcapi"}
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    realpath, isdir, fspath, fsdecode = os.path.realpath, os.path.isdir, os.fspath, os.fsdecode
    separator = os.sep

    def inside(path):
        return (realpath(fsdecode(fspath(path))) + separator).startswith(folder + separator)

    def guard(event, arguments):
        if event.startswith(never):
            raise Refused("it may not use " + event)
        if event == "import" and arguments[0] in modules:
            raise Refused("it may not import " + arguments[0])
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & writing:
                if isinstance(path, int) or path is None or not inside(path):
                    raise Refused("it may not write " + repr(path))
            elif not isinstance(path, int) and path is not None and isdir(path) and not inside(path):
                raise Refused("it may not open the folder " + repr(path))  # what is in it could be named by its number
        elif event in changing:
            for path in arguments:
                if isinstance(path, (str, bytes)) or hasattr(path, "__fspath__"):
                    if not inside(path):
                        raise Refused("it may not change " + repr(path))
                elif isinstance(path, int) and event == "os.truncate":
                    raise Refused("it may not change a file by its number")

    write, encode, leave = os.write, json.dumps, os._exit
    flush = [sys.stdout.flush, sys.stderr.flush]

    def report(outcome, detail):
        text = encode({"token": job["token"], "outcome": outcome, "detail": str(detail)[:400]})
        for each in flush:
            try:
                each()
            except BaseException:
                pass
        write(3, text.encode())
        leave(0)

    sys.addaudithook(guard)
    outcome = "passed", ""
    try:
        exec(compile(job["program"], "<answer>", "exec"), {})
    except AssertionError as error:
        outcome = "failed", error
    except MemoryError:
        outcome = "memory", "it takes too much memory"
    except Refused as error:
        outcome = "refused", error
    except BaseException as error:
        outcome = "error", type(error).__name__ + ": " + str(error)
    try:
        report(*outcome)
    except BaseException:
        report(outcome[0], "it says nothing that can be printed")

main()
`;
