"""Lend our passes to whoever measures a model: rows are scored and answers written by them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from tunekit.backends.local.fast.decoder import Pass
from tunekit.backends.local.fast.devices import operations
from tunekit.backends.local.fast.inference import Inference
from tunekit.backends.local.fast.modules import ADAPTER, REFERENCE, is_adapted
from tunekit.backends.local.fast.network import Network
from tunekit.backends.local.fast.reading import read
from tunekit.backends.local.fast.stream import Stream
from tunekit.backends.local.fast.unsuited import Unsuited
from tunekit.evaluation import inference


class Readable(Protocol):
    """A network, or one tenant of it."""

    def reading(self, *, adapted: bool) -> tuple[Network, Callable[[Stream], Pass]]:
        """Give what reads streams by the adapters as they are now, or by the base alone."""
        ...


class Adapters:
    """Which adapter of a model is at work, as PEFT has set it."""

    def __init__(self, base: Any) -> None:
        self._layer = next((module for module in base.modules() if is_adapted(module)), None)

    @property
    def frozen(self) -> bool:
        """Whether the base is at work alone."""
        return self._layer is None or bool(self._layer.disable_adapters)

    @property
    def active(self) -> str | None:
        """The name of the adapter; None where it is merged, or none that we know."""
        if self._layer is None:
            return ADAPTER
        active = list(self._layer.active_adapters)
        known = not self._layer.merged and active in ([ADAPTER], [REFERENCE])
        return str(active[0]) if known else None


def lend(base: Any, network: Readable) -> None:
    """Let a model on a processor be asked through a network that was read from it."""
    if not _on_cpu(base):
        return
    adapters = Adapters(base)

    def ask() -> Inference | None:
        frozen, active = adapters.frozen, adapters.active
        if base.training or active is None or not (frozen or active == ADAPTER):
            return None
        return Inference(*network.reading(adapted=not frozen), adapted=not frozen)

    inference.offer(base, ask)


@contextmanager
def lent(model: Any) -> Generator[None, None, None]:
    """Inside the block a model that nobody trains is asked through our passes, if they know it."""
    base = inference.inner(model)
    ours = not inference.offered(base) and _on_cpu(base)
    if ours:
        # Where a model is not understood it is asked itself.
        with suppress(Unsuited):
            run, _ = operations(base)
            lend(base, read(model, run, recompute=False, trained=False))
    try:
        yield
    finally:
        if ours:
            inference.withdraw(base)


def _on_cpu(base: Any) -> bool:
    return bool(base.get_input_embeddings().weight.device.type == "cpu")
