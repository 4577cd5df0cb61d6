"""Makes the files beside this one: for each family what transformers computes of tiny models with seeded weights, in float32:
logits of every position, the mean cross entropy of the next tokens, and the norm of its gradient by each tensor.

    python make.py FOLDER [NAME...]

Weights are functions of a tensor's name and an element's index (`seeded-weights.ts` makes the same), so no file holds them.
"""

import json
import os
import sys

import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

SHAPE = dict(
    vocab_size=24, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    intermediate_size=20, max_position_embeddings=64, bos_token_id=None, eos_token_id=1, pad_token_id=None,
)  # fmt: skip
GEMMA = dict(**SHAPE, head_dim=16, query_pre_attn_scalar=20, sliding_window=5)
FACTORS = dict(short_factor=[1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0], long_factor=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64, rope_theta=10000.0)
MODELS = {
    "smollm3": ("smollm3", dict(SHAPE, num_hidden_layers=5, head_dim=16, tie_word_embeddings=True)),
    "granite": (
        "granite",
        dict(
            SHAPE, hidden_size=64, embedding_multiplier=6.0, attention_multiplier=0.125, residual_multiplier=0.22,
            logits_scaling=3.0, tie_word_embeddings=True,
        ),
    ),  # fmt: skip
    "granite4": (
        "granitemoehybrid",
        dict(
            SHAPE, hidden_size=64, embedding_multiplier=6.0, attention_multiplier=0.125, residual_multiplier=0.22,
            logits_scaling=3.0, tie_word_embeddings=True, shared_intermediate_size=20, num_local_experts=0,
            layer_types=["full_attention"] * 2, position_embedding_type="rope", mamba_n_heads=8, mamba_d_head=16,
        ),
    ),  # fmt: skip
    "phi3": ("phi3", dict(SHAPE, hidden_size=64, sliding_window=6)),
    "phi3-longrope": (
        "phi3",
        dict(
            SHAPE, hidden_size=64, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=128, original_max_position_embeddings=32,
            partial_rotary_factor=0.5, tie_word_embeddings=True,
            rope_scaling=dict(rope_type="longrope", original_max_position_embeddings=32, **FACTORS),
        ),
    ),  # fmt: skip
    "phi3-longrope-long": (  # more tokens than the original length
        "phi3",
        dict(
            SHAPE, hidden_size=64, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=32, original_max_position_embeddings=8,
            partial_rotary_factor=0.5, tie_word_embeddings=True,
            rope_scaling=dict(rope_type="longrope", original_max_position_embeddings=8, **FACTORS),
        ),
    ),  # fmt: skip
    "olmo2": ("olmo2", dict(SHAPE, hidden_size=64, rope_theta=500000.0)),
    "gemma2": ("gemma2", dict(GEMMA, attn_logit_softcapping=5.0, final_logit_softcapping=3.0)),
    "gemma3": ("gemma3_text", dict(GEMMA, num_hidden_layers=7)),
    "gemma3-wide": ("gemma3_text", dict(GEMMA, head_dim=256, num_key_value_heads=1)),
    "qwen2-yarn": ("qwen2", dict(SHAPE, hidden_size=64, rope_parameters=YARN)),
    "qwen2-windows": ("qwen2", dict(SHAPE, hidden_size=64, sliding_window=4, use_sliding_window=True, max_window_layers=1)),
}
TOKENS = 14


def seeded(name: str, count: int) -> np.ndarray:
    """Numbers in [-1, 1)."""
    seed = 2166136261
    for byte in name.encode():
        seed = ((seed ^ byte) * 16777619) & 0xFFFFFFFF
    x = (np.arange(count, dtype=np.uint64) * 0x9E3779B9 + seed).astype(np.uint32)
    x ^= x >> 16
    x = (x.astype(np.uint64) * 0x85EBCA6B).astype(np.uint32)
    x ^= x >> 13
    x = (x.astype(np.uint64) * 0xC2B2AE35).astype(np.uint32)
    x ^= x >> 16
    return (x >> 8).astype(np.float32) * np.float32(2**-23) - np.float32(1)


def weight(name: str, shape: torch.Size, norms_add_one: bool) -> torch.Tensor:
    values = torch.from_numpy(seeded(name, shape.numel())).reshape(shape)
    if "norm" in name:
        return values * 0.25 + (0 if norms_add_one else 1)
    return values if "embed_tokens" in name else values * 0.25


# Matrices that a class has in one, and those that the files beside have
PACKED = {"shared_mlp.input_linear": ["mlp.gate_proj", "mlp.up_proj"], "shared_mlp.output_linear": ["mlp.down_proj"]}


def parts(key: str, value: torch.Tensor):
    """Names and rows of what a tensor is made of."""
    for packed, names in PACKED.items():
        if packed in key:
            return [(key.replace(packed, name), rows) for name, rows in zip(names, value.chunk(len(names)))]
    return [(key, value)]


def main() -> None:
    for name, (kind, settings) in MODELS.items():
        if sys.argv[2:] and name not in sys.argv[2:]:
            continue
        config = AutoConfig.for_model(kind, **settings, attn_implementation="eager")
        model = AutoModelForCausalLM.from_config(config).float().eval()
        with torch.no_grad():
            for key, value in model.named_parameters():
                for part, rows in parts(key, value):
                    rows.copy_(weight(part, rows.shape, kind.startswith("gemma")))
        ids = torch.from_numpy((np.arange(1, TOKENS + 1) * 7 % settings["vocab_size"]).astype(np.int64))[None]
        logits = model(ids).logits[0]
        loss = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:])
        loss.backward()
        content = {
            "made_with": f"torch {torch.__version__}, transformers {transformers.__version__}",
            "config": {"model_type": kind, "architectures": [type(model).__name__], **settings},
            "ids": ids[0].tolist(),
            "loss": loss.item(),
            "gradients": {
                part: round(rows.double().norm().item(), 9)
                for key, value in model.named_parameters()
                for part, rows in parts(key, value.grad)
            },
            "logits": [[round(x, 6) for x in row] for row in logits.double().tolist()],
        }
        with open(os.path.join(sys.argv[1], f"{name}.json"), "w") as file:
            json.dump(content, file)
            file.write("\n")
        print(name, os.path.getsize(file.name))


main()
