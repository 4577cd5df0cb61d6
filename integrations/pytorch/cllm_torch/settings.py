"""What a run is told: the options of `cllm train` by the same names and with the same defaults (src/train/settings.ts).

Knows nothing of how they are used.
"""

import json
from dataclasses import asdict, dataclass, fields

LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass
class Settings:
    objective: str = "ar"
    lossless: bool = False
    points: str = "on-policy"
    consistency: str = "global"
    loss: str = "hard"
    block_size: int = 16
    points_per_example: int = 4
    leading_points: int = 0
    refinements: int = 3
    draft_token: int | None = None
    row_decay: float = 1.0
    ar_weight: float = 1.0
    prompt_weight: float = 0.0
    label_smoothing: float = 0.0
    lora_rank: int = 0
    lora_alpha: float | None = None
    lora_targets: tuple[str, ...] = LORA_TARGETS
    learning_rate: float = 2e-4
    warmup_steps: int = 20
    final_share: float = 0.0
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    steps: int = 1000
    sequence_length: int = 512
    batch: int = 1
    keep_together: int = 1
    accumulate: int = 1
    seed: int = 0
    held_out: int = 32
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        choices = {
            "objective": ("ar", "consistency"),
            "points": ("on-policy", "stored"),
            "consistency": ("global", "local", "progressive"),
            "loss": ("hard", "kl"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)}")
        if self.lossless and (self.objective != "consistency" or self.lora_rank == 0):
            raise ValueError("lossless training is of objective consistency and makes an adapter: give lora_rank too")
        if self.lossless and (self.points == "stored" or self.loss == "kl" or self.consistency != "global"):
            raise ValueError("lossless training knows on-policy points, loss hard and consistency global: omit others")

    @property
    def alpha(self) -> float:
        return 2.0 * self.lora_rank if self.lora_alpha is None else self.lora_alpha

    def to_json(self) -> str:
        return json.dumps({_camel(key): value for key, value in asdict(self).items()}, indent=2)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def from_json(values: dict) -> Settings:
    """Out of camelCase or snake_case keys. Raises `ValueError` for an unknown one."""
    known = {_camel(each.name): each.name for each in fields(Settings)}
    given = {}
    for key, value in values.items():
        name = known.get(key, key)
        if name not in known.values():
            raise ValueError(f"there is no setting {key}; there are {', '.join(known)}")
        given[name] = tuple(value) if isinstance(value, list) else value
    return Settings(**given)
