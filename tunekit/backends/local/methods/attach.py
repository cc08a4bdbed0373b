"""What a method does around the training: before the first step, in each, and after the last."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from tunekit.backends.local.job import Job, is_first
from tunekit.backends.local.methods import adalora, begin, converted, loftq, onward
from tunekit.backends.local.peft_arguments.low_rank import CONVERTED

SOFT = ("PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING")
_WEIGHTS = "trained.safetensors"


class Method(TrainerCallback):  # type: ignore[misc]
    """The method of a request on the model of a trainer.

    It is a callback of the trainer, and stands before the one that seals checkpoints.
    """

    def __init__(self, job: Job, request: dict[str, Any]) -> None:
        self._peft: dict[str, Any] = request["peft"] or {}
        self._own: dict[str, Any] = request.get("method") or {}
        self._source: str = request["model"]["source"]
        self._start: dict[str, Any] = request.get("start") or {}
        self._kind = self._peft.get("peft_type", "")
        self._initial = job.path / "initial"
        self._trainer: Any = None
        self._allocator: adalora.Allocator | None = None

    @property
    def _model(self) -> Any:
        return self._trainer.accelerator.unwrap_model(self._trainer.model)

    def begin(
        self,
        trainer: Any,
        tokenizer: Any,
        columns: Mapping[str, Sequence[Any]],
        *,
        steps: Callable[[], int],
    ) -> Iterator[str]:
        """Give the adapter what it begins with, and the trainer its optimizer; say so."""
        self._trainer = trainer
        if self._start:
            yield from onward.take(self._model, self._start)
        init = self._own.get("init")
        if init in CONVERTED:
            if init == "loftq":
                loftq.begin(self._model, self._source)
            if is_first():
                converted.keep(self._model, self._initial)
            yield f"{init}: the adapter is saved without what it begins with, at twice the rank"
        elif init == "eva":
            begin.eva(self._model, columns)
            yield "eva: the adapter begins with the principal directions of the training rows"
        elif self._kind in SOFT and init in ("data", "text"):
            text = self._own.get("init_text")
            number = int(self._peft["num_virtual_tokens"])
            ids = tokenizer(text)["input_ids"] if text else begin.first_tokens(columns, number)
            (begin.prefix if self._kind == "PREFIX_TUNING" else begin.prompt)(self._model, ids)
            yield f"the virtual tokens begin as {'the text' if text else 'the first rows'}"
        if ratio := self._own.get("lr_ratio"):
            trainer.optimizer = _loraplus(trainer, ratio)
            yield f"B learns at {ratio:g} times the rate of A"
        if self._kind == "ADALORA":
            self._adalora(trainer, steps())

    def _adalora(self, trainer: Any, steps: int) -> None:
        self._allocator = adalora.Allocator(
            self._model,
            steps=steps,
            start=self._own["prune_start"],
            end=self._own["prune_end"],
        )
        weight, inner = float(self._peft["orth_reg_weight"]), trainer.compute_loss

        def compute_loss(model: Any, *args: Any, **kwargs: Any) -> Any:
            loss = inner(model, *args, **kwargs)
            if not model.training or not weight:
                return loss
            added = adalora.regulariser(self._model, weight)
            # The loss of a part of the batch is its part of the mean, or the trainer makes it so.
            if trainer.model_accepts_loss_kwargs and kwargs.get("num_items_in_batch") is not None:
                added = added / trainer.current_gradient_accumulation_steps
            return (loss[0] + added, loss[1]) if isinstance(loss, tuple) else loss + added

        trainer.compute_loss = compute_loss

    @contextlib.contextmanager
    def as_base(self) -> Generator[None, None, None]:
        """Be the base inside the block, where the adapter is no identity at the start."""
        if self._start or self._kind in SOFT or self._own.get("init") == "loftq":
            with self._model.disable_adapter():
                yield
        else:
            yield

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Cut ranks while the gradients are there."""
        if self._allocator:
            self._allocator.step(state.global_step + 1)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Put beside a checkpoint what PEFT leaves out of it."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if not state.is_world_process_zero:
            return
        if self._allocator:
            self._allocator.save(folder)
        if self._kind == "P_TUNING":
            _safetensors().save_file(self._learning(), folder / _WEIGHTS)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take up again what was put beside a checkpoint."""
        if state.global_step:
            self.take_up(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def take_up(self, folder: Path) -> None:
        """Read what `on_save` has left in a checkpoint."""
        if self._allocator:
            self._allocator.load(folder)
        if self._kind == "P_TUNING":
            import torch

            with torch.no_grad():
                for name, tensor in _safetensors().load_file(folder / _WEIGHTS).items():
                    self._model.get_parameter(name).copy_(tensor)

    def save(self, into: Path) -> None:
        """Leave what PEFT or transformers load."""
        if self._allocator:
            self._allocator.finish()
        if self._own.get("init") in CONVERTED:
            converted.save(self._model, into, self._initial)
        else:
            with warnings.catch_warnings():
                if self._allocator:
                    # A layer may be left without any rank.
                    warnings.filterwarnings("ignore", ".*LoRA tensor.* have invalid shape")
                self._model.save_pretrained(into)

    def _learning(self) -> dict[str, Any]:
        """Give the weights that learn; the network behind P-tuning's tokens is among them."""
        found = self._model.named_parameters()
        return {name: weight.detach() for name, weight in found if weight.requires_grad}


def _safetensors() -> Any:
    return import_module("safetensors.torch")


def of(trainer: Any) -> Method:
    """Give the method of a trainer that `trainers.build` made."""
    found: Method = next(
        each for each in trainer.callback_handler.callbacks if isinstance(each, Method)
    )
    return found


def _loraplus(trainer: Any, ratio: float) -> Any:
    """Give AdamW with a rate of its own for B (arXiv 2402.12354), else as the trainer makes it."""
    peft: Any = import_module("peft.optimizers")
    kind, settings = trainer.get_optimizer_cls_and_kwargs(trainer.args, trainer.model)
    rate = settings.pop("lr")
    return peft.create_loraplus_optimizer(
        trainer.model,
        kind,
        lr=rate,
        loraplus_lr_ratio=ratio,
        loraplus_weight_decay=trainer.args.weight_decay,
        **settings,
    )
