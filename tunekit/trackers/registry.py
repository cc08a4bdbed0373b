"""Names to trackers; nothing is imported until a run is followed."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from tunekit.errors import MissingExtra, SpecError
from tunekit.trackers.tracker import Tracker

_OURS = {
    "tensorboard": "tunekit.trackers.tensorboard:TensorBoard",
    "wandb": "tunekit.trackers.wandb:Wandb",
    "mlflow": "tunekit.trackers.mlflow:MLflow",
    "trackio": "tunekit.trackers.trackio:Trackio",
}
NAMES = tuple(_OURS)


def require(names: Sequence[str]) -> None:
    """Stop before anything has started when a tracker cannot be had.

    Raises:
        SpecError: no tracker has this name.
        MissingExtra: its package is not installed; the message holds the pip line.
    """
    for name in names:
        kind = _kind(name)
        if kind.module and find_spec(kind.module) is None:
            raise MissingExtra(
                f"the tracker {name} needs a package: pip install {kind.package}", backend=""
            )


def make(name: str) -> Tracker:
    """Build a tracker from one of our names, or from `module:Class`.

    Raises:
        SpecError: there is none of this name.
    """
    return _kind(name)()


def _kind(name: str) -> type[Tracker]:
    module, _, attribute = _OURS.get(name, name).partition(":")
    if not attribute:
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise SpecError(
            f"no tracker {name!r}; {hint}known: {', '.join(NAMES)}, or MODULE:CLASS of your own"
        )
    try:
        return cast("type[Tracker]", getattr(import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise SpecError(f"cannot import the tracker {name!r}: {error}") from None
