"""Native settings that a spec may not hold, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunekit.backends.managed import require_no_secrets
from tunekit.errors import SpecError

_OURS = {
    "training_file": "is uploaded from `data`",
    "validation_file": "is uploaded from `validation`",
    "suffix": "is the mark by which a job is found again; `output.name` is part of it",
}


def require_sound(extra: Mapping[str, Any]) -> None:
    """Check `extra.together`.

    Raises:
        SpecError: it holds a key, what is ours to say, or a checkpoint that Together cannot know.
    """
    require_no_secrets(
        extra,
        backend="together",
        instead="set WANDB_API_KEY or HF_TOKEN, and the backend's wandb_project or hub_repo",
    )
    for name, reason in _OURS.items():
        if name in extra:
            raise SpecError(f"extra.together.{name}: {reason}; leave it out")
    checkpoint = extra.get("from_checkpoint")
    if checkpoint is not None and not is_checkpoint(checkpoint):
        raise SpecError(
            f"extra.together.from_checkpoint: {checkpoint!r} is {NO_CHECKPOINT}. A run of yours "
            "goes into start_from"
        )


NO_CHECKPOINT = (
    "no checkpoint of Together's; give a job (ft-...) or the name of its output, with `:STEP` "
    "behind it for an earlier step"
)


def is_checkpoint(checkpoint: Any) -> bool:
    """Say whether Together could know a checkpoint of that name."""
    return isinstance(checkpoint, str) and (checkpoint.startswith("ft-") or "/" in checkpoint)
