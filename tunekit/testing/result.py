"""Checks of what a job leaves, and of the bytes it was given."""

# ruff: noqa: D102 (the names of checks are sentences)
from __future__ import annotations

import tempfile
from pathlib import Path

from tunekit.adapters.adapter import Adapter
from tunekit.errors import UnsupportedError
from tunekit.files import sha256
from tunekit.store import RunFolder
from tunekit.testing.setting import Setting, raised


class ResultChecks(Setting):
    """The adapter, and the data folder."""

    def test_fetch_leaves_a_folder_that_opens(self) -> None:
        job = self.finished()
        into = Path(tempfile.mkdtemp(dir=self._room.name))
        if not job.backend.capabilities.download:
            error = raised(lambda: job.backend.fetch(job.job_id, into))
            assert isinstance(error, UnsupportedError)
            return
        job.backend.fetch(job.job_id, into)
        Adapter.open(into)

    def test_fetch_before_the_end_is_a_typed_error(self) -> None:
        raised(self._fetch_early)

    def test_the_data_is_as_it_was_hashed_when_the_job_is_over(self) -> None:
        files = self.finished().files
        assert sha256(files.train) == files.train_sha256
        if files.validation is not None:
            assert sha256(files.validation) == files.validation_sha256

    def test_a_run_keeps_the_bytes_and_gives_the_adapter(self) -> None:
        run = self.handed_over()
        entry = RunFolder(run.folder).read()
        for name in ("train", "validation"):
            if name in entry.data:
                assert sha256(run.folder / f"data/{name}.jsonl") == entry.data[name]["sha256"]
        if self.make().capabilities.download:
            assert run.adapter.folder == run.folder / "adapter"

    def _fetch_early(self) -> None:
        early = self.finished().early
        if early is not None:
            raise early
