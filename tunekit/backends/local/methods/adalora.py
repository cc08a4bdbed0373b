"""AdaLoRA: ranks that are cut while training, and kept through a restart."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

FILE = "rank_allocator.safetensors"
_STATE = ("ipt", "exp_avg_ipt", "exp_avg_unc")


def open_ended(wanted: dict[str, Any], model: Any) -> dict[str, Any]:
    """Give a schedule to begin with; PEFT asks for one before the number of steps is known."""
    return {"total_step": 3, "tinit": 0, "tfinal": 1}


class Allocator:
    """Cuts ranks after each optimizer step (Zhang et al. 2023, arXiv 2303.10512, algorithm 1).

    PEFT's own `update_and_allocate` writes the ranks into the config as soon as the first are
    cut; checkpoints would then hold smaller tensors than the model that takes them up again. So
    the config learns of them at the end, and the averages behind the cuts are kept beside each
    checkpoint.
    """

    def __init__(self, model: Any, *, steps: int, start: float, end: float) -> None:
        self._model = model
        self._config = model.peft_config["default"]
        self._inner = model.base_model.rankallocator
        self._config.total_step = steps
        self._config.tinit = min(int(start * steps), max(0, steps - 2))
        last = max(self._config.tinit + 1, round(end * steps))
        self._config.tfinal = max(0, steps - last)
        self._last = steps - self._config.tfinal
        self._ranks: dict[str, list[bool]] = {}

    def step(self, number: int) -> None:
        """Cut what the budget of this step does not hold; gradients are still there."""
        lora: Any = self._model.base_model.model
        if number >= self._last and not self._ranks:
            # PEFT cuts for the last time without a look at this step's gradients.
            self._inner.update_ipt(lora)
        if number < self._last:
            self._inner.update_and_allocate(lora, number)
        elif not self._ranks:
            _, self._ranks = self._inner.update_and_allocate(lora, number, force_mask=True)
        else:
            self._inner.mask_using_rank_pattern(lora, self._ranks)

    def finish(self) -> None:
        """Let the config name the ranks that are left, so that only they are saved.

        Where nothing was learnt, every importance is zero, and none would be left.
        """
        if any(any(mask) for mask in self._ranks.values()):
            self._config.rank_pattern = {
                name.replace(".default", ""): mask for name, mask in self._ranks.items()
            }

    def save(self, folder: Path) -> None:
        """Keep the averages beside a checkpoint."""
        import torch

        tensors: dict[str, Any] = {
            f"{kind}/{name}": tensor.contiguous()
            for kind in _STATE
            for name, tensor in getattr(self._inner, kind).items()
        }
        for name, mask in self._ranks.items():
            tensors[f"ranks/{name}"] = torch.tensor(mask)
        _safetensors().save_file(tensors, folder / FILE)

    def load(self, folder: Path) -> None:
        """Take the averages of a checkpoint up again."""
        found: dict[str, Any] = _safetensors().load_file(folder / FILE)
        device = self._model.device
        for kind in _STATE:
            held = {
                name.partition("/")[2]: tensor.to(device)
                for name, tensor in found.items()
                if name.startswith(f"{kind}/")
            }
            setattr(self._inner, kind, held)
        self._ranks = {
            name.partition("/")[2]: tensor.tolist()
            for name, tensor in found.items()
            if name.startswith("ranks/")
        }


def _safetensors() -> Any:
    return import_module("safetensors.torch")


def regulariser(model: Any, weight: float) -> Any:
    """Give weight x the mean of |P P' - I| over all P and Q, as PEFT has equation 4 of the paper.

    PEFT adds it to the loss that the model computes; TRL computes the loss outside of it.
    """
    import torch

    found: list[Any] = []
    for name, matrix in model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            gram = matrix @ matrix.T if "lora_A" in name else matrix.T @ matrix
            identity = torch.eye(gram.shape[0], device=gram.device, dtype=gram.dtype)
            found.append(torch.linalg.matrix_norm(gram - identity))
    return weight * torch.stack(found).mean()
