"""Files from a service: whole and as promised, or not at all; what is there is not sent twice."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import httpx

from tunekit.backends.answer import Answer, Attempt, failure
from tunekit.backends.deadline import paced, within
from tunekit.backends.http import Http
from tunekit.backends.inflate import Broken, inflated
from tunekit.backends.outcome import Outcome, judge, retry_after
from tunekit.backends.partial import Partial, held
from tunekit.backends.secret import SignedUrl, hide
from tunekit.backends.store_headers import content_range, length, md5_of, strong_etag
from tunekit.errors import AdapterError, BackendDown, BackendError, RequestRejected, TunekitError

IDLE = 60.0
"""Seconds after which a connection that says nothing is given up."""
_HOPS = 5
_HEAD = 512
_WORDS = 4000
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_EXPIRED = frozenset({400, 401, 403, 404, 410})
_ENCODED = frozenset({"gzip", "x-gzip", "deflate"})
_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*(<!doctype|<html|<\?xml|\{\s*\"error\")", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Link:
    """Where a file is, and what is known of it."""

    url: str = field(repr=False)
    signed: bool
    """Whether the address carries its own permission; it is called without the key then."""
    size: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", SignedUrl(self.url))
        object.__setattr__(self, "sha256", (self.sha256 or "").strip().lower() or None)


def download(
    http: Http,
    link: Callable[[], Link],
    into: Path,
    *,
    most_bytes: int = 20 * 2**30,
    seconds: float = 6 * 3600,
) -> Path:
    """Bring one file home; it appears as a whole by one rename, or not at all.

    A connection that breaks is taken up where it broke, also by another process. Nothing of it
    is left behind once the file is there, or known to be wrong.

    Args:
        http: the service.
        link: asks for the address, anew whenever the last one has expired.
        into: the file; replaced.
        most_bytes: a longer file is refused.
        seconds: for everything.

    Raises:
        BackendDown: the connection broke too often; the next call goes on from what is there.
        RequestRejected, CredentialsError: it was refused.
        AdapterError: something else came than was promised.
        Locked: another process downloads the same file.
    """
    with within(seconds) as end, held(into) as part:
        try:
            _Download(http=http, link=link, part=part, most_bytes=most_bytes, end=end).run()
        except AdapterError:
            part.discard()
            raise
    return into


class _Again(Exception):
    """This attempt failed; the next one may not. `error` is raised when there is none."""

    def __init__(
        self, error: TunekitError, *, asked: float | None = None, expired: bool = False
    ) -> None:
        super().__init__()
        self.error = error
        self.asked = asked
        self.expired = expired


@dataclass(kw_only=True)
class _Download:
    http: Http
    link: Callable[[], Link]
    part: Partial
    most_bytes: int
    end: float

    def run(self) -> None:
        link = self.link()
        self.part.take_up(link.sha256)
        fruitless, furthest = 0, self.part.size
        while (failed := self._tried(link)) is not None:
            fruitless = 1 if self.part.size > furthest else fruitless + 1
            furthest = max(furthest, self.part.size)
            wait = self.http.retry.wait(
                Outcome.AMBIGUOUS,
                idempotent=True,
                attempt=fruitless,
                left=self.end - time.monotonic(),
                asked=failed.asked,
            )
            if wait is None:
                raise failed.error
            self.http.pause(wait)
            if failed.expired:
                link = self._renewed(link)
        self.part.finish(size=link.size, sha256=link.sha256)

    def _renewed(self, old: Link) -> Link:
        new = self.link()
        if (new.size, new.sha256) != (old.size, old.sha256):
            self.part.forget()
        return new

    def _tried(self, link: Link) -> _Again | None:
        """Give None once every byte is there."""
        if self.part.etag and self.part.size == self.part.total:
            return None
        try:
            self._exchange(link)
        except _Again as again:
            return again
        except Broken as error:
            self.part.forget()
            return _Again(self._wrong(f"its encoding is broken ({error})"))
        except httpx.TransportError as error:
            return _Again(self._down(hide(f"the connection broke ({error})")))
        return None

    def _exchange(self, link: Link) -> None:
        for _ in range(_HOPS + 1):
            with self.http.stream(
                link.url, self._headers(), signed=link.signed, timeout=IDLE
            ) as response:
                if response.status_code not in _REDIRECTS or "location" not in response.headers:
                    return self._take(link, response)
                link = self._followed(link, response)
        raise RequestRejected(
            f"{self.http.backend}: {self.name} is more than {_HOPS} redirects away",
            backend=self.http.backend,
        )

    def _headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity", "Accept": "*/*"}
        if self.part.etag and self.part.size:
            headers["Range"] = f"bytes={self.part.size}-"
            headers["If-Range"] = self.part.etag
        return headers

    def _followed(self, link: Link, response: httpx.Response) -> Link:
        """Go where the service sends us, without the key."""
        try:
            url = SignedUrl(httpx.URL(link.url).join(response.headers["location"]))
        except httpx.InvalidURL:
            url = SignedUrl()
        return replace(link, url=self.http.transfer(url), signed=True)

    def _take(self, link: Link, response: httpx.Response) -> None:
        if response.status_code == 200:
            return self._take_whole(link, response)
        if response.status_code == 206 and self.part.etag:
            return self._take_rest(response)
        if response.status_code == 416:
            return self._take_nothing(response)
        raise self._refused(link, response)

    def _take_whole(self, link: Link, response: httpx.Response) -> None:
        """Begin anew: the object changed, or the service gives no parts of it."""
        parts, total = self._parts(link, response)
        if total is not None and (total == 0 or link.size not in (None, total)):
            told = f", and {link.size:,} were promised" if link.size is not None else ""
            raise _Again(self._wrong(f"it is {total:,} bytes long{told}"))
        if (total or 0) > self.most_bytes:
            raise self._wrong(f"it is {total:,} bytes long; at most {self.most_bytes:,} are taken")
        head = _head(parts)
        if response.headers.get("content-type", "").startswith("text/html") or _PAGE.match(head):
            # A proxy's page says nothing of the file: it may come next time.
            raise _Again(self._down(f"a page or an error came in its place: {_told(head)}"))
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        self.part.begin(
            etag="" if encoded else strong_etag(response),
            total=total,
            sha256=link.sha256,
            md5="" if encoded else md5_of(response),
        )
        free = shutil.disk_usage(self.part.path.parent).free
        if (total or 0) > free:
            raise self._wrong(f"{total:,} bytes do not fit on the disk, which has {free:,} free")
        self._write(chain([head], parts))

    def _parts(self, link: Link, response: httpx.Response) -> tuple[Iterator[bytes], int | None]:
        """Give the bytes, and how many there will be."""
        parts = paced(response.iter_raw(), IDLE)
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding == "identity":
            told = length(response)
            return parts, link.size if told is None else told
        if encoding not in _ENCODED:
            raise _Again(self._wrong(f"it came encoded as {encoding!r}, which nobody asked for"))
        return inflated(parts), link.size

    def _take_rest(self, response: httpx.Response) -> None:
        """Add what is missing, if it is exactly that."""
        first, last, total = content_range(response) or (-1, -1, -1)
        exact = (
            first == self.part.size
            and last == total - 1
            and self.part.total in (None, total)
            and length(response) in (None, total - first)
            and strong_etag(response) == self.part.etag
            and response.headers.get("content-encoding", "identity") == "identity"
        )
        if not exact:
            self.part.forget()
            raise _Again(self._wrong("another part of it came than was asked for"))
        self.part.total = total
        self._write(paced(response.iter_raw(), IDLE))

    def _take_nothing(self, response: httpx.Response) -> None:
        """Take the service's word that there are no more bytes, if it is what we know."""
        told = response.headers.get("content-range", "")
        if self.part.etag and self.part.total is None and told == f"bytes */{self.part.size}":
            return
        self.part.forget()
        raise _Again(self._wrong("the service has no such part of it"))

    def _write(self, parts: Iterator[bytes]) -> None:
        most = self.most_bytes if self.part.total is None else self.part.total
        for block in parts:
            if self.part.size + len(block) > most:
                self.part.forget()
                raise _Again(self._wrong(f"more than {most:,} bytes came"))
            self.part.write(block)
        if self.part.total not in (None, self.part.size):
            raise _Again(self._down("the answer ended early"))

    def _refused(self, link: Link, response: httpx.Response) -> Exception:
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = _head(paced(response.iter_raw(), IDLE), _WORDS)
        answer = Answer(response.status_code, headers, body[:_WORDS])
        outcome = judge(answer.status)
        asked = retry_after(headers.get("retry-after"), headers.get("date"))
        error: BackendError = failure(
            f"GET {self.name}",
            Attempt(outcome=outcome, answer=answer, words=answer.words, asked=asked),
            backend=self.http.backend,
            key_name="" if link.signed else self.http.key_name,
            reading=True,
            idempotent=True,
        )
        if outcome is Outcome.REJECTED:
            expired = link.signed and answer.status in _EXPIRED
            return _Again(error, expired=True) if expired else error
        return _Again(error, asked=asked)

    @property
    def name(self) -> str:
        return self.part.path.name.removesuffix(".part")

    def _wrong(self, what: str) -> AdapterError:
        return AdapterError(f"{self.http.backend}: {self.name}: {what}; nothing was kept")

    def _down(self, what: str) -> BackendDown:
        of = "" if self.part.total is None else f" of {self.part.total:,}"
        return BackendDown(
            f"{self.http.backend}: {self.name}: {what} after {self.part.size:,}{of} bytes; "
            "try again later, and it goes on from there",
            backend=self.http.backend,
        )


def _head(parts: Iterator[bytes], least: int = _HEAD) -> bytes:
    """Read so many bytes, or to the end."""
    head = bytearray()
    while len(head) < least and (part := next(parts, None)) is not None:
        head += part
    return bytes(head)


def _told(head: bytes) -> str:
    return hide(repr(head[:80].decode("utf-8", "replace")))
