"""How much of a machine's products training reaches: what recipes/seven-billion.md scales its cost by.

Times square products, then forward and backward passes of a small Llama of random weights over packed sequences as cllm_torch makes
them (eager attention bias, one sequence a pass), and counts 6 operations per weight and token. Prints one JSON line.
"""

import argparse
import json
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("--hidden", type=int, default=768)
parser.add_argument("--layers", type=int, default=6)
parser.add_argument("--tokens", type=int, default=512)
parser.add_argument("--passes", type=int, default=5)
settings = parser.parse_args()

device = "cuda" if torch.cuda.is_available() else "cpu"
dtype = torch.bfloat16 if device == "cuda" else torch.float32
size = 8192 if device == "cuda" else 1024


def seconds(work, times: int) -> float:
    """The least of some runs: what other processes take of the machine is no property of it."""
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - begin)
    return min(found)


a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
peak = 2 * size**3 / seconds(lambda: a @ b, 10)
config = LlamaConfig(
    vocab_size=4096, hidden_size=settings.hidden, intermediate_size=settings.hidden * 8 // 3, num_hidden_layers=settings.layers,
    num_attention_heads=12, num_key_value_heads=12, max_position_embeddings=4096, tie_word_embeddings=True,
)  # fmt: skip
model = LlamaForCausalLM(config).to(device, dtype)
weights = sum(p.numel() for p in model.parameters())
ids = torch.randint(0, 4096, (1, settings.tokens), device=device)
bias = torch.full((settings.tokens, settings.tokens), -1e9, device=device, dtype=dtype).triu(1)[None, None]


def one_pass() -> None:
    logits = model(input_ids=ids, attention_mask=bias, use_cache=False).logits
    torch.nn.functional.cross_entropy(logits[0].float(), ids[0]).backward()
    model.zero_grad()


one_pass()
took = seconds(one_pass, settings.passes)
reached = 6 * weights * settings.tokens / took
report = {
    "benchmark": "cluster/utilization",
    "device": torch.cuda.get_device_name() if device == "cuda" else f"cpu, {torch.get_num_threads()} threads",
    "weights": weights,
    "tokensPerSecond": round(settings.tokens / took, 1),
    "productsPerSecond": peak,
    "utilization": round(reached / peak, 3),
}
print(json.dumps(report))
