/**
 * The two programs of a run, as Python texts behind `CONFINE`. `ANSWER` runs what a model wrote and calls its function on
 * request. `JUDGE` runs the tests, in another process, and calls that function over a pipe. Only values cross, as JSON, and
 * the judge alone compares and reports. So nothing that generated code does in its process can make a test pass; it can only
 * send values, and it never sees the expected ones.
 */

/** `encode(value)` and `decode(json)`: plain values keep their type; anything else becomes an object that equals nothing. */
const VALUES = `
DEEPEST, MOST = 100, 1000000

class Opaque:
    """Stands for a value that is none of the plain ones."""
    def __init__(self, name):
        self.name = name
    def __repr__(self):
        return "<" + self.name + ">"

def opaque(name):
    return {"t": "opaque", "v": name}

def encode(value, depth=0):
    if value is None or value is True or value is False:
        return value
    if depth > DEEPEST:
        return opaque("nested too deep")
    inner = lambda items: [encode(item, depth + 1) for item in items]
    if isinstance(value, int):
        value = int.__index__(value)
        return value if -(2 ** 53) < value < 2 ** 53 else {"t": "int", "v": hex(value)}
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, list):
        return inner(list.__iter__(value))
    for kind in (tuple, set, frozenset):
        if isinstance(value, kind):
            return {"t": kind.__name__, "v": inner(kind.__iter__(value))}
    if isinstance(value, dict):
        return {"t": "dict", "v": inner(tuple(pair) for pair in dict.items(value))}
    if isinstance(value, (bytes, bytearray)):
        return {"t": "bytes" if isinstance(value, bytes) else "bytearray", "v": list(value)}
    if isinstance(value, complex):
        return {"t": "complex", "v": [value.real, value.imag]}
    if isinstance(value, range):
        return {"t": "range", "v": inner([value.start, value.stop, value.step])}
    name = type(value).__name__
    if type(value).__module__ == "fractions" and name == "Fraction":
        return {"t": "fraction", "v": inner([value.numerator, value.denominator])}
    if type(value).__module__ == "decimal" and name == "Decimal":
        return {"t": "decimal", "v": str(value)}
    if isinstance(value, type({}.keys())):
        return {"t": "keys", "v": inner(value)}
    if not isinstance(value, type) and hasattr(type(value), "__iter__"):
        items = []
        for item in value:
            if len(items) == MOST:
                return opaque("endless " + name)
            items.append(encode(item, depth + 1))
        return {"t": "iterable", "v": items}
    return opaque(name)

def decode(value):
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    kind, value = value["t"], value["v"]
    if kind == "int":
        return int(value, 16)
    if kind == "opaque":
        return Opaque(str(value))
    if kind == "decimal":
        import decimal
        return decimal.Decimal(str(value))
    items = [decode(item) for item in value]
    if kind == "fraction":
        import fractions
        return fractions.Fraction(*items)
    makers = {"tuple": tuple, "set": set, "frozenset": frozenset, "dict": dict, "bytes": bytes, "bytearray": bytearray,
              "complex": lambda parts: complex(*parts), "range": lambda parts: range(*parts),
              "keys": lambda parts: dict.fromkeys(parts).keys(), "iterable": iter}
    return makers[kind](items)
`;

/** Reads the job from standard input, calls from descriptor 3 and writes replies to 4, a line each. */
export const ANSWER: string = String.raw`
${VALUES}

def main():
    import json, os, types
    job = json.loads(sys.stdin.buffer.read())
    calls = open(3, "rb")
    Refused = confine(job)
    write, dump, load = os.write, json.dumps, json.loads

    def reply(fields):
        data = (dump(fields) + "\n").encode()
        while data:
            data = data[write(4, data):]

    def attempt(action):
        try:
            return action()
        except MemoryError:
            return {"error": "memory", "name": "MemoryError", "detail": "it takes too much memory"}
        except BaseException as error:
            try:
                detail = str(error)[:300]
            except BaseException:
                detail = "it says nothing that can be printed"
            kind = "refused" if isinstance(error, Refused) else "error"
            return {"error": kind, "name": type(error).__name__, "detail": detail}

    module = types.ModuleType("answer")
    sys.modules["answer"] = module

    def start():
        exec(compile(job["program"], "<answer>", "exec"), module.__dict__)
        if not callable(module.__dict__.get(job["entry_point"])):
            return {"error": "error", "name": "NameError", "detail": "there is no function " + job["entry_point"]}
        return {"ready": True}

    reply(attempt(start))
    for line in calls:
        call = load(line)
        positional, named = decode(call["args"]), decode(call["kwargs"])
        reply(attempt(lambda: {"value": encode(module.__dict__[job["entry_point"]](*positional, **named))}))

main()
`;

/** Reads the job from standard input, replies from descriptor 3, writes calls to 4 and one report to 5. */
export const JUDGE: string = String.raw`
${VALUES}

def opaque(name):
    raise ValueError("a value of the type " + name)

def main():
    import builtins, json, os
    job = json.loads(sys.stdin.buffer.read())
    replies = open(3, "rb")
    confine(job)
    longest = job["reply_bytes"]

    ends = []

    class Ended(BaseException):
        """Ends the tests with an outcome, even where they catch it."""
        def __init__(self, *outcome):
            ends.append(outcome)

    def send(descriptor, fields):
        data = (json.dumps(fields) + "\n").encode()
        while data:
            data = data[os.write(descriptor, data):]

    def receive():
        line = replies.readline(longest + 1)
        if len(line) > longest:
            raise Ended("output", "it returns more than %d bytes" % longest)
        if not line.endswith(b"\n"):
            raise Ended("gone", "it ended before its tests")
        try:
            told = json.loads(line)
            if "error" not in told:
                return decode(told["value"]) if "value" in told else None
            kind, name, detail = str(told["error"]), str(told["name"])[:60], str(told["detail"])[:300]
        except Exception:
            raise Ended("error", "it sends what is no reply") from None
        if kind in ("memory", "refused"):
            raise Ended(kind, detail)
        known = getattr(builtins, name, None)
        if isinstance(known, type) and issubclass(known, Exception) and not issubclass(known, UnicodeError):
            raise known(detail)  # tests may wait for it
        raise Ended("error", name + ": " + detail)

    def candidate(*args, **kwargs):
        try:
            call = {"args": encode(list(args)), "kwargs": encode(kwargs)}
        except Exception as error:
            raise Ended("bad-data", "a test passes what cannot be sent: " + str(error)) from None
        send(4, call)
        return receive()

    def judge():
        names = {"__name__": "tests"}
        try:
            exec(compile(job["setup"], "<setup>", "exec"), names)
        except BaseException as error:
            return "bad-data", "the reference does not run: " + type(error).__name__ + ": " + str(error)
        try:
            receive()  # it is ready
            names[job["entry_point"]] = candidate
            exec(compile(job["tests"], "<tests>", "exec"), names)
            return "passed", ""
        except AssertionError as error:
            return "failed", error
        except MemoryError:
            return "memory", "it takes too much memory"
        except BaseException as error:
            return "error", type(error).__name__ + ": " + str(error)

    outcome, detail = judge()
    if ends:
        outcome, detail = ends[0]
    try:
        detail = str(detail)[:400]
    except BaseException:
        detail = "it says nothing that can be printed"
    send(5, {"outcome": outcome, "detail": detail})
    os._exit(0)

main()
`;
