"""Die at the k-th call to the system, for every k: the run can always be taken up, as one job."""

from __future__ import annotations

import pytest

import tunekit as tk
from tests.reliability.deaths import Died, dying
from tests.reliability.shops import SHOPS, SPEC, Shop, keys, marks
from tunekit import models
from tunekit.data.prepare import prepare
from tunekit.running import submission

__all__ = ["keys"]


# The dead close nothing.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("shop", SHOPS, ids=lambda shop: shop.name)
def test_a_death_at_any_call_leaves_a_run_that_becomes_one_job(shop: Shop) -> None:
    prepared = prepare(SPEC)
    calls = 0
    with shop.server(**shop.options) as server:
        while True:
            calls += 1
            backend = shop.backend(server)
            plan = backend.plan(SPEC, models.describe(SPEC.model), prepared.profile)
            folder = submission.record(SPEC, plan, backend, prepared)
            with dying(calls) as deaths:
                try:
                    submission.once(folder, backend)
                except Died:
                    assert deaths.happened
            again = tk.get(folder.id)
            job_id = again.job_id or again.resume().job_id
            assert job_id is not None
            if not deaths.happened:
                break
        bought = marks(server)

    assert len(bought) == len(set(bought)) == calls
    assert calls > 30, "fewer calls to the system than a submission makes"
