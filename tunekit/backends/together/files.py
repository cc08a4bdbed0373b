"""Bring files to Together: registered by content, put to a signed address, validated there."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunekit.backends.http import Http
from tunekit.backends.sent import Sent
from tunekit.backends.together import said
from tunekit.backends.together.parts import PART_BYTES, in_parts
from tunekit.backends.wait import until
from tunekit.errors import BackendDown, CredentialsError, RequestRejected

SINGLE_BYTES = 5 << 30
"""Larger files go in parts."""
_TRIES = 4
_SLOWEST = 1 << 20
"""Bytes per second below which an upload is given up."""
_READY = "COMPLETED"
_REFUSED = ("INVALID_FORMAT", "FAILED")


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of the account."""

    http: Http
    pause: float
    """Seconds between two looks at a file that is being validated."""
    patience: float = 3600.0
    """Seconds that a validation may take."""
    single_bytes: int = SINGLE_BYTES
    part_bytes: int = PART_BYTES

    def bring(self, file: Sent) -> str:
        """Give the id of a file with this content, ready to train on.

        Raises:
            RequestRejected: Together finds fault with it; the message holds its report.
            BackendDown: it is not ready after `patience` seconds.
        """
        place = self._known(file) or self._sent(file)
        return self._validated(place)

    def _known(self, file: Sent) -> str | None:
        """Give the file with this content that is there already, whole."""
        if file.size > self.single_bytes:
            return None
        answer = self._register(file)
        if isinstance(answer, str):
            told = self._look(answer)
            if _status(told) or said.number(told, "bytes"):
                return answer
            # Registered by somebody who ended before the bytes arrived.
            self.http.call("DELETE", said.path("v1", "files", answer), expect=(404,))
            return None
        file_id, where = answer
        return file_id if self._put(file, where) else None

    def _sent(self, file: Sent) -> str:
        if file.size > self.single_bytes:
            return in_parts(self.http, file, size=self.part_bytes, fields=_fields(file))
        for _ in range(_TRIES):
            answer = self._register(file)
            if isinstance(answer, str):
                return answer
            file_id, where = answer
            if self._put(file, where):
                return file_id
        raise BackendDown(
            f"together: no address took {file.path.name} in {_TRIES} tries; try again later",
            backend="together",
        )

    def _register(self, file: Sent) -> str | tuple[str, str]:
        """Give the id of a file that is there, or a new id and the address to put it to."""
        body, kind = _form(_fields(file))
        for _ in range(_TRIES):
            answer = self.http.call(
                "POST",
                "/v1/files",
                body=body,
                headers={"Content-Type": kind},
                idempotent=True,
                expect=(302, 409),
            )
            file_id = said.text(answer.object(), "file_id")
            if answer.status == 409 and file_id:
                return file_id
            file_id = answer.headers.get("x-together-file-id", "")
            where = answer.headers.get("location", "")
            if answer.status == 302 and file_id and where:
                return file_id, where
            time.sleep(self.pause)
        raise said.unreadable("a new file has no address to be put to")

    def _put(self, file: Sent, where: str) -> bool:
        """Send the bytes; False when the address is no longer valid."""
        length = {"Content-Length": str(file.size)}
        timeout = max(600.0, file.size / _SLOWEST)
        try:
            self.http.signed("PUT", where, body=file.blocks, headers=length, timeout=timeout)
        except (CredentialsError, RequestRejected):
            self.http.transfer(where)
            return False
        return True

    def _validated(self, file_id: str) -> str:
        told = self._look(file_id)
        if not _status(told):
            place = said.path("v1", "files", file_id, "preprocess")
            told = self.http.call("POST", place, idempotent=True).object()
        until(
            lambda told: _is_valid(file_id, told),
            lambda: self._look(file_id),
            pause=self.pause,
            patience=self.patience,
            late=lambda told: BackendDown(
                f"together: {file_id} is still {_status(told) or 'not validated'} after "
                f"{self.patience:,.0f} s; try again later",
                backend="together",
            ),
            seen=told,
        )
        return file_id

    def _look(self, file_id: str) -> said.Told:
        return self.http.get(said.path("v1", "files", file_id))


def _status(told: said.Told) -> str:
    """Give how far the validation has come, "" before it was asked for."""
    found = said.text(told, "processing_status").upper()
    return found or (_READY if told.get("Processed") is True else "")


def _is_valid(file_id: str, told: said.Told) -> bool:
    status = _status(told)
    if status in _REFUSED:
        raise _invalid(file_id, told)
    return status == _READY


def _invalid(file_id: str, told: said.Told) -> RequestRejected:
    why = said.text(said.part(told, "validation_report"), "error") or _status(told)
    return RequestRejected(
        f"together finds fault with {said.text(told, 'filename') or file_id}: {why}. "
        f"Nothing was bought. Mend the rows, or delete {file_id} there to have it looked at again",
        backend="together",
    )


def _fields(file: Sent) -> dict[str, str]:
    return {
        "purpose": "fine-tune",
        "file_name": file.path.name,
        "file_type": "jsonl",
        "checksum": file.sha256,
    }


def _form(fields: Mapping[str, Any]) -> tuple[bytes, str]:
    """Write `multipart/form-data`; gives the bytes and their type."""
    boundary = uuid.uuid4().hex
    body = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    return f"{body}--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
