"""Signed addresses: no key, a signature that ends, and exactly the headers that were signed."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from tunekit.testing.providers.downloads import Blob, Downloads
from tunekit.testing.providers.server import Reply, Request

ROOT = "/_signed/"

_DENIED = (
    "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{}</Code><Message>{}</Message></Error>"
)


@dataclass(frozen=True)
class _Slot:
    size: int
    keep: Callable[[bytes], None]


class Links:
    """Give out addresses of an object store, and answer there."""

    def __init__(self, url: Callable[[], str]) -> None:
        self.downloads = Downloads()
        self.leaks: list[Request] = []
        """Requests that brought a key to an address that needs none."""
        self._url = url
        self._secret = secrets.token_hex(16)
        self._readable: dict[str, bytes | Callable[[], bytes]] = {}
        self._writable: dict[str, _Slot] = {}

    def to_read(self, place: str, content: bytes | Callable[[], bytes]) -> str:
        """Sign an address under which these bytes can be fetched."""
        self._readable[place] = content
        return self._signed("GET", place)

    def to_write(self, place: str, size: int, keep: Callable[[bytes], None]) -> str:
        """Sign an address at which a file of this size can be put."""
        self._writable[place] = _Slot(size, keep)
        return self._signed("PUT", place)

    def forget(self, prefix: str) -> None:
        """Refuse what was to be put below this place."""
        for place in [place for place in self._writable if place.startswith(prefix)]:
            del self._writable[place]

    def expire(self) -> None:
        """Let every address given out so far answer 403."""
        self._secret = secrets.token_hex(16)

    def answer(self, request: Request) -> Reply:
        """Answer a request to an address below `ROOT`."""
        if request.headers.keys() & {"authorization", "x-api-key"}:
            self.leaks.append(request)
            return _denied(400, "InvalidArgument", "A signed address takes no key")
        place = unquote(request.path.removeprefix(ROOT))
        method = "PUT" if request.method == "PUT" else "GET"
        if request.query.get("X-Goog-Signature") != self._signature(method, place):
            return _denied(403, "ExpiredToken", "The signature is wrong or has expired")
        return self._put(request, place) if method == "PUT" else self._get(request, place)

    def _get(self, request: Request, place: str) -> Reply:
        content = self._readable.get(place)
        if content is None:
            return _denied(404, "NoSuchKey", "There is no such object")
        blob = Blob(content if isinstance(content, bytes) else content())
        return self.downloads.serve(request, blob, name=place.rpartition("/")[2])

    def _put(self, request: Request, place: str) -> Reply:
        slot = self._writable.get(place)
        if slot is None:
            return _denied(403, "AccessDenied", "This file is not registered any more")
        signed = {
            "content-type": "application/octet-stream",
            "x-goog-content-length-range": f"{slot.size},{slot.size}",
        }
        if any(request.headers.get(name) != value for name, value in signed.items()):
            return _denied(403, "SignatureDoesNotMatch", f"Signed headers: {signed}")
        if len(request.body) != slot.size:
            return _denied(400, "EntityTooLarge", f"{len(request.body)} bytes, not {slot.size}")
        slot.keep(request.body)
        return Reply(b"")

    def _signed(self, method: str, place: str) -> str:
        signature = self._signature(method, place)
        return f"{self._url()}{ROOT}{quote(place)}?X-Goog-Expires=3600&X-Goog-Signature={signature}"

    def _signature(self, method: str, place: str) -> str:
        return hashlib.sha256(f"{self._secret} {method} {place}".encode()).hexdigest()


def _denied(status: int, code: str, message: str) -> Reply:
    text = _DENIED.format(code, message)
    return Reply(text.encode(), status, {"Content-Type": "application/xml"})
