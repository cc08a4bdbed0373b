"""Every error tunekit raises, in one tree.

```
TunekitError
├── SpecError (ValueError)       wrong on every backend; names the field and the nearest valid key
│   └── DataError                the rows; carries the issues: file, line, code, fix
├── BackendError                 .backend
│   ├── UnknownBackend (LookupError) · MissingExtra (ImportError) · UnsupportedError
│   ├── CredentialsError (PermissionError) · RequestRejected
│   ├── QuotaError
│   │   └── CostNotAccepted          nothing was bought: the price was not agreed to
│   ├── BackendDown (ConnectionError)
│   └── SubmissionUnknown        the provider may have started the job
├── RunError                     .run_id
│   └── RunFailed · Diverged · RunCancelled · RunTimeout (TimeoutError) · RunBusy
└── AdapterError                 bytes came, but not an adapter that can be trusted
```
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunekit.data.issues import Issue
    from tunekit.planning.plan import Plan


class TunekitError(Exception):
    """The root of everything tunekit raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (type(self), self.args, self.__dict__))


def _restore(
    kind: type[TunekitError], args: tuple[Any, ...], state: dict[str, Any]
) -> TunekitError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class SpecError(TunekitError, ValueError):
    """The spec is wrong on every backend.

    `problems` holds one sentence per fault, each naming its field.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (message,)


class DataError(SpecError):
    """The rows cannot be trained on; `issues` says where and how to mend them."""

    def __init__(self, message: str, issues: Sequence[Issue] = ()) -> None:
        super().__init__(message)
        self.issues = tuple(issues)


class BackendError(TunekitError):
    """A backend cannot do what was asked."""

    def __init__(self, message: str, *, backend: str = "") -> None:
        super().__init__(message)
        self.backend = backend


class UnknownBackend(BackendError, LookupError):
    """No backend has this name."""

    def __str__(self) -> str:
        return str(self.args[0])


class MissingExtra(BackendError, ImportError):
    """A package that this part needs is not installed; the message holds the pip line."""


class UnsupportedError(BackendError):
    """The backend cannot honour something the spec asks for; `plan` holds every such field."""

    def __init__(self, message: str, *, backend: str = "", plan: Plan | None = None) -> None:
        super().__init__(message, backend=backend)
        self.plan = plan


class CredentialsError(BackendError, PermissionError):
    """The key is missing, wrong or not allowed to do this."""


class QuotaError(BackendError):
    """Money or limits; retrying does not help."""


class CostNotAccepted(QuotaError):
    """Nothing was bought: the estimate was not agreed to, or is over what was.

    `estimate` is in US dollars, None where the backend gives none; `run_id` names the run, which
    `resume(max_cost=...)` takes up.
    """

    def __init__(self, message: str, *, backend: str = "", estimate: float | None = None) -> None:
        super().__init__(message, backend=backend)
        self.estimate = estimate
        self.run_id = ""


class RequestRejected(BackendError):
    """The backend understood the request and refused it."""


class BackendDown(BackendError, ConnectionError):
    """The backend does not answer, retries included."""


class SubmissionUnknown(BackendError):
    """The backend may have started the job; the message says how to find out."""


class RunError(TunekitError):
    """A run did not end as asked."""

    def __init__(self, message: str, *, run_id: str = "") -> None:
        super().__init__(message)
        self.run_id = run_id


class RunFailed(RunError):
    """The job failed; `reason` is one paragraph, `log` the last lines it wrote."""

    def __init__(self, message: str, *, run_id: str = "", reason: str = "", log: str = "") -> None:
        super().__init__(message, run_id=run_id)
        self.reason = reason
        self.log = log


class Diverged(RunFailed):
    """The loss became infinite or not a number."""


class RunCancelled(RunError):
    """The run was cancelled."""


class RunTimeout(RunError, TimeoutError):
    """We stopped waiting; the job goes on."""


class RunBusy(RunError):
    """Another process is submitting or resuming this run."""


class AdapterError(TunekitError):
    """The folder does not hold an adapter that can be trusted."""
