"""Chat templates as transformers renders them, and as cllm does: every template of a folder, many conversations each.

    python templates.py FOLDER...

Reads *.jinja, and the chat_template of *.json, in the folders and below. Prints what differs and a count; fails if any does.
"""

import json, pathlib, subprocess, sys
from transformers import __version__
from transformers.utils import chat_template_utils as theirs

SHOWN = 20  # differences that are printed

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a \"city\" – today's.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Its name, e.g. Zürich"},
                    "days": {"type": ["integer", "null"], "minimum": 1, "maximum": 7.5, "default": None},
                    "unit": {"type": "string", "enum": ["C", "F"]},
                    "places": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}}}},
                },
                "required": ["city"],
            },
            "return": {"type": "string"},
        },
    },
    {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}}},
]


def call(name, arguments, id="abcdefgh1"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


SYSTEM = {"role": "system", "content": "You are brief.\n\nAnd kind: {{ never }} <b>'\"</b>."}
CALLED = [user("Weather in Zürich?"), assistant(None, tool_calls=[call("get_weather", {"city": "Zürich", "days": 2, "exact": True, "x": None, "f": 1.5})])]
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "abcdefgh1", "content": '{"t": 21}'}
THOUGHT = "<think>\nShort? Yes.\n</think>\n\nHi there."

CONVERSATIONS = {
    "one question": [user("Hi")],
    "system": [SYSTEM, user("Hi")],
    "turns": [user("Hi"), assistant("Hello."), user("And?")],
    "system and turns": [SYSTEM, user(" Hi \n"), assistant("\nHello.  "), user("And?\n"), assistant("So."), user("Then?")],
    "ends with the assistant": [user("Hi"), assistant("Hello.")],
    "letters": [user("naïve 👩‍👩‍👧‍👦 😀 中文 \u200b\t'\" \\ </s> <|im_end|>"), assistant("é…"), user("x")],
    "empty": [user(""), assistant(""), user("")],
    "call": CALLED,
    "call and result": CALLED + [RESULT],
    "call, result and answer": [SYSTEM] + CALLED + [RESULT, assistant("21 degrees."), user("Thanks")],
    "call with text": [user("Now?"), assistant("Let me see.", tool_calls=[call("now", {})]), {**RESULT, "content": "12:00", "name": "now"}],
    "arguments as text": [user("Now?"), assistant("", tool_calls=[call("get_weather", '{"city": "Bern"}')]), RESULT],
    "two calls": [user("Both?"), assistant(None, tool_calls=[call("now", {}), call("get_weather", {"city": "A"}, "abcdefgh2")]), RESULT, {**RESULT, "tool_call_id": "abcdefgh2"}],
    "call without id": [user("x"), {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "now", "arguments": {}}}]}, {"role": "tool", "content": "1"}],
    "reasoning": [user("Hi"), assistant("Hello.", reasoning_content="Short? Yes."), user("And?"), assistant("So.", reasoning_content="Hm.")],
    "thoughts in the text": [user("Hi"), assistant(THOUGHT), user("And?"), assistant(THOUGHT)],
    "reasoning and call": [user("Now?"), assistant(None, reasoning_content="I need it.", tool_calls=[call("now", {})]), RESULT, assistant("Noon.", reasoning_content="Got it.")],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]}],
    "parts of all": [{"role": r, "content": [{"type": "text", "text": r}]} for r in ("system", "user", "assistant", "user")],
    "image": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}],
    "developer": [{"role": "developer", "content": "Be brief."}, user("Hi")],
    "user twice": [user("a"), user("b")],
    "assistant first": [assistant("a"), user("b")],
    "system last": [user("a"), SYSTEM],
    "system twice": [SYSTEM, SYSTEM, user("a")],
    "strange role": [{"role": "critic", "content": "x"}, user("a")],
    "code and its result": [user("1+1?"), assistant("print(1+1)"), {"role": "ipython", "content": "2"}, {"role": "ipython", "content": [{"type": "text", "text": "2"}]}],
    "modes": [{"role": "system", "content": "Be brief. /no_think"}, user("Hi"), assistant("\nYes."), user("And? /think")],
    "own system": [{"role": "system", "content": "/system_override Only this."}, user("Hi")],
    "tools in the system": [{"role": "system", "content": "x", "tools": '[{"name": "now"}]'}, user("Hi")],
    "named": [{**user("Hi"), "name": "Ann"}, {**assistant("Hello."), "name": "Bot"}, user("x")],
    "long": [m for i in range(12) for m in (user(f"question {i}"), assistant(f"answer {i}"))] + [user("last")],
}
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
VARIABLES = [
    {},
    {"enable_thinking": False},
    {"enable_thinking": True},
    {"thinking": True, "reasoning_effort": "high"},
    {"date_string": "1 Jan 2026", "tools_in_user_message": False, "builtin_tools": ["code_interpreter", "search"]},  # Llama 3
    {"xml_tools": TOOLS, "python_tools": ["def now() -> str:\n    ..."], "custom_tools": TOOLS[:1]},  # SmolLM3
]
DOCUMENTS = [{"title": "T", "text": "A text.", "contents": "x"}, {"title": "Ü", "text": "Two\nlines."}]


def cases():
    for name, messages in CONVERSATIONS.items():
        for tools in (None, TOOLS):
            for generation in (False, True):
                for variables in VARIABLES if len(messages) < 8 else [{}]:
                    options = {"add_generation_prompt": generation, "tools": tools, "variables": variables, "continued": False}
                    yield name, {"messages": messages, **options}
        if messages[-1]["role"] in ("assistant", "user"):
            yield name, {"messages": messages, "add_generation_prompt": False, "tools": None, "variables": {}, "continued": True}
        yield name, {"messages": messages, "add_generation_prompt": True, "tools": None, "variables": {"documents": DOCUMENTS}, "continued": False}


def plain(message):
    """What transformers 5 does before: what is null is absent."""
    return {key: value for key, value in message.items() if value is not None}


def render(template, case):
    try:
        texts, _ = theirs.render_jinja_template(
            conversations=[[plain(m) for m in case["messages"]]],
            chat_template=template,
            tools=case["tools"],
            add_generation_prompt=case["add_generation_prompt"],
            continue_final_message=case["continued"],
            **{**TOKENS, **case["variables"]},
        )
        return {"text": texts[0]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}".split("\n")[0][:200]}


def templates(folders):
    for folder in folders:
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if path.suffix == ".jinja":
                yield str(path), path.read_text()
            elif path.suffix == ".json" and path.stat().st_size < 1 << 24:
                content = json.loads(path.read_text())
                found = content.get("chat_template") if isinstance(content, dict) else None
                if isinstance(found, str):
                    yield str(path), found
                for entry in found if isinstance(found, list) else []:
                    yield f"{path}#{entry['name']}", entry["template"]


def main(folders):
    found = list(templates(folders))
    work = [(name, *case, source) for name, source in found for case in cases()]
    lines = "".join(json.dumps({"template": source, "tokens": TOKENS, **case}) + "\n" for _, _, case, source in work)
    here = pathlib.Path(__file__).parent
    ran = subprocess.run(["node", str(here / "templates.mjs")], input=lines, capture_output=True, text=True, check=True)
    differing, errors, shown = {}, 0, 0
    for (name, conversation, case, source), line in zip(work, ran.stdout.splitlines(), strict=True):
        ours, other = json.loads(line), render(source, case)
        if "error" in other:
            errors += 1
        if ours.get("text") == other.get("text"):
            continue
        differing[name] = differing.get(name, 0) + 1
        if shown < SHOWN:
            shown += 1
            options = {key: case[key] for key in ("add_generation_prompt", "variables", "continued")}
            print(f"{name}: {conversation}, tools {case['tools'] is not None}, {options}\n  transformers {show(other, ours)}\n  cllm         {show(ours, other)}")
    print(f"{len(found)} templates, {len(work)} renderings ({errors} of them refused), transformers {__version__}")
    print(f"{sum(differing.values())} renderings of {len(differing)} templates differ {differing if differing else ''}")
    sys.exit(1 if differing or not found else 0)


def show(one, other):
    if "error" in one:
        return f"error: {one['error']}"
    a, b = one["text"], other.get("text", "")
    same = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return f"at {same}: {a[max(0, same - 30):same + 60]!r}"


main(sys.argv[1:])
