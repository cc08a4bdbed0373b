"""Providers on loopback: real HTTP, real state, and faults to order."""

from __future__ import annotations

from tunekit.testing.providers.fireworks import LoopbackFireworks
from tunekit.testing.providers.together import LoopbackTogether

__all__ = ["LoopbackFireworks", "LoopbackTogether"]
