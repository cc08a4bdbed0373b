"""What was measured of a base that several trainings share, so that it is measured once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunekit.evaluation.measurement import Measurement
from tunekit.evaluation.observe import Observer
from tunekit.files import sha256


class SharedBase:
    """Measurements of the base on held-out rows, and the last observation of it."""

    def __init__(self) -> None:
        self._measured: dict[str, Measurement] = {}
        self._observer: Observer | None = None

    def measured(self, request: dict[str, Any], measure: Callable[[], Measurement]) -> Measurement:
        """Give the measurement that a request asks for, made at most once for equal rows."""
        key = _key(request)
        if key not in self._measured:
            self._measured[key] = measure()
        return self._measured[key]

    def observe(self, observer: Observer, model: Any) -> None:
        """Let an observer know the base below an adapter, from the last one if it asked the same.

        Only one observation is held: it has the probabilities of all words.
        """
        if self._observer is not None and observer.take(self._observer):
            return
        self._observer = None
        with model.disable_adapter():
            observer.base(model)
        self._observer = observer


def _key(request: dict[str, Any]) -> str:
    """Tell apart what is measured: the rows, how they are read, and how many are answered."""
    wanted = request["evaluation"]
    settings = [request["objective"], request["data"], wanted["generations"]]
    rows = sha256(Path(request["validation"]))
    return json.dumps([rows, *settings, wanted["max_new_tokens"]], sort_keys=True)
