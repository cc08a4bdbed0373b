"""What object stores say of a file beside its bytes."""

from __future__ import annotations

import base64
import binascii
import re

import httpx

_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_STRONG = re.compile(r'"[!#-~\x80-\xff]+"')
_MD5 = re.compile(r"(?:^|[\s,])md5=([A-Za-z0-9+/]{22}==)")


def strong_etag(response: httpx.Response) -> str:
    """Give the tag that no other bytes have; a weak one says too little (RFC 9110, 8.8.3)."""
    tag = response.headers.get("etag", "").strip()
    return tag if _STRONG.fullmatch(tag) else ""


def content_range(response: httpx.Response) -> tuple[int, int, int] | None:
    """Give first byte, last byte and size (RFC 9110, 14.4); None unless all three are said."""
    match = _RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if match is None:
        return None
    first, last, size = match.groups()
    return int(first), int(last), int(size)


def length(response: httpx.Response) -> int | None:
    """Give the bytes of the body, where they are told before."""
    told = response.headers.get("content-length", "")
    return int(told) if told.isascii() and told.isdigit() else None


def md5_of(response: httpx.Response) -> str:
    """Give the hash (hex) that Google Cloud Storage sends along, or nothing.

    That of an object that is kept compressed is not the hash of what is sent.
    """
    if response.headers.get("x-goog-stored-content-encoding", "identity") != "identity":
        return ""
    match = _MD5.search(response.headers.get("x-goog-hash", ""))
    if match is None:
        return ""
    try:
        return base64.b64decode(match[1], validate=True).hex()
    except binascii.Error:
        return ""
