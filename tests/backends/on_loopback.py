"""The contract of services against two servers: one whose jobs succeed, one whose jobs fail."""

from __future__ import annotations

from typing import Any, ClassVar

from tunekit.testing.managed import ManagedContract


class OnLoopback(ManagedContract):
    loopback: ClassVar[Any]
    """The class of the servers."""
    failed: ClassVar[str]
    """How a job ends whose training failed, in the service's words."""
    good: ClassVar[Any]
    bad: ClassVar[Any]

    @classmethod
    def setup_class(cls) -> None:
        super().setup_class()
        cls.good, cls.bad = cls.loopback(), cls.loopback(outcome=cls.failed)
        cls.good.start()
        cls.bad.start()

    @classmethod
    def teardown_class(cls) -> None:
        cls.good.stop()
        cls.bad.stop()
        super().teardown_class()

    def server(self) -> Any:
        return self.good
