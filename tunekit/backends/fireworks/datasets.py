"""Datasets: named by their content, so that equal rows are sent once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tunekit.backends.fireworks.account import Account
from tunekit.backends.fireworks.look import look
from tunekit.backends.secret import hide
from tunekit.backends.sent import Sent
from tunekit.backends.wait import until
from tunekit.errors import BackendDown, RequestRejected
from tunekit.printable import printable

MOST_AT_ONCE = 150 * 1000 * 1000
"""Bytes that `:upload` takes; more goes through a signed address."""
FEWEST, MOST = 3, 3_000_000
"""Rows of a dataset."""
_LIMIT = 3600.0
"""Seconds that a dataset may take to be ready."""
_SLOWEST = 100_000
"""Bytes a second below which an upload is given up."""


@dataclass(frozen=True)
class Datasets:
    """The datasets of an account."""

    account: Account
    pause: float
    """Seconds between two looks."""
    most_at_once: int = MOST_AT_ONCE

    def upload(self, file: Sent) -> str:
        """Bring a file there, unless it is there, and give its full name once it is ready.

        One that another process left half uploaded is uploaded again.

        Raises:
            RequestRejected: Fireworks does not take the rows.
            BackendDown: it is not ready within an hour.
        """
        key = f"tk-{file.sha256[:48]}"
        name = self.account.name("datasets", key)
        rows = str(file.rows)
        about: dict[str, Any] = {"userUploaded": {}, "exampleCount": rows, "format": "CHAT"}
        found = self.account.ensure(name, {"datasetId": key, "dataset": about})
        if str(found.get("exampleCount", rows)) != rows:
            raise RequestRejected(
                f"fireworks: {name} has {found['exampleCount']} rows, not {rows}: it is not "
                "what was uploaded; delete it there and submit again",
                backend="fireworks",
            )
        if found.get("state") != "READY":
            self._send(name, file)
            self.account.act(name, "validateUpload")
            self._wait(name)
        return name

    def _send(self, name: str, file: Sent) -> None:
        timeout = 600.0 + file.size / _SLOWEST
        if file.size <= self.most_at_once:
            form = _Form(file)
            self.account.http.call(
                "POST",
                f"/v1/{name}:upload",
                body=form.blocks,
                headers=form.headers,
                idempotent=True,
                timeout=timeout,
            )
            return
        answer = self.account.act(
            name, "getUploadEndpoint", {"filenameToSize": {file.path.name: str(file.size)}}
        )
        signed = {
            "Content-Type": "application/octet-stream",
            "X-Goog-Content-Length-Range": f"{file.size},{file.size}",
            "Content-Length": str(file.size),
        }
        url = _address(answer, file.path.name)
        self.account.http.signed("PUT", url, body=file.blocks, headers=signed, timeout=timeout)

    def _wait(self, name: str) -> None:
        until(
            lambda found: _is_ready(name, found),
            lambda: self.account.get(name),
            pause=self.pause,
            patience=_LIMIT,
            late=lambda found: BackendDown(
                f"fireworks: {name} is still {found.get('state')} after an hour; nothing was "
                "bought, submit again later",
                backend="fireworks",
            ),
        )


class _Form:
    """A multipart body with one file, of known length (RFC 7578)."""

    def __init__(self, file: Sent) -> None:
        self._file = file
        mark = f"tunekit-{file.sha256}"
        self._head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="file"; '
            f'filename="{file.path.name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        ).encode()
        self._tail = f"\r\n--{mark}--\r\n".encode()
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={mark}",
            "Content-Length": str(len(self._head) + file.size + len(self._tail)),
        }

    def blocks(self) -> Iterator[bytes]:
        """Give the bytes anew; the last ones only if the file is what was hashed."""
        yield self._head
        yield from self._file.blocks()
        yield self._tail


def _is_ready(name: str, found: dict[str, Any]) -> bool:
    if found.get("state") == "READY":
        return True
    if (code := look(found, "status", "code") or "OK") != "OK":
        words = printable(hide(str(look(found, "status", "message") or code)))
        raise RequestRejected(f"fireworks: {name}: {words}", backend="fireworks")
    return False


def _address(answer: dict[str, Any], name: str) -> str:
    url = look(answer, "filenameToSignedUrls", name)
    if not isinstance(url, str):
        raise RequestRejected(
            f"fireworks: gave no address to upload {name} to; submit again", backend="fireworks"
        )
    return url
