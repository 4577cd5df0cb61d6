"""Reads what `cllm collect` wrote: Parquet with a checksum inside, and what the file says of its model and settings.

Knows nothing of training. Shards are refused: `cllm merge` joins them.
"""

import hashlib
import json
from dataclasses import dataclass, field

import numpy as np
import pyarrow.parquet as parquet


@dataclass
class Example:
    """A prompt, what should follow it, and the stored points of its blocks, each from its draft to its fixed point."""

    prompt_ids: np.ndarray
    completion_ids: np.ndarray
    blocks: list[list[np.ndarray]] = field(default_factory=list)


@dataclass
class Trajectories:
    examples: list[Example]
    info: dict


def _require_sealed(path: str) -> None:
    with open(path, "rb") as file:
        content = file.read()
    footer = int.from_bytes(content[-8:-4], "little") if len(content) > 44 else -1
    at = len(content) - 8 - footer - 32
    sound = content[-4:] == b"PAR1" and at >= 4
    if sound:
        sealed = hashlib.sha256(b"cllm sealed Parquet" + content[:at] + content[at + 32 :]).digest()
        sound = sealed == content[at : at + 32]
    if not sound:
        raise ValueError(f"{path} is no trajectory file of cllm, or was changed or cut since; make one with cllm collect")


def read_trajectories(path: str) -> Trajectories:
    """Reads all completions. Raises `ValueError` for a file that is damaged, is none, or is a shard."""
    _require_sealed(path)
    table = parquet.read_table(path)
    info = json.loads(table.schema.metadata[b"cllm.trajectories"])
    if "shard" in info:
        raise ValueError(f"{path} is a shard: join all of them with cllm merge, and use the whole")
    examples = [
        Example(
            np.asarray(record["prompt_ids"], dtype=np.int64),
            np.asarray(record["completion_ids"], dtype=np.int64),
            [[np.asarray(point, dtype=np.int64) for point in points] for points in record["blocks"]],
        )
        for record in table.to_pylist()
        if len(record["completion_ids"]) > 0
    ]
    if not examples:
        raise ValueError(f"{path} holds no completions: there is nothing to learn from; collect more")
    return Trajectories(examples, info)
