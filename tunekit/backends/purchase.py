"""Buy one job, once: what is meant is on disk before it is done, and what is unsure is looked up.

The service may lose a request, or its answer, and this process may die between any two steps.
"""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from tunekit.backends import sent
from tunekit.backends.answer import Conflict, Unsure
from tunekit.backends.backend import Files, JobId
from tunekit.backends.journal import Entry, Journal, Upload
from tunekit.backends.sent import Sent
from tunekit.data.rows import Row
from tunekit.errors import BackendDown, BackendError, CostNotAccepted, SubmissionUnknown
from tunekit.planning.plan import Plan

_LOOKS = 4
"""Empty looks before a job is taken not to exist: lists run behind."""
_SENDS = 4
_PATIENCE = 12
"""Looks in a row that may fail before we say that we do not know."""


class Shop(Protocol):
    """What a service must know to sell a job once."""

    name: ClassVar[str]
    unique_names: ClassVar[bool]
    """Whether it refuses a second job under the same mark."""

    @property
    def max_cost(self) -> float | None:
        """The most that a job may cost, in US dollars."""
        ...

    @property
    def settle(self) -> float:
        """Seconds after which a job that was started is sure to be listed."""
        ...

    def marker(self, key: str) -> str:
        """Give the mark of a run's job, the same every time."""
        ...

    def native(self, row: Row, plan: Plan) -> dict[str, Any]:
        """Give a row in the service's form."""
        ...

    def upload(self, file: Sent) -> str:
        """Bring a file there, unless it is there, and give its name once it is ready."""
        ...

    def check(self, plan: Plan, uploads: Mapping[str, Upload]) -> None:
        """Ask for the limits of the model, and refuse what lies beyond."""
        ...

    def price(self, plan: Plan, uploads: Mapping[str, Upload]) -> float | None:
        """Ask what the job will cost, in US dollars."""
        ...

    def create(self, plan: Plan, uploads: Mapping[str, Upload], marker: str) -> JobId:
        """Start the job; sent at most once."""
        ...

    def find(self, plan: Plan, marker: str) -> Sequence[JobId]:
        """Give the jobs with this mark, the oldest first."""
        ...

    def cancel(self, job_id: JobId) -> None:
        """Ask a job to stop."""
        ...


class Purchase:
    """The way of one run to its job."""

    def __init__(self, shop: Shop, plan: Plan, files: Files, *, key: str) -> None:
        self._shop, self._plan, self._files, self._key = shop, plan, files, key
        self._journal = Journal(files.job, shop.marker(key))

    def make(self) -> JobId:
        """Give the job of this run: the one there is, or a new one.

        Raises:
            CostNotAccepted: nobody agreed to the price.
            SubmissionUnknown: it cannot be known whether the job was started.
            RequestRejected, QuotaError, CredentialsError, BackendDown: nothing was bought.
        """
        entry = self._journal.read()
        if entry.job_id is not None:
            return JobId(entry.job_id)
        if entry.sending:
            if (found := self._look(entry)) is not None:
                return self._adopt(entry, found)
            entry = self._journal.write(entry, sending=False)
        entry = self._uploaded(entry)
        self._shop.check(self._plan, entry.uploads)
        self._agree(self._shop.price(self._plan, entry.uploads))
        return self._send(entry)

    def _uploaded(self, entry: Entry) -> Entry:
        for name, path, digest in (
            ("train", self._files.train, self._files.train_sha256),
            ("validation", self._files.validation, self._files.validation_sha256),
        ):
            if path is None or digest is None:
                continue
            target = self._files.job / f"{name}.jsonl"
            file = sent.write(path, digest, target, lambda row: self._shop.native(row, self._plan))
            known = entry.uploads.get(name)
            if known is None or known.sha256 != file.sha256:
                made = Upload(sha256=file.sha256, id=self._shop.upload(file))
                entry = self._journal.write(entry, uploads={**entry.uploads, name: made})
        return entry

    def _agree(self, price: float | None) -> None:
        """Refuse a price that nobody agreed to; an unlimited budget takes any."""
        limit = self._plan.max_cost if self._plan.max_cost is not None else self._shop.max_cost
        if limit == math.inf or (price is not None and limit is not None and price <= limit):
            return
        told = "gives no estimate" if price is None else f"estimates ${price:,.2f}"
        over = "" if limit is None else f", and ${limit:,.2f} was agreed to"
        amount = "inf" if price is None else f"{math.ceil(price * 100) / 100:g}"
        raise CostNotAccepted(
            f"{self._shop.name} {told} for {self._key}{over}; nothing was bought. "
            f"Agree with max_cost={amount}, or: tunekit resume {self._key} --max-cost {amount}",
            backend=self._shop.name,
            estimate=price,
        )

    def _send(self, entry: Entry) -> JobId:
        for _ in range(_SENDS):
            entry = self._journal.write(entry, sending=True, attempts=entry.attempts + 1)
            try:
                job_id = self._shop.create(self._plan, entry.uploads, entry.marker)
            except (Unsure, Conflict):
                if (found := self._look(entry)) is not None:
                    return self._adopt(entry, found)
                continue
            except BackendError:
                # Refused, or never sent: nothing was bought.
                self._journal.write(entry, sending=False)
                raise
            return self._bought(entry, job_id)
        raise self._unknown(entry, f"{_SENDS} requests went unanswered")

    def _bought(self, entry: Entry, job_id: JobId) -> JobId:
        """Keep the id; after a second request, see whether the first one came through late."""
        if entry.attempts > 1:
            with contextlib.suppress(BackendDown):
                if found := self._shop.find(self._plan, entry.marker):
                    return self._adopt(entry, found)
        self._journal.write(entry, sending=False, job_id=job_id)
        return job_id

    def _look(self, entry: Entry) -> Sequence[JobId] | None:
        """Look for the job until it is found, or sure not to be there (None)."""
        needed = 1 if self._shop.unique_names else _LOOKS
        settled = time.monotonic() + (0.0 if self._shop.unique_names else self._shop.settle)
        empty = failed = 0
        while True:
            try:
                found = self._shop.find(self._plan, entry.marker)
            except BackendDown as error:
                failed += 1
                if failed >= _PATIENCE:
                    raise self._unknown(entry, str(error)) from None
            else:
                if found:
                    return found
                empty, failed = empty + 1, 0
                if empty >= needed and time.monotonic() >= settled:
                    return None
            time.sleep(self._shop.settle / _LOOKS)

    def _adopt(self, entry: Entry, found: Sequence[JobId]) -> JobId:
        """Take the oldest job with our mark, and stop the others."""
        oldest, *younger = found
        # Before the id is kept: a process that dies in between looks, and stops them, again.
        for job_id in younger:
            warnings.warn(
                f"{self._shop.name} started {self._key} twice; {job_id} is cancelled, {oldest} "
                "goes on",
                stacklevel=2,
            )
            self._shop.cancel(job_id)
        self._journal.write(entry, sending=False, job_id=oldest)
        return oldest

    def _unknown(self, entry: Entry, why: str) -> SubmissionUnknown:
        return SubmissionUnknown(
            f"{self._shop.name} may have started the job of {self._key} ({why}). "
            f"It carries the mark {entry.marker}. `tunekit resume {self._key}` looks for it, and "
            "sends nothing before that",
            backend=self._shop.name,
        )
