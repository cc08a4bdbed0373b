"""Put our passes in the place where TRL's trainers ask a model for log-probabilities.

TRL calls `model(**batch, labels=labels, fused_lm_head=True)` and computes every loss and figure of
its logs from what comes back, for SFT as for preferences. Such a call is answered here; every other
call, of an evaluation or a generation, goes where it went before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from trl.trainer.utils import FusedCausalLMOutput

from tunekit.backends.local.fast.decoder import Pass
from tunekit.backends.local.fast.devices import attention, operations
from tunekit.backends.local.fast.gathering import gather
from tunekit.backends.local.fast.lending import Adapters, lend
from tunekit.backends.local.fast.memory import Memory
from tunekit.backends.local.fast.mixed import Mixed
from tunekit.backends.local.fast.modules import ADAPTER, REFERENCE, references
from tunekit.backends.local.fast.network import Network
from tunekit.backends.local.fast.operations import Scores
from tunekit.backends.local.fast.reading import read
from tunekit.backends.local.fast.stream import IGNORED, Row, Stream, join
from tunekit.backends.local.fast.unsuited import Unsuited
from tunekit.backends.local.heap import give_back
from tunekit.backends.local.kernels import OBJECTIVES
from tunekit.errors import SpecError

_READ = {"input_ids", "attention_mask", "position_ids", "labels", "use_cache"}
_TOLD_AGAIN = {"cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "seq_idx"}
"""What TRL's collator says of joined rows and `position_ids` says too."""


def install(trainer: Any, request: dict[str, Any]) -> Iterator[str]:
    """Let a trainer's model be computed by our passes where they know how; say which it is.

    Raises:
        SpecError: `kernels="fast"` was asked for and cannot be had.
    """
    wanted = request.get("kernels", "reference")
    if wanted == "reference":
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    recompute = bool(request["trainer"]["gradient_checkpointing"])
    try:
        _check(request, model)
        run, notes = operations(model)
        network = read(model, run, recompute=recompute, attention=attention(model))
    except Unsuited as why:
        if wanted == "fast":
            raise SpecError(
                f"backend.kernels: fast does not train this model: {why}; "
                "leave kernels at auto, or ask for reference"
            ) from None
        yield f"kernels: reference, since {why}"
        return
    answer(model, network)
    gather(trainer, request)
    give_back()
    yield f"kernels: fast{notes}"


def mix(models: Sequence[Any], requests: Sequence[dict[str, Any]]) -> tuple[Mixed, str]:
    """Read the models of several trainings on one base; gives what is to be said of it.

    Raises:
        SpecError: they are not understood.
    """
    recompute = any(request["trainer"]["gradient_checkpointing"] for request in requests)
    try:
        for model, request in zip(models, requests, strict=True):
            _check(request, model)
        run, notes = operations(models[0])
        mixed = Mixed(models, run, recompute=recompute, attention=attention(models[0]))
    except Unsuited as why:
        raise SpecError(
            f"model: several adapters cannot be trained at once on this one: {why}; "
            "train them one after another, with `tunekit run`"
        ) from None
    give_back()
    return mixed, f"kernels: fast, mixed with {len(models) - 1} other trainings{notes}"


class Passes(Protocol):
    """Who computes: a network, or one tenant of it."""

    @property
    def shares(self) -> bool:
        """Whether rows may share what they begin with."""
        ...

    @property
    def drops(self) -> bool:
        """Whether an adapter has a dropout."""
        ...

    @property
    def parameters(self) -> Sequence[Tensor]:
        """A and B of every adapter."""
        ...

    def log_probs(self, stream: Stream, *, training: bool = False) -> Scores:
        """Score the labels of a stream."""
        ...

    def reference(self, stream: Stream, instead: Sequence[Tensor] | None = None) -> Scores:
        """Score them by the base, or by it and adapters in the place of those that learn."""
        ...

    def reading(self, *, adapted: bool) -> tuple[Network, Callable[[Stream], Pass]]:
        """Give what reads streams by the adapters as they are now, or by the base alone."""
        ...


def answer(model: Any, network: Passes) -> None:
    """Answer a PEFT model's calls for log-probabilities from a network read from it."""
    base = model.get_base_model()
    before: Callable[..., Any] = base.forward
    ours = _Answers(base, network)

    @functools.wraps(before)
    def forward(*args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
        if not fused_lm_head:
            return before(*args, **kwargs)
        found = None if args else ours(kwargs)
        return before(*args, fused_lm_head=True, **kwargs) if found is None else found

    base.forward = forward
    lend(base, network)


class _Answers:
    """Answers calls, or gives None for one that it does not understand."""

    def __init__(self, base: Any, network: Passes) -> None:
        self.base, self.network = base, network
        self.adapters = Adapters(base)
        self.reference = {ADAPTER: Memory(), REFERENCE: Memory()}

    def __call__(self, call: dict[str, Any]) -> FusedCausalLMOutput | None:
        # PEFT passes on every argument that its own forward has, given or not.
        call = {name: value for name, value in call.items() if value is not None}
        labels = call.get("labels")
        known = _READ | _TOLD_AGAIN
        if labels is None or call.get("input_ids") is None or not call.keys() <= known:
            return None
        if self.adapters.active is None:
            return None
        mask = labels[:, 1:] != IGNORED
        batch = rows(
            call["input_ids"], labels, call.get("attention_mask"), call.get("position_ids")
        )
        if not 0 < sum(row.counted for row in batch) == int(mask.sum()):
            return None
        with torch.autocast(labels.device.type, enabled=False):
            scores = self._scores(batch, labels.device)
        return _output(scores, mask)

    def _scores(self, batch: list[Row], device: torch.device) -> Scores:
        frozen = self.adapters.frozen
        if not frozen and self.adapters.active == ADAPTER:
            training = bool(self.base.training)
            # A dropout would fall on the same places of all rows that begin alike.
            share = self.network.shares and not (training and self.network.drops)
            stream = join(batch, share=share, device=device)
            return self.network.log_probs(stream, training=training)

        def compute() -> Tensor:
            stream = join(batch, share=self.network.shares, device=device)
            twins = None if frozen else references(self.base, self.network.parameters)
            return self.network.reference(stream, twins).log_probs

        # What is asked is the base, or the adapter that the training began with.
        kind = ADAPTER if frozen else REFERENCE
        return Scores(self.reference[kind].get(batch, compute))


def rows(
    tokens: Tensor, labels: Tensor, attention_mask: Tensor | None, position_ids: Tensor | None
) -> list[Row]:
    """Take a batch of TRL's apart: padded rows, or rows joined in one with positions from 0 on."""
    found: list[Row] = []
    for n, (ids, marks) in enumerate(zip(tokens, labels, strict=True)):
        if attention_mask is not None:
            there = attention_mask[n].bool()
            found.append(_row(ids[there], marks[there]))
        elif position_ids is not None:
            place = position_ids[n if len(position_ids) > 1 else 0]
            starts = cast("list[int]", (place == 0).nonzero().flatten().tolist())
            for start, stop in zip(starts, [*starts[1:], len(ids)], strict=True):
                found.append(_row(ids[start:stop], marks[start:stop]))
        else:
            found.append(_row(ids, marks))
    return found


def _row(tokens: Tensor, labels: Tensor) -> Row:
    return Row(cast("list[int]", tokens.tolist()), cast("list[int]", labels.tolist()))


def _output(scores: Scores, mask: Tensor) -> FusedCausalLMOutput:
    """Spread figures of labels over the places of the labels in the batch."""
    fields = {
        name: None if value is None else _spread(value, mask)
        for name, value in vars(scores).items()
    }
    if fields["is_top1"] is not None:
        fields["is_top1"] = fields["is_top1"].bool()
    return FusedCausalLMOutput(**fields, label_mask=mask)


def _spread(values: Tensor, mask: Tensor) -> Tensor:
    return torch.zeros(mask.shape, dtype=values.dtype, device=mask.device).masked_scatter(
        mask, values
    )


def _check(request: dict[str, Any], model: Any) -> None:
    objective: str = request["objective"]
    peft: dict[str, Any] = request["peft"] or {}
    if objective not in OBJECTIVES:
        raise Unsuited(f"{objective} is no objective of log-probabilities alone")
    if peft.get("peft_type") != "LORA" or not hasattr(model, "get_base_model"):
        raise Unsuited("only LoRA and its like are trained by fast kernels")
