"""Answers that the model writes itself, and functions that score them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from tunekit.spec.strict import Strict

BUILT_IN = ("exact_match", "json_valid", "pattern")
"""Reward functions that need no code."""

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*|[^:]+\.py")
_HOW = (
    f"write 'module:function', 'file.py:function', or one of {', '.join(BUILT_IN)}; "
    "a function itself must stand at the top of a module"
)


def _named(value: Any) -> Any:
    """Turn a function into the name that it can be imported by."""
    if not callable(value):
        return value
    module = str(getattr(value, "__module__", ""))
    name = str(getattr(value, "__qualname__", ""))
    if module == "__main__":
        raise ValueError(
            f"{name or value!r} is defined in the script or notebook itself, which the worker does "
            "not run; move it to a file of its own and write 'file.py:function'"
        )
    held: Any = sys.modules.get(module)
    for part in name.split("."):
        held = getattr(held, part, None)
    if held is not value:
        raise ValueError(f"{name or value!r} cannot be imported by name; {_HOW}")
    return f"{module}:{name}"


def _importable(value: Any) -> Any:
    value = _named(value)
    if not isinstance(value, str) or value in BUILT_IN:
        return value
    module, _, function = value.rpartition(":")
    if not _NAME.fullmatch(module) or not re.fullmatch(r"[\w.]+", function):
        raise ValueError(f"{value!r} names no function; {_HOW}")
    return value


def _several(value: Any) -> Any:
    """Take one function without a list around it."""
    return (value,) if isinstance(value, str) or callable(value) else value


RewardFunction = Annotated[str, BeforeValidator(_importable, json_schema_input_type=str)]
Rewards = Annotated[
    tuple[RewardFunction, ...],
    Field(strict=False),
    BeforeValidator(_several, json_schema_input_type=str | list[str]),
]


class GRPO(Strict):
    """Group-relative policy optimisation: write several answers, learn from the better ones.

    For tasks whose answers a function can check: arithmetic, code, formats. Shao et al. 2024,
    arXiv 2402.03300, with the token average of DAPO (arXiv 2503.14476), as TRL has it.
    """

    type: Literal["grpo"] = "grpo"
    """Answers to the prompts are sampled and scored; the better ones are raised."""
    row_kinds: ClassVar[frozenset[str]] = frozenset({"prompt"})
    rewards: Rewards = ()
    """Functions that score answers: 'module:function', 'file.py:function', or a function itself.
    Built in: "exact_match" (with the row's `answer`), "json_valid", "pattern" (the row's regular
    expression `pattern`). Each gets `prompts`, `completions` and the other columns of the rows by
    name, and gives one number, or None, for each completion, as in TRL."""
    reward_weights: Annotated[tuple[float, ...], Field(strict=False)] | None = None
    """Weight of each reward function in their sum. None: 1 each."""
    generations: Annotated[int, Field(ge=2)] = 8
    """Answers per prompt, which are compared with each other; 8 in TRL, 64 in the paper.
    The batch size counts answers, so it is a multiple of this."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 512
    """Tokens of an answer at most; what is cut there is scored as it stands. 512 in TRL."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Temperature of sampling; 1 samples from the model that is trained."""
    beta: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the KL divergence to the base model; 0 asks no reference, as in TRL and DAPO;
    0.04 in the paper."""

    if TYPE_CHECKING:
        # The field says what can be read; this says what can be written.
        def __init__(
            self,
            *,
            type: Literal["grpo"] = ...,
            rewards: str | Callable[..., Any] | Sequence[str | Callable[..., Any]] = ...,
            reward_weights: Sequence[float] | None = ...,
            generations: int = ...,
            max_new_tokens: int = ...,
            temperature: float = ...,
            beta: float = ...,
        ) -> None: ...
