"""MLflow: a run on the server, or in the store, that `MLFLOW_TRACKING_URI` names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

from tunekit.events import JobState
from tunekit.trackers.tracker import PROJECT, Followed

_ENDS = {
    JobState.SUCCEEDED: "FINISHED",
    JobState.FAILED: "FAILED",
    JobState.CANCELLED: "KILLED",
}
_FORBIDDEN = re.compile(r"[^\w\-. :/]")
_LONGEST = 500
"""Characters that every MLflow takes as the value of a parameter."""
_MOST = 100
"""Parameters that it takes at once."""


class MLflow:
    """Send figures through MLflow's client, which keeps no run of its own active."""

    package: ClassVar[str] = "mlflow"
    module: ClassVar[str] = "mlflow"

    def __init__(self) -> None:
        self._mlflow: Any = None
        self._client: Any = None
        self._id = ""

    def start(self, run: Followed) -> str:
        """Create a run, or open the one that was begun before; gives its id there."""
        self._mlflow = import_module("mlflow")
        self._client = self._mlflow.MlflowClient()
        if run.resume:
            self._id = run.resume
            self._client.update_run(self._id, status="RUNNING")
            return self._id
        self._id = self._client.create_run(
            self._experiment(), run_name=run.name, tags={"tunekit.run": run.id}
        ).info.run_id
        entities = self._mlflow.entities
        params = [
            entities.Param(_FORBIDDEN.sub("_", name), value[:_LONGEST])
            for name, value in run.settings.items()
        ]
        for at in range(0, len(params), _MOST):
            self._client.log_batch(self._id, params=params[at : at + _MOST])
        return self._id

    def log(self, step: int, metrics: Mapping[str, float], *, time: float) -> None:
        """Send the numbers of a step, with the time at which they were measured."""
        metric = self._mlflow.entities.Metric
        points = [
            metric(_FORBIDDEN.sub("_", name), value, int(1000 * time), step)
            for name, value in metrics.items()
        ]
        self._client.log_batch(self._id, metrics=points)

    def end(self, state: JobState) -> None:
        """Say how it ended."""
        if state.terminal:
            self._client.set_terminated(self._id, _ENDS[state])

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))
