"""A provider of one file passes the contract of services: tests/plugin/harbor_tunekit.py."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest

from tests.plugin.harbor_server import KEY, LoopbackHarbor
from tests.plugin.harbor_tunekit import REFUSED, Harbor
from tunekit.backends.backend import Backend
from tunekit.spec.finetune import FineTune
from tunekit.testing.full import fields
from tunekit.testing.managed import ManagedContract

ROWS = [
    {"messages": [{"role": "user", "content": f"{n}+1?"}, {"role": "assistant", "content": f"{n}"}]}
    for n in range(24)
]


class TestHarbor(ManagedContract):
    creates = "POST /jobs"
    reads = "GET /jobs/"
    secret = KEY
    states = Harbor.states
    registered = False
    refuses = frozenset(
        {*REFUSED, *fields("method"), *fields("objective")}
        - {"method", "objective", "method.rank", "method.alpha"}
    )
    failure = "storm"

    harbor: ClassVar[LoopbackHarbor]

    @classmethod
    def setup_class(cls) -> None:
        super().setup_class()
        cls.harbor = LoopbackHarbor()
        cls.harbor.start()

    @classmethod
    def teardown_class(cls) -> None:
        cls.harbor.stop()
        super().teardown_class()

    @pytest.fixture(autouse=True)
    def _key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HARBOR_API_KEY", KEY)

    def server(self) -> LoopbackHarbor:
        return self.harbor

    def jobs(self) -> int:
        return sum(job.get("end") != "recalled" for job in self.harbor.jobs.values())

    def make(self) -> Backend:
        return Harbor(base_url=self.harbor.url, max_cost=math.inf)

    def spec(self) -> FineTune:
        return FineTune(model="org/a-model", data=ROWS)

    def failing(self) -> tuple[Backend, FineTune]:
        return self.make(), self.spec().model_copy(update={"extra": {"harbor": {"storm": True}}})
