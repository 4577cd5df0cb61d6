"""`cllm-torch`: the flags of `cllm train` that its loop takes. `accelerate launch -m cllm_torch ...` or `torchrun -m cllm_torch ...`."""

import argparse
import sys
from dataclasses import fields

from .settings import Settings, from_json


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="cllm-torch", description="Trains on GPUs what cllm collect wrote.")
    parser.add_argument("--model", required=True, help="Hugging Face directory")
    parser.add_argument("--trajectories", required=True, help="Parquet of cllm collect")
    parser.add_argument("--out", required=True, help="folder for settings, log and weights")
    parser.add_argument("--bf16", action="store_true", help="mixed precision; losses differ from cllm train then")
    for each in fields(Settings):
        flag = f"--{each.name.replace('_', '-')}"
        if each.type is bool or each.type == "bool":
            parser.add_argument(flag, action="store_true", default=None)
        elif each.name == "lora_targets":
            parser.add_argument(flag, type=lambda text: text.split(","), help="matrices, with commas between")
        else:
            kind = int if "int" in str(each.type) else float if "float" in str(each.type) else str
            parser.add_argument(flag, type=kind, help=f"default: {each.default}")
    given = vars(parser.parse_args(arguments))
    model, trajectories, out, bf16 = (given.pop(name) for name in ("model", "trajectories", "out", "bf16"))
    try:
        settings = from_json({key: value for key, value in given.items() if value is not None})
        from .train import train  # with PyTorch, which the help does without

        train(model, trajectories, out, settings, bf16)
    except (ValueError, FloatingPointError, OSError) as error:
        print(f"cllm-torch: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
