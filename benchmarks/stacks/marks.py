"""What every peer's script says at its end: one JSON line of steps, tokens, losses and memory."""

from __future__ import annotations

import json
import resource
import time
from typing import Any


class Marks:
    """Collects when each optimizer step ended, in seconds since 1970."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.tokens: list[float] = []
        self.losses: list[float] = []

    def add(self, tokens: float, loss: float) -> None:
        """Note a step: tokens since the beginning, without padding, and its loss."""
        self.times.append(time.time())
        self.tokens.append(tokens)
        self.losses.append(loss)

    def say(self) -> None:
        """Print the line that the comparison reads."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**vars(self), "peak": peak}), flush=True)


def clock(marks: Marks, callback: Any, tokens: Any = None) -> Any:
    """Make a callback of transformers that fills `marks`, for stacks over its Trainer.

    `tokens` gives the tokens so far from the number of steps, where the logs do not.
    """

    class Clock(callback):  # type: ignore[misc]
        def on_log(
            self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any
        ) -> None:
            if logs and "loss" in logs:
                step = state.global_step
                marks.add(tokens(step) if tokens else logs["num_tokens"], float(logs["loss"]))

    return Clock()
