"""Bytes served with ranges, as object stores do, and the ways in which that goes wrong."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from tunekit.testing.providers.server import Reply, Request

DownloadFault = Literal[
    "cut",
    "wrong-range",
    "wrong-total",
    "no-content-range",
    "changed",
    "range-ignored",
    "unsatisfiable",
    "expired",
    "html",
    "empty",
    "short",
    "long",
    "corrupted",
    "503",
    "gzip",
    "no-etag",
]
"""What is wrong with one answer.

`cut`: the connection closes after `at` bytes. `wrong-range`: bytes and `Content-Range` begin
elsewhere than asked. `wrong-total`: `Content-Range` names another size. `no-content-range`: a 206
that does not say which part it is. `changed`: from now on the object is `becomes`, under another
ETag. `range-ignored`: 200 with everything. `unsatisfiable`: 416. `expired`: 403, as signed
addresses answer when their time is over. `html`: 200 with a page. `empty`: 200 with nothing.
`short`: `Content-Length` and body end `at` bytes early. `long`: `Content-Length` promises more than
there is. `corrupted`: byte `at` of the answer is another one. `503`: not now. `gzip`: encoded, with
`Content-Encoding`. `no-etag`: nothing to tell one object from the next.
"""

NAMES: tuple[DownloadFault, ...] = get_args(DownloadFault)

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_EXPIRED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Request has expired"


@dataclass(frozen=True)
class Blob:
    """An object in a store."""

    content: bytes
    kind: str = "application/octet-stream"

    @property
    def etag(self) -> str:
        """The object's tag: another content has another one."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'


@dataclass(frozen=True)
class _Broken:
    fault: DownloadFault | None
    at: int | None
    becomes: bytes | None


class Downloads:
    """Serve blobs by name; the next answers go wrong as ordered."""

    def __init__(self) -> None:
        self._queued: dict[str, deque[_Broken]] = {}
        self._changed: dict[str, bytes] = {}

    def order(
        self,
        *faults: DownloadFault | None,
        name: str = "",
        at: int | None = None,
        becomes: bytes | None = None,
    ) -> None:
        """Let the next answers for this name go wrong; no name is any, None goes well.

        `at` defaults to the middle of the answer, `becomes` to what the server says the object
        changes into, or to the bytes in reverse order.
        """
        queue = self._queued.setdefault(name, deque())
        queue.extend(_Broken(fault, at, becomes) for fault in faults)

    def serve(
        self,
        request: Request,
        blob: Blob,
        *,
        name: str = "",
        other: Callable[[], bytes] | None = None,
    ) -> Reply:
        """Answer a request for a blob, with what was ordered for its name.

        `other` gives what the object changes into, unless that was ordered too.
        """
        broken = self._next(name)
        if broken.fault == "changed":
            default = other() if other else blob.content[::-1]
            self._changed[name] = default if broken.becomes is None else broken.becomes
        blob = replace(blob, content=self._changed.get(name, blob.content))
        if broken.fault is None or broken.fault == "changed":
            return served(request, blob)
        return _FAULTY[broken.fault](request, blob, broken.at)

    def _next(self, name: str) -> _Broken:
        for queue in (self._queued.get(name), self._queued.get("")):
            if queue:
                return queue.popleft()
        return _Broken(None, None, None)


def served(request: Request, blob: Blob, *, shift: int = 0) -> Reply:
    """Answer 200 with everything, 206 with the range asked for, or 416.

    RFC 9110, sections 13.1.5 (If-Range) and 14: a range is honoured only if `If-Range`, where
    there is one, names this very object.
    """
    size = len(blob.content)
    headers = {"Content-Type": blob.kind, "ETag": blob.etag, "Accept-Ranges": "bytes"}
    part = _range(request, size)
    if part is None or request.headers.get("if-range", blob.etag) != blob.etag:
        return Reply(blob.content, 200, headers)
    first, last = part[0] + shift, part[1]
    if first >= size or first > last:
        return Reply(b"", 416, {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Reply(blob.content[first : last + 1], 206, headers)


def _range(request: Request, size: int) -> tuple[int, int] | None:
    """First and last byte; several ranges, or none, are everything."""
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last) if last else size - 1, size - 1)


_Faulty = Callable[[Request, Blob, "int | None"], Reply]


def _cut(request: Request, blob: Blob, at: int | None) -> Reply:
    reply = served(request, blob)
    return replace(reply, cut=_place(reply, at))


def _place(reply: Reply, at: int | None) -> int:
    return len(reply.body) // 2 if at is None else at


def _wrong_range(request: Request, blob: Blob, at: int | None) -> Reply:
    return served(request, blob, shift=1 if at is None else at)


def _wrong_total(request: Request, blob: Blob, at: int | None) -> Reply:
    reply = served(request, blob)
    told = reply.headers.get("Content-Range", "")
    size = str(len(blob.content) + (1 if at is None else at))
    return _with(reply, {"Content-Range": told.rpartition("/")[0] + f"/{size}"} if told else {})


def _no_content_range(request: Request, blob: Blob, at: int | None) -> Reply:
    return _without(served(request, blob), "Content-Range")


def _range_ignored(request: Request, blob: Blob, at: int | None) -> Reply:
    return served(replace(request, headers={}), blob)


def _unsatisfiable(request: Request, blob: Blob, at: int | None) -> Reply:
    return Reply(b"", 416, {"Content-Range": f"bytes */{len(blob.content)}"})


def _expired(request: Request, blob: Blob, at: int | None) -> Reply:
    return Reply(_EXPIRED + b"</Message></Error>", 403, {"Content-Type": "application/xml"})


def _html(request: Request, blob: Blob, at: int | None) -> Reply:
    return Reply(b"<html><body>Please sign in</body></html>", 200, {"Content-Type": "text/html"})


def _empty(request: Request, blob: Blob, at: int | None) -> Reply:
    return Reply(b"", 200, {"ETag": blob.etag})


def _short(request: Request, blob: Blob, at: int | None) -> Reply:
    reply = served(request, blob)
    kept = len(reply.body) - (len(reply.body) // 2 if at is None else at)
    return replace(reply, content=reply.body[:kept])


def _long(request: Request, blob: Blob, at: int | None) -> Reply:
    reply = served(request, blob)
    size = len(reply.body)
    return replace(_with(reply, {"Content-Length": str(size + (at or 1))}), cut=size)


def _corrupted(request: Request, blob: Blob, at: int | None) -> Reply:
    reply = served(request, blob)
    body = bytearray(reply.body)
    if body:
        body[min(_place(reply, at), len(body) - 1)] ^= 0xFF
    return replace(reply, content=bytes(body))


def _unavailable(request: Request, blob: Blob, at: int | None) -> Reply:
    return Reply(b"", 503, {"Retry-After": "0"})


def _gzip(request: Request, blob: Blob, at: int | None) -> Reply:
    reply = served(request, blob)
    encoded = replace(reply, content=gzip.compress(reply.body))
    return _with(encoded, {"Content-Encoding": "gzip"})


def _no_etag(request: Request, blob: Blob, at: int | None) -> Reply:
    return _without(served(request, blob), "ETag")


def _with(reply: Reply, headers: Mapping[str, str]) -> Reply:
    return replace(reply, headers={**reply.headers, **headers})


def _without(reply: Reply, header: str) -> Reply:
    kept = {name: value for name, value in reply.headers.items() if name != header}
    return replace(reply, headers=kept)


_FAULTY: Mapping[DownloadFault, _Faulty] = {
    "cut": _cut,
    "wrong-range": _wrong_range,
    "wrong-total": _wrong_total,
    "no-content-range": _no_content_range,
    "range-ignored": _range_ignored,
    "unsatisfiable": _unsatisfiable,
    "expired": _expired,
    "html": _html,
    "empty": _empty,
    "short": _short,
    "long": _long,
    "corrupted": _corrupted,
    "503": _unavailable,
    "gzip": _gzip,
    "no-etag": _no_etag,
}
