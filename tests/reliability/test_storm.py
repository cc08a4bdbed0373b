"""Submissions in a storm: every one is one job, none is lost, none is doubled."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import tunekit as tk
from tests.reliability.deaths import Died, dying
from tests.reliability.shops import SHOPS, SPEC, Shop, keys, marks
from tunekit import store
from tunekit.errors import BackendError

__all__ = ["keys"]

FEW, MANY = 200, 500
MOST_CALLS = 60
"""A submission makes about so many calls to the system; a death falls on any of them."""

Submit = Callable[[tk.FineTune, tk.Backend], tk.Run]


def at_once(spec: tk.FineTune, backend: tk.Backend) -> tk.Run:
    return tk.submit(spec, backend)


def in_a_loop(spec: tk.FineTune, backend: tk.Backend) -> tk.Run:
    return asyncio.run(tk.asubmit(spec, backend))


class Ledger:
    """What came of the submissions."""

    def __init__(self, shop: Shop, server: Any, *, seed: int) -> None:
        self.shop, self.server = shop, server
        self.chance = random.Random(seed)
        self.deaths = 0
        self.job_ids: dict[str, str] = {}

    def submit(self, number: int, way: Submit) -> None:
        """Submit one run, and take it up after every death, until it has a job."""
        spec = SPEC.model_copy(update={"output": tk.Output(name=f"storm-{number}")})
        started = self._try(lambda: self.submit_once(spec, way))
        while started is None:
            started = self._again(f"storm-{number}", lambda: self.submit_once(spec, way))
        assert started.job_id is not None
        self.job_ids[started.id] = started.job_id

    def submit_once(self, spec: tk.FineTune, way: Submit) -> tk.Run:
        return way(spec, self.shop.backend(self.server))

    def _again(self, name: str, anew: Callable[[], tk.Run]) -> tk.Run | None:
        """Take up what an attempt left, as a user would after a crash."""
        run = self._found(name)
        if run is None:
            return self._try(anew)
        return run if run.job_id else self._try(run.resume)

    def _try(self, attempt: Callable[[], tk.Run]) -> tk.Run | None:
        at = self.chance.randrange(1, MOST_CALLS) if self.chance.random() < 0.6 else None
        try:
            with dying(at) as deaths:
                run = attempt()
        except Died:
            self.deaths += 1
            return None
        except BackendError:
            return None
        if deaths.happened:
            self.deaths += 1
            return None
        return run if run.job_id else None

    def _found(self, name: str) -> tk.Run | None:
        """Look for the folder that an attempt left; one died before it had one."""
        for record in store.place(name).parent.glob(f"{name}-*/run.json"):
            return tk.Run(store.RunFolder(record.parent))
        return None


# The dead close nothing.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
@pytest.mark.usefixtures("keys")
@pytest.mark.filterwarnings("ignore:.*is cancelled:UserWarning")
@pytest.mark.parametrize("submissions", [FEW, pytest.param(MANY, marks=pytest.mark.long)])
@pytest.mark.parametrize("way", [at_once, in_a_loop], ids=["sync", "async"])
@pytest.mark.parametrize("shop", SHOPS, ids=lambda shop: shop.name)
def test_no_job_is_bought_twice_and_none_is_lost(shop: Shop, way: Submit, submissions: int) -> None:
    with shop.server(**shop.options) as server:
        shop.storm(server, seed=7)
        ledger = Ledger(shop, server, seed=11)
        for number in range(submissions):
            ledger.submit(number, way)

        bought = Counter(marks(server))

    assert ledger.deaths >= submissions // 2
    assert len(ledger.job_ids) == len(set(ledger.job_ids.values())) == submissions
    assert len(bought) == submissions
    assert set(bought.values()) == {1}
