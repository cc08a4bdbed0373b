"""The size of a bottleneck adapter, and what it adds to weights and activations."""

from __future__ import annotations

from tunekit.adapters.bottleneck.config import parameters
from tunekit.planning.picks import Picks, auto
from tunekit.planning.plan import Change
from tunekit.planning.shape import Shape
from tunekit.spec.methods import Bottleneck

REDUCTION = 16
_UNKNOWN = 64
_SOURCE = "AdapterHub, SeqBnConfig"


def size(picks: Picks) -> Change:
    """Pick the width of the network inside by that of the model."""
    hidden = picks.model.hidden_size
    if hidden is None:
        reason = f"the width of the model is unknown; {_UNKNOWN} is a sixteenth of 1,024"
        return auto("method.size", _UNKNOWN, reason, _SOURCE)
    reason = f"the width of the model over {REDUCTION}: {hidden:,} / {REDUCTION}"
    return auto("method.size", _sixteenth(hidden), reason, _SOURCE)


def trained(model: Shape, method: Bottleneck) -> int:
    """Count the weights that learn."""
    return parameters(
        layers=model.layers, hidden=model.h, size=_inner(model, method), placement=method.placement
    )


def kept(model: Shape, method: Bottleneck, width: int) -> float:
    """Give the bytes that one layer keeps per token, in numbers of `width` bytes.

    Each network keeps its input, and what is before and behind the activation; of a relu the two
    are one.
    """
    networks = 2 if method.placement == "houlsby" else 1
    inside = _inner(model, method) * (1 if method.activation == "relu" else 2)
    return networks * (width * (model.h + inside) + model.h * (method.dropout > 0))


def _inner(model: Shape, method: Bottleneck) -> int:
    return _sixteenth(model.h) if method.size == "auto" else method.size


def _sixteenth(hidden: int) -> int:
    return max(1, hidden // REDUCTION)
