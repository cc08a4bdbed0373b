"""Two thousand polls, half of them broken: the job's history is the one it has without faults."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest

import tunekit as tk
from tests.reliability.shops import SHOPS, SPEC, Shop, keys
from tunekit.errors import BackendDown
from tunekit.testing.providers.faults import Fault

__all__ = ["keys"]

POLLS = 2000
HALF: Mapping[Fault | None, int] = {
    None: 50,
    "lost-before": 10,
    "lost-after": 10,
    "500-before": 10,
    "502-html-after": 5,
    "429": 5,
    "200-html-after": 5,
    "truncated-after": 5,
}


def history(shop: Shop, *, faulty: bool) -> tuple[list[tuple[str, str]], int, int]:
    """Poll a job to its end; give its states, how many polls there were, and how many failed."""
    states: list[tuple[str, str]] = []
    failed = 0
    with shop.server(**shop.options, ticks=POLLS // 8) as server:
        run = tk.submit(SPEC, shop.hasty(server))
        if faulty:
            server.faults.weigh("GET ", HALF, seed=3)
        for polls in itertools.count(1):
            try:
                run.refresh()
            except BackendDown:
                failed += 1
            states.append((run.native, str(run.state)))
            if run.state.terminal:
                seen = [state for state, _ in itertools.groupby(states) if state[0]]
                return seen, polls, failed
    raise AssertionError("a server that stops has no end")


@pytest.mark.slow
@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("shop", SHOPS, ids=lambda shop: shop.name)
def test_faults_do_not_change_the_history_of_a_job(shop: Shop) -> None:
    quiet, polls, none = history(shop, faulty=False)
    stormy, more, failed = history(shop, faulty=True)

    assert stormy == quiet
    assert none == 0
    assert polls + more >= POLLS
    assert failed >= 0.3 * more
