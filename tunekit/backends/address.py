"""Addresses: which ones a key or a file may go to."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from urllib.parse import SplitResult, urlsplit

import httpx

from tunekit.backends.secret import SignedUrl, hide
from tunekit.errors import RequestRejected, SpecError

_ODD = re.compile(r"[\s\\\x00-\x1f\x7f]")
"""What parsers of addresses disagree about."""


def base_url(given: str | None, variable: str, default: str) -> str:
    """Give the address of a service: the one given, the environment's, or the usual one.

    The environment may point to this machine; any other place must be written in the spec or the
    call, since the key goes there.

    Raises:
        SpecError: the address is not https, or the environment names a foreign one.
    """
    named = os.environ.get(variable, "").strip()
    chosen = (given or named or default).rstrip("/")
    place = _split(chosen)
    if place is None or not place.hostname or place.username or place.query or place.fragment:
        raise SpecError(
            f"backend.base_url: {_public(chosen)} is no plain address; "
            f"write one like {default}, without a user, a query or a fragment"
        )
    if not is_loopback(chosen) and place.scheme != "https":
        raise SpecError(
            f"backend.base_url: {chosen} is not https; the key would travel in the open"
        )
    if not given and named and chosen != default and not is_loopback(chosen):
        raise SpecError(
            f"{variable} sends the key and the data to {chosen}; "
            f"if that is meant, write base_url: {chosen} in the backend's options, else unset it"
        )
    return chosen


def transfer(url: str, *, backend: str, on_loopback: bool) -> str:
    """Give an address that a service names for a transfer, if data may go there.

    Raises:
        RequestRejected: it is not https, or names a machine by its number.
    """
    url = SignedUrl(url)
    if (on_loopback and is_loopback(url)) or _is_public(url):
        return url
    raise RequestRejected(
        f"{backend} names {hide(url)!r} for a transfer, which is no https address "
        "of a named host; nothing was sent there",
        backend=backend,
    )


def is_loopback(url: str) -> bool:
    """Say whether an address is on this machine."""
    place = _split(url)
    if place is None or place.scheme not in ("http", "https"):
        return False
    return is_loopback_host(place.hostname or "")


def is_loopback_host(host: str) -> bool:
    """Say whether a host is this machine, written in the usual ways."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _is_public(url: str) -> bool:
    place = _split(url)
    if place is None or place.scheme != "https" or "@" in place.netloc:
        return False
    with contextlib.suppress(httpx.InvalidURL):
        # As it is called: other digits and dots are made ASCII by then.
        host = httpx.URL(url).raw_host.decode("ascii")
        return bool(host) and not _is_number(host)
    return False


def _is_number(host: str) -> bool:
    """Say whether a host is a number in any of the ways that resolvers take, or this machine."""
    last = host.rstrip(".").rpartition(".")[2].lower()
    ours = last in ("localhost", "localdomain", "ip6-localhost", "ip6-loopback")
    return ours or not last or ":" in host or last.isdigit() or last.startswith("0x")


def _split(url: str) -> SplitResult | None:
    """Take an address apart; None for what another parser may read in another way."""
    if _ODD.search(url):
        return None
    try:
        place = urlsplit(url)
        return place if place.port is None or place.port > 0 else None
    except ValueError:
        return None


def _public(url: str) -> str:
    """Leave out who signs in, and what signs."""
    return repr(hide(re.sub(r"//[^/@]*@", "//***@", url)))
