"""What becomes of 500 submissions when six answers in ten are faulty: the SDKs', and ours.

`python benchmarks/reliability.py`; writes a table of Markdown. The SDKs are used as their
documentation shows, with their own retries; only their waits are cut to nothing, which changes how
long it takes and not how often they send.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import fireworks
import together

from tests.reliability.shops import SHOPS
from tests.reliability.test_storm import Ledger, at_once
from tests.testing.fireworks.client import BASE
from tests.testing.together.client import MODEL, uploaded
from tunekit.testing.providers.faults import HARSH
from tunekit.testing.providers.fireworks import LoopbackFireworks
from tunekit.testing.providers.together import LoopbackTogether

SUBMISSIONS = 500
Row = tuple[str, int, int, int, int]
"""Who, jobs, submissions that became several, errors though a job runs, deaths."""


def with_together() -> Row:
    """Create jobs with the SDK, one at a time."""
    with tempfile.TemporaryDirectory() as folder, LoopbackTogether() as server:
        row = {
            "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        }
        file_id = uploaded(server, Path(folder), row)
        server.faults.weigh("POST /v1/fine-tunes$", HARSH, seed=7)
        sdk = together.Together(base_url=server.url, api_key="test-key")

        def create(number: int) -> Any:
            return sdk.fine_tuning.create(
                training_file=file_id, model=MODEL, suffix=f"n{number}", lora=True
            )

        return _counted(
            f"together {version('together')}, defaults",
            create,
            lambda: Counter(job.suffix for job in server.jobs),
            "n{}",
        )


def with_fireworks(*, own_id: bool) -> Row:
    """Create jobs with the SDK, with an id of our own or without."""
    with LoopbackFireworks(ticks=0) as server:
        sdk = fireworks.Fireworks(base_url=server.url, api_key="test-key", account_id="acme")
        rows = "".join(_line(n) for n in range(3)).encode()
        sdk.datasets.create(dataset_id="ds", dataset={"exampleCount": "3", "userUploaded": {}})
        sdk.datasets.upload("ds", file=("ds.jsonl", rows))
        while sdk.datasets.get("ds").state != "READY":
            pass
        server.faults.weigh("POST /v1/accounts/acme/supervisedFineTuningJobs$", HARSH, seed=7)

        def create(number: int) -> Any:
            chosen = {"supervised_fine_tuning_job_id": f"n{number}"} if own_id else {}
            return sdk.supervised_fine_tuning_jobs.create(
                dataset="accounts/acme/datasets/ds",
                base_model=BASE,
                display_name=f"n{number}",
                **chosen,
            )

        what = "a job id of one's own" if own_id else "defaults"
        return _counted(
            f"fireworks-ai {version('fireworks-ai')}, {what}",
            create,
            lambda: Counter(job.body.get("displayName", "") for job in server.jobs),
            "n{}",
        )


def with_tunekit(number: int) -> Row:
    """Submit through tunekit, which dies now and then and is started again."""
    shop = SHOPS[number]
    with (
        tempfile.TemporaryDirectory() as home,
        shop.server(**shop.options) as server,
        warnings.catch_warnings(),
    ):
        os.environ["TUNEKIT_HOME"] = home
        warnings.simplefilter("ignore")
        shop.storm(server, seed=7)
        ledger = Ledger(shop, server, seed=11)
        for one in range(SUBMISSIONS):
            ledger.submit(one, at_once)
        twice = len(server.jobs) - SUBMISSIONS
    return (f"tunekit, {shop.name}", len(server.jobs), twice, 0, ledger.deaths)


def _counted(
    who: str, create: Callable[[int], Any], bought: Callable[[], Counter[str]], name: str
) -> Row:
    wrong = []
    for number in range(SUBMISSIONS):
        try:
            made = create(number)
            if isinstance(made, str):
                wrong.append(number)
        except Exception:
            wrong.append(number)
    jobs = bought()
    unseen = sum(jobs[name.format(number)] > 0 for number in wrong)
    return (who, sum(jobs.values()), sum(count > 1 for count in jobs.values()), unseen, 0)


def _line(number: int) -> str:
    turns = f'[{{"role": "user", "content": "{number}"}}, {{"role": "assistant", "content": "b"}}]'
    return f'{{"messages": {turns}}}\n'


def main() -> None:
    """Run all of them and print the table."""
    os.environ.update(
        TOGETHER_API_KEY="test-key", FIREWORKS_API_KEY="test-key", FIREWORKS_ACCOUNT_ID="acme"
    )
    rest, time.sleep = time.sleep, lambda seconds: None
    try:
        rows = [with_together(), with_fireworks(own_id=False), with_fireworks(own_id=True)]
    finally:
        time.sleep = rest
    rows += [with_tunekit(0), with_tunekit(1)]
    print("| who | submissions | jobs | doubled | an error although a job runs | deaths |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for who, jobs, doubled, unseen, deaths in rows:
        print(f"| {who} | {SUBMISSIONS} | {jobs} | {doubled} | {unseen} | {deaths} |")


if __name__ == "__main__":
    main()
