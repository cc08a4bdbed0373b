"""Weights & Biases: a run whose id is ours, in the project that `WANDB_PROJECT` names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

from tunekit.errors import CredentialsError
from tunekit.events import JobState
from tunekit.trackers.tracker import PROJECT, Followed


class Wandb:
    """Send figures by wandb, which reads its key and settings from its own places."""

    package: ClassVar[str] = "wandb"
    module: ClassVar[str] = "wandb"

    def __init__(self) -> None:
        self._run: Any = None

    def start(self, run: Followed) -> str:
        """Begin a run, or go on with it.

        Raises:
            CredentialsError: there is no key; wandb would ask for it in the middle of the run.
        """
        wandb: Any = import_module("wandb")
        if os.environ.get("WANDB_MODE", "online") == "online" and not wandb.api.api_key:
            raise CredentialsError(
                "there is no key of Weights & Biases: `wandb login`, or WANDB_MODE=offline"
            )
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=run.id,
            name=run.name,
            resume="allow",
            reinit="create_new",
            config=dict(run.settings),
            # Its figures of the machine are those of this process, which trains nothing.
            settings=wandb.Settings(x_disable_stats=True, console="off"),
        )
        return run.id

    def log(self, step: int, metrics: Mapping[str, float], *, time: float) -> None:
        """Send the numbers of a step; a step that wandb has already is not sent twice."""
        self._run.log(dict(metrics), step=step)

    def end(self, state: JobState) -> None:
        """Finish; a run that failed or was cancelled counts as failed."""
        well = state is JobState.SUCCEEDED or not state.terminal
        self._run.finish(exit_code=0 if well else 1)
