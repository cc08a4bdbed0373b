"""A faster way to ask a model than its own forward pass, where somebody offers one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from tunekit.data.tokens import Tokens
    from tunekit.evaluation.forward import Scored

_NAME = "tunekit_inference"


class Inference(Protocol):
    """A model as it is at this moment."""

    def score(
        self, rows: Sequence[Tokens], *, hold: Sequence[int] = (), room: int = 0
    ) -> list[Scored]:
        """Give how likely each row's labels are, in order.

        What was read of the rows to `hold` may be kept: the next `extend` by up to `room` tokens
        then need not read prompts that these rows begin with.
        """
        ...

    def predictions(self, rows: Sequence[Tokens]) -> Iterator[tuple[int, Any, Any]]:
        """Give the number of each row that has labels, with its logits and labels."""
        ...

    def extend(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        length: int,
        ends: Sequence[int],
        pick: Callable[[Any], Any],
    ) -> list[list[int]]:
        """Extend each prompt by up to `length` tokens; the token that ends it is left out."""
        ...


def inner(model: Any) -> Any:
    """Give the transformers model inside a PEFT model; any other is given back."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def offer(base: Any, ask: Callable[[], Inference | None]) -> None:
    """Let a transformers model be asked otherwise, whenever `ask` gives a way."""
    vars(base)[_NAME] = ask


def offered(base: Any) -> bool:
    """Say whether somebody has offered."""
    return _NAME in vars(base)


def withdraw(base: Any) -> None:
    """Ask the model itself again."""
    vars(base).pop(_NAME, None)


def of(model: Any) -> Inference | None:
    """Give the way that is offered for a model, or for the one inside a PEFT model."""
    ask = cast("Callable[[], Inference | None] | None", vars(inner(model)).get(_NAME))
    return None if ask is None else ask()
