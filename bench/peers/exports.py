"""Proves that other programs read what `cllm export` writes, and say the same:

    transformers           the Hugging Face directory, float32 and bfloat16
    llama.cpp              GGUF files in F32, F16 and Q8_0, through node-llama-cpp
    onnxruntime            the ONNX directory, f32 and int8, with nothing of ours around it

One GGUF file is exported to all of them, and a tiny random model of every family to the first two; each continues the same texts greedily with its own tokenizer and its own
arithmetic. Float32 must give cllm's float32 tokens; low precisions round in their own ways, each program in another, so
of these the tokens before the first difference are counted. A table, then one JSON line. Nothing is fetched from a
network.
"""

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import torch  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

HERE = Path(__file__).resolve().parent
CLLM = HERE.parent.parent / "dist" / "cli" / "main.js"
QUESTION = "A train leaves at 9:40 and arrives at 13:05. How long does it take?"
TEXTS = ["The three states of matter are", "def fibonacci(n):\n    "]


def node(*args: str) -> str:
    """Run a Node.js script; what it prints."""
    done = subprocess.run(["node", *args], capture_output=True, text=True, cwd=HERE)
    if done.returncode != 0:
        sys.exit(f"node {' '.join(args)} failed: {done.stderr.strip()}")
    return done.stdout


def export(source: Path, to: Path, *flags: str) -> Path:
    """What `cllm export` makes of the model, unless it is there."""
    if not to.exists():
        print(node(str(CLLM), "export", "--model", str(source), "--to", str(to), *flags).strip(), flush=True)
    return to


def with_cllm(model: Path, texts: list[str], count: int, precision: str) -> list[list[int]]:
    """cllm's greedy tokens, one per pass."""
    flags = ["--raw", "--decoder", "ar", "--ignore-eos", "--precision", precision, "--max-new-tokens", str(count), "--json"]
    return [json.loads(node(str(CLLM), "generate", "--model", str(model), *flags, text))["tokens"] for text in texts]


def with_transformers(folder: Path, texts: list[str], count: int, dtype: torch.dtype) -> list[dict]:
    """Prompt and greedy tokens of the directory's model with the directory's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    answers = []
    for text in texts:
        ids = tokenizer(text, return_tensors="pt").input_ids
        prompt = ids[0].tolist()
        tokens, past = [], None
        with torch.no_grad():
            while len(tokens) < count:
                out = model(ids, past_key_values=past, use_cache=True)
                past = out.past_key_values
                tokens.append(int(out.logits[0, -1].argmax()))
                ids = torch.tensor([[tokens[-1]]])
        answers.append({"ids": prompt, "tokens": tokens})
    return answers


def with_onnxruntime(folder: Path, texts: list[str], count: int) -> list[list[int]]:
    """Greedy tokens of the directory's graph, by its logits."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    shapes = {i.name: i.shape for i in session.get_inputs() if i.name.startswith("past_key_values.")}
    answers = []
    for text in texts:
        ids = tokenizer(text, return_tensors="np").input_ids.astype(np.int64)
        past = {name: np.zeros([1, shape[1], 0, shape[3]], np.float32) for name, shape in shapes.items()}
        tokens, length = [], 0
        while len(tokens) < count:
            total = length + ids.shape[1]
            feeds = {
                "input_ids": ids,
                "position_ids": np.arange(length, total, dtype=np.int64)[None],
                "attention_mask": np.ones([1, total], np.int64),
                **past,
            }
            outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds)))
            tokens.append(int(outputs["logits"][0, -1].argmax()))
            past = {name: outputs[name.replace("past_key_values", "present")] for name in past}
            ids, length = np.array([[tokens[-1]]], np.int64), total
        answers.append(tokens)
    return answers


def with_llama(file: Path, texts: list[str], count: int) -> list[dict]:
    """llama.cpp's prompt and greedy tokens."""
    return json.loads(node(str(HERE / "llama-tokens.mjs"), str(file), str(count), *texts))


NEAR_TIE = 0.01  # llama.cpp's cache is in half precision, so it may choose otherwise where two logits are so close


def same_answer(answer: dict, expected: dict) -> bool:
    """Whether prompt and answer are the same, up to a near tie."""
    first = agreement([answer["tokens"]], [expected["tokens"]])[0]
    tie = first == len(expected["tokens"]) or expected["gaps"][first] < NEAR_TIE
    return answer["ids"] == expected["ids"] and tie


def families(folder: Path) -> list[dict]:
    """Every family in transformers and llama.cpp: prompts and answers must be cllm's."""
    node(str(HERE / "families.mjs"), str(folder))
    made = json.loads((folder / "expected.json").read_text())
    texts, count = made["texts"], made["count"]
    results = []
    for name, expected in made["answers"].items():
        for reader, answers in [
            ("transformers float32", with_transformers(folder / name, texts, count, torch.float32)),
            ("llama.cpp F32", with_llama(folder / f"{name}.gguf", texts, count)),
        ]:
            ok = all(same_answer(answer, wanted) for answer, wanted in zip(answers, expected))
            results.append({"reader": reader, "read": name, "must": True, "ok": ok})
            print(f"{reader:22} {name:18} {'same' if ok else 'DIFFERENT'}", flush=True)
    return results


def tokens_of(answers: list[dict]) -> list[list[int]]:
    """The answers without their prompts."""
    return [answer["tokens"] for answer in answers]


def agreement(answers: list[list[int]], expected: list[list[int]]) -> list[int]:
    """Tokens before the first difference, of each answer."""
    return [
        next((i for i, (a, b) in enumerate(zip(answer, wanted)) if a != b), len(wanted))
        for answer, wanted in zip(answers, expected)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path, help="the GGUF file to export")
    parser.add_argument("out", type=Path, help="folder to export to; about 2.5 GB for 135M parameters")
    parser.add_argument("--tokens", type=int, default=32, help="tokens of each answer")
    args = parser.parse_args()
    if not args.gguf.is_file():
        sys.exit(f"{args.gguf} is not a file: name the GGUF file to export.")
    if not CLLM.is_file():
        sys.exit(f"{CLLM} is missing: run `npm run build` in the repository's root.")
    source, out, count = args.gguf.resolve(), args.out.resolve(), args.tokens
    out.mkdir(parents=True, exist_ok=True)

    hf = export(source, out / "hf-f32")
    half = export(source, out / "hf-bf16", "--dtype", "bf16")
    ggufs = {kind: export(source, out / f"model.{kind}.gguf", "--dtype", kind) for kind in ["f32", "f16", "q8_0"]}
    again = export(hf, out / "again.f32.gguf")  # its tokenizer comes from tokenizer.json
    onnx = {kind: export(source, out / f"onnx-{kind}", "--format", "onnx", "--dtype", kind) for kind in ["f32", "int8"]}

    messages = [{"role": "user", "content": QUESTION}]
    chat = AutoTokenizer.from_pretrained(hf).apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    texts = [*TEXTS, chat]
    fp32 = with_cllm(source, texts, count, "fp32")
    int8 = with_cllm(source, texts, count, "int8")
    q8_0 = with_cllm(ggufs["q8_0"], texts, count, "fp32")  # the same rounded weights
    rows = [  # reader, what it read, its tokens, those they are held against, whether they must be the same
        ("cllm fp32", hf, with_cllm(hf, texts, count, "fp32"), fp32, True),
        ("cllm fp32", again, with_cllm(again, texts, count, "fp32"), fp32, True),
        ("transformers float32", hf, tokens_of(with_transformers(hf, texts, count, torch.float32)), fp32, True),
        ("transformers bfloat16", half, tokens_of(with_transformers(half, texts, count, torch.bfloat16)), fp32, False),
        ("llama.cpp F32", ggufs["f32"], tokens_of(with_llama(ggufs["f32"], texts, count)), fp32, True),
        ("llama.cpp F32", again, tokens_of(with_llama(again, texts, count)), fp32, True),
        ("llama.cpp F16", ggufs["f16"], tokens_of(with_llama(ggufs["f16"], texts, count)), fp32, False),
        ("llama.cpp Q8_0", ggufs["q8_0"], tokens_of(with_llama(ggufs["q8_0"], texts, count)), q8_0, False),
        ("onnxruntime fp32", onnx["f32"], with_onnxruntime(onnx["f32"], texts, count), fp32, True),
        ("onnxruntime int8", onnx["int8"], with_onnxruntime(onnx["int8"], texts, count), int8, False),
    ]
    results = families(out / "families")
    for reader, path, answers, expected, must in rows:
        same = agreement(answers, expected)
        ok = not must or all(n == count for n in same)
        results.append({"reader": reader, "read": path.name, "same": same, "of": count, "must": must, "ok": ok})
        verdict = ("same" if ok else "DIFFERENT") if must else "counted"
        print(f"{reader:22} {path.name:18} {verdict:10} {', '.join(map(str, same))} of {count} tokens")
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "onnxruntime")}
    print(json.dumps({"model": source.stem, "results": results, "versions": versions}))
    sys.exit(0 if all(result["ok"] for result in results) else 1)


if __name__ == "__main__":
    main()
