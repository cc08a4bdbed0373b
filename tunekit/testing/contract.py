"""The contract: what a backend is, as a class of checks that each backend passes."""

# ruff: noqa: D102 (the names of checks are sentences)
from __future__ import annotations

from typing import ClassVar

from tunekit.testing.declaration import DeclarationChecks
from tunekit.testing.life import LifeChecks
from tunekit.testing.planning import PlanningChecks
from tunekit.testing.result import ResultChecks


class BackendContract(DeclarationChecks, PlanningChecks, LifeChecks, ResultChecks):
    """Subclass it, say how to make the backend, and let a test runner collect it.

    ```python
    class TestAcme(BackendContract):
        states = {"WAITING": JobState.QUEUED, ...}
        refuses = frozenset({"training.seed"})

        def make(self): return Acme()
        def spec(self): return FineTune(model="...", data=[...])
        def failing(self): return Acme(broken=True), self.spec()
    ```

    A check that the backend cannot pass goes into `gaps`, with the reason; it must then fail.
    """

    COLLECTED: ClassVar[int] = 36
    """How many checks there are; a runner that collects fewer has lost some."""

    def test_no_check_was_taken_away(self) -> None:
        contract = next(kind for kind in type(self).__mro__ if "COLLECTED" in vars(kind))
        names = checks(contract)
        assert len(names) == self.COLLECTED, f"{len(names)} checks, not {self.COLLECTED}"
        changed = [
            name
            for name in names
            if name not in self.gaps and getattr(type(self), name) is not getattr(contract, name)
        ]
        assert not changed, f"overridden without an entry in `gaps`: {', '.join(changed)}"


def checks(contract: type[BackendContract]) -> list[str]:
    """List the names of the checks of a contract class."""
    return sorted(name for name in dir(contract) if name.startswith("test_"))
