"""The training loop on accelerate: DDP or FSDP by its own configuration, one process or many, with the same losses.

Every process makes the whole batch, which is a function of seed and place, and runs its share of the packs. Knows no flags.
"""

import json
import math
import os
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from .hashing import uniforms
from .packs import Layout, Pack, Shuffled, lay_out, make_batch, split_examples, total_weights, usable_examples
from .settings import Settings
from .trajectories import read_trajectories

BETAS, EPSILON = (0.9, 0.95), 1e-8
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja", "generation_config.json",
)  # fmt: skip


def learning_rate_at(step: int, settings: Settings) -> float:
    """A linear warm-up, then half a cosine. Steps count from 1."""
    if step < settings.warmup_steps:
        return settings.learning_rate * step / settings.warmup_steps
    rest = max(1, settings.steps - settings.warmup_steps)
    done = min(1.0, (step - settings.warmup_steps) / rest)
    share = settings.final_share
    return settings.learning_rate * (share + (1 - share) * 0.5 * (1 + math.cos(math.pi * done)))


class Rows:
    """Lets an adapter see draft rows only, where training is lossless: all others are the base's."""

    def __init__(self, model: torch.nn.Module, gated: bool) -> None:
        self.mask: torch.Tensor | None = None
        if not gated:
            return
        for name, module in model.named_modules():
            if name.endswith(".lora_A.default"):
                module.register_forward_pre_hook(lambda _, inputs: (inputs[0] * self.mask.to(inputs[0].dtype),))


class Run:
    """One model in training."""

    def __init__(self, model_path: str, settings: Settings, accelerator: Accelerator, dtype: torch.dtype) -> None:
        self.settings, self.accelerator = settings, accelerator
        self.config = AutoConfig.from_pretrained(model_path)
        model = AutoModelForCausalLM.from_pretrained(model_path, dtype=dtype, attn_implementation="sdpa")
        if settings.lora_rank > 0:
            model = _with_adapter(model, settings)
        self.rows = Rows(model, settings.lossless)
        window = getattr(self.config, "sliding_window", None)
        self.window = window if getattr(self.config, "use_sliding_window", True) else None
        matrices = [p for p in model.parameters() if p.requires_grad and p.dim() > 1]
        others = [p for p in model.parameters() if p.requires_grad and p.dim() <= 1]
        groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=settings.learning_rate, betas=BETAS, eps=EPSILON
        )
        self.model, self.optimizer = accelerator.prepare(model, optimizer)

    def _logits(self, layout: Layout) -> torch.Tensor:
        """`(R, V)`, in float32."""
        device = self.accelerator.device
        dtype = next(self.model.parameters()).dtype
        self.rows.mask = torch.from_numpy(layout.drafts).to(device)[None, :, None]
        bias = torch.from_numpy(layout.bias).to(device)
        output = self.model(
            input_ids=torch.from_numpy(layout.ids).to(device)[None],
            position_ids=torch.from_numpy(layout.positions).to(device)[None],
            attention_mask=bias.to(dtype)[None, None],
            logits_to_keep=torch.from_numpy(layout.rows).to(device),
            use_cache=False,
        )
        return output.logits[0].float()

    def predict(self, packs: list[Pack]) -> np.ndarray:
        """What comes after each row that counts, pack by pack."""
        found = []
        with torch.no_grad():
            for pack in packs:
                layout = lay_out(pack, {"ar": 1.0, "consistency": 1.0}, self.window)
                following = self._logits(layout).argmax(dim=-1).cpu().numpy()
                found.append(following[: len(layout.terms)])
        return np.concatenate(found)

    def loss(self, layout: Layout) -> tuple[torch.Tensor, torch.Tensor]:
        """The pack's part of the loss, and the cross entropies of its rows."""
        logs = torch.log_softmax(self._logits(layout), dim=-1)
        device = logs.device
        on = lambda values: torch.from_numpy(np.asarray(values, dtype=np.float32)).to(device)  # noqa: E731
        targets = torch.from_numpy(layout.targets).to(device)
        entropies = -logs.gather(1, targets[:, None])[:, 0]
        smoothing = self.settings.label_smoothing
        smoothed = entropies if smoothing == 0 else (1 - smoothing) * entropies - smoothing * logs.mean(dim=-1)
        loss = (smoothed * on(layout.weights)).sum()
        if layout.divergences.any():
            teacher = logs[torch.from_numpy(layout.teachers).to(device)].detach()
            apart = (teacher.exp() * (teacher - logs)).sum(dim=-1)
            loss = loss + (apart * on(layout.divergences)).sum()
        return loss, entropies.detach()

    def step(self, number: int, packs: list[Pack]) -> dict:
        """One optimizer step over the packs of all processes."""
        settings, accelerator = self.settings, self.accelerator
        totals = total_weights(packs)
        wanted = {"ar": 1.0 if settings.objective == "ar" else settings.ar_weight, "consistency": 1.0}
        factors = {term: wanted[term] / totals[term] if totals[term] > 0 else 0.0 for term in wanted}
        world, rank = accelerator.num_processes, accelerator.process_index
        turns = -(-len(packs) // world)
        # Loss, and for each term the weighted sum of cross entropies and of weights.
        sums = torch.zeros(5, dtype=torch.float64, device=accelerator.device)
        for turn in range(turns):
            index = turn * world + rank
            # A process without a pack of its own takes part with one that counts nothing.
            present = index < len(packs)
            own = factors if present else {"ar": 0.0, "consistency": 0.0}
            layout = lay_out(packs[index if present else 0], own, self.window)
            last = turn == turns - 1
            with _passing(accelerator, self.model, last):
                loss, entropies = self.loss(layout)
                accelerator.backward(loss * world)  # gradients are averaged over the processes
            if not present:
                continue
            sums[0] += loss.detach().double()
            weights = layout.weights + layout.divergences
            for row, term in enumerate(layout.terms):
                at = 1 if term == "ar" else 3
                sums[at] += weights[row] * entropies[row].double()
                sums[at + 1] += weights[row]
        sums = accelerator.reduce(sums, reduction="sum").cpu()
        if not torch.isfinite(sums[0]):
            raise FloatingPointError(f"the loss of step {number} is {float(sums[0])}: lower the learning rate")
        limit = settings.clip_norm if settings.clip_norm > 0 else float("inf")
        norm = accelerator.clip_grad_norm_(self.model.parameters(), limit)
        rate = learning_rate_at(number, settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        mean = lambda total, weight: None if weight == 0 else float(total / weight)  # noqa: E731
        return {
            "type": "step", "step": number, "loss": float(sums[0]), "arLoss": mean(sums[1], sums[2]),
            "consistencyLoss": mean(sums[3], sums[4]), "gradientNorm": float(norm), "learningRate": rate,
            "tokens": sum(len(part.tokens) for pack in packs for part in pack),
        }  # fmt: skip


def _passing(accelerator: Accelerator, model: torch.nn.Module, last: bool):
    """Gradients are exchanged with the last pack of a step."""
    return torch.enable_grad() if last else accelerator.no_sync(model)


def _with_adapter(model: torch.nn.Module, settings: Settings) -> torch.nn.Module:
    """A fresh adapter with the numbers that `cllm train` draws for this seed."""
    lora = LoraConfig(
        r=settings.lora_rank, lora_alpha=settings.alpha, target_modules=list(settings.lora_targets), task_type="CAUSAL_LM"
    )
    adapted = get_peft_model(model, lora)
    index = 0
    with torch.no_grad():
        for layer in range(model.config.num_hidden_layers):
            # In the order of src/model/tensors.ts.
            for target in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"):
                if target not in settings.lora_targets:
                    continue
                part = "self_attn" if target in ("q_proj", "k_proj", "v_proj", "o_proj") else "mlp"
                weight = adapted.get_submodule(f"base_model.model.model.layers.{layer}.{part}.{target}").lora_A["default"].weight
                bound = math.sqrt(3 / weight.shape[1])
                drawn = bound * (2 * uniforms(settings.seed, index, weight.numel()) - 1)
                weight.copy_(torch.from_numpy(drawn.astype(np.float32)).reshape(weight.shape))
                index += 2  # A and B
    return adapted


def train(model_path: str, trajectories: str, out: str, settings: Settings, bf16: bool = False) -> list[dict]:
    """Trains and writes the folder: settings.json, log.jsonl, and final/, which `cllm` loads. Returns the steps' records."""
    accelerator = Accelerator(cpu=not torch.accelerator.is_available(), mixed_precision="bf16" if bf16 else None)
    found = read_trajectories(trajectories)
    stored = found.info["settings"]["block_size"]
    if settings.points == "stored" and settings.objective == "consistency" and stored != settings.block_size:
        raise ValueError(f"the points of {trajectories} are of {stored} tokens: give block_size {stored}")
    run = Run(model_path, settings, accelerator, torch.float32)
    context = run.config.max_position_embeddings
    training, _ = split_examples(usable_examples(found.examples, settings, context), settings.held_out, settings.seed)
    source = Shuffled(training, settings.seed, settings.keep_together)
    folder = Path(out)
    _begin(folder, settings, accelerator)
    records, place = _resume(folder, accelerator)
    for number in range(len(records) + 1, settings.steps + 1):
        began = time.perf_counter()
        packs, skipped = [], 0
        for _ in range(settings.accumulate):
            more, place, passed = make_batch(source, place, settings, run.predict)
            packs += more
            skipped += passed
        record = run.step(number, packs) | {"seconds": time.perf_counter() - began, "skipped": skipped}
        records.append(record)
        if accelerator.is_main_process:
            with open(folder / "log.jsonl", "a") as log:
                log.write(json.dumps(record) + "\n")
        if number % settings.checkpoint_every == 0 and number < settings.steps:
            _checkpoint(folder, number, place, accelerator)
    _save(run, model_path, folder / "final", found.info)
    return records


def _begin(folder: Path, settings: Settings, accelerator: Accelerator) -> None:
    """Makes the folder, or finds the run of the same settings in it. Raises `ValueError` for another run."""
    path = folder / "settings.json"
    if path.exists() and path.read_text() != settings.to_json() + "\n":
        raise ValueError(f"{folder} holds a run with other settings: give the same ones to go on, or another folder")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(settings.to_json() + "\n")
    accelerator.wait_for_everyone()


def _checkpoint(folder: Path, step: int, place: int, accelerator: Accelerator) -> None:
    """Weights and moments as accelerate keeps them. The file that names them is replaced when they are whole."""
    name = f"step-{step:08d}"
    accelerator.save_state(str(folder / "checkpoints" / name))
    accelerator.wait_for_everyone()
    if not accelerator.is_main_process:
        return
    partial = folder / "checkpoints" / "latest.incomplete"
    partial.write_text(json.dumps({"checkpoint": name, "step": step, "place": place}))
    os.replace(partial, folder / "checkpoints" / "latest.json")
    for other in (folder / "checkpoints").glob("step-*"):
        if other.name != name:
            shutil.rmtree(other, ignore_errors=True)


def _resume(folder: Path, accelerator: Accelerator) -> tuple[list[dict], int]:
    """The records of the steps that are done, and the source's place; the log is cut to them."""
    latest, log = folder / "checkpoints" / "latest.json", folder / "log.jsonl"
    if not latest.exists():
        if accelerator.is_main_process:
            log.write_text("")
        return [], 0
    state = json.loads(latest.read_text())
    accelerator.load_state(str(folder / "checkpoints" / state["checkpoint"]))
    lines = log.read_text().splitlines(keepends=True)[: state["step"]]
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        log.write_text("".join(lines))
    return [json.loads(line) for line in lines], state["place"]


def _save(run: Run, model_path: str, target: Path, info: dict) -> None:
    """A Hugging Face directory, or a PEFT adapter: beside its name first, then by its name."""
    accelerator, settings = run.accelerator, run.settings
    state = accelerator.get_state_dict(run.model)
    if accelerator.is_main_process:
        partial = target.with_name(f"{target.name}.incomplete")
        shutil.rmtree(partial, ignore_errors=True)
        model = accelerator.unwrap_model(run.model)
        if settings.lora_rank == 0:
            if settings.draft_token is not None:
                model.config.cllm_draft_token_id = settings.draft_token
                if settings.objective == "consistency" and settings.leading_points > 0:
                    model.config.cllm_leading_draft = True
            model.save_pretrained(partial, state_dict=state)
            for name in TOKENIZER_FILES:
                if (Path(model_path) / name).exists():
                    shutil.copyfile(Path(model_path) / name, partial / name)
        else:
            model.save_pretrained(partial, state_dict=state)
            _write_adapter_facts(partial, settings)
        (partial / "cllm_training.json").write_text(json.dumps({"settings": json.loads(settings.to_json()), "trajectories": info}))
        shutil.rmtree(target, ignore_errors=True)
        os.replace(partial, target)
    accelerator.wait_for_everyone()


def _write_adapter_facts(folder: Path, settings: Settings) -> None:
    """What decoders draft and where, and whether it is a draft adapter: the file beside PEFT's own."""
    facts = {"draft_adapter": True} if settings.lossless else {}
    if settings.draft_token is not None:
        facts["draft_token_id"] = settings.draft_token
    if not facts:
        return
    if settings.draft_token is not None and settings.leading_points > 0 and not settings.lossless:
        facts["leading_draft"] = True
    (folder / "cllm.json").write_text(json.dumps(facts, indent=2) + "\n")
