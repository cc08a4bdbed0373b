"""Split an optimizer step's sequences into portions that a device holds at once."""

from __future__ import annotations

_TOKENS = {"cpu": 2_048, "mps": 4_096, "cuda": 8_192}
"""Tokens in one forward pass: past this a pass gains no speed and costs memory."""


def split_batch(
    batch: int, *, longest: int, devices: int, device: str, least: int = 1
) -> tuple[int, int] | None:
    """Give sequences per device and accumulation steps, or None when it does not divide.

    Their product with `devices` is `batch`, always. A device gets `least` sequences at once where
    the batch has so many, even if they are more than it takes at its best.
    """
    share, rest = divmod(batch, devices)
    if rest or share == 0:
        return None
    budget = max(1, _TOKENS.get(device, 2_048) // max(1, longest))
    sizes = [size for size in range(1, share + 1) if share % size == 0]
    fitting = max(size for size in sizes if size <= budget)
    size = fitting if fitting >= least else next((n for n in sizes if n >= least), share)
    return size, share // size
