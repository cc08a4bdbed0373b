"""Bring the result of a job at Together home: one archive, unpacked member by member."""

from __future__ import annotations

import shutil
from pathlib import Path

from tunekit.adapters.archive import unpack
from tunekit.backends.download import Link, download
from tunekit.backends.http import Http
from tunekit.backends.together import said
from tunekit.backends.together.job import is_full
from tunekit.errors import AdapterError, CredentialsError, RequestRejected


def bring(http: Http, job: said.Told, into: Path) -> None:
    """Leave the adapter of a job, or its full model, in an empty folder.

    What has arrived when the connection breaks stays beside `into`, and the next call goes on
    from there.

    Raises:
        BackendDown: the connection broke too often.
        AdapterError: something else came than an adapter or a model.
    """
    kind = "model_output_path" if is_full(job) else "adapter"
    url = f"{http.base_url}/v1/finetune/download?ft_id={said.text(job, 'id')}&checkpoint={kind}"
    room = into.with_name(f"{into.name}.download")
    room.mkdir(mode=0o700, exist_ok=True)
    try:
        archive = download(http, lambda: Link(url=url, signed=False), room / "archive")
        unpack(archive, into)
    except (AdapterError, RequestRejected, CredentialsError):
        shutil.rmtree(room, ignore_errors=True)
        raise
    shutil.rmtree(room, ignore_errors=True)
