"""Full fine-tuning, of the whole model or of its last blocks."""

from __future__ import annotations

from typing import Literal

from tunekit.spec.methods.fields import Size
from tunekit.spec.strict import Strict


class Full(Strict):
    """Train the weights themselves. The result is a model, not an adapter."""

    type: Literal["full"] = "full"
    """The weights of the model learn."""
    last_layers: Size | None = None
    """Train only the last so many transformer blocks; embeddings, the blocks before them, the
    final norm and the head stay as they are. None: every weight learns (what TRL does)."""
