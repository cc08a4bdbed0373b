"""Addresses: which ones a key or a file may go to."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from urllib.parse import urlsplit

from tunekit.backends.secret import hide
from tunekit.errors import RequestRejected, SpecError


def base_url(given: str | None, variable: str, default: str) -> str:
    """Give the address of a service: the one given, the environment's, or the usual one.

    The environment may point to this machine; any other place must be written in the spec or the
    call, since the key goes there.

    Raises:
        SpecError: the address is not https, or the environment names a foreign one.
    """
    named = os.environ.get(variable, "").strip()
    chosen = (given or named or default).rstrip("/")
    if not is_loopback(chosen) and urlsplit(chosen).scheme != "https":
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
    if on_loopback and is_loopback(url):
        return url
    place = urlsplit(url)
    if place.scheme != "https" or not place.hostname or _is_number(place.hostname):
        raise RequestRejected(
            f"{backend} names {hide(url)!r} for a transfer, which is no https address "
            "of a named host; nothing was sent there",
            backend=backend,
        )
    return url


def is_loopback(url: str) -> bool:
    """Say whether an address is on this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _is_number(host: str) -> bool:
    """Say whether a host is written as a number, in any of the ways that resolvers take."""
    last = host.rstrip(".").rpartition(".")[2].lower()
    return ":" in host or last.isdigit() or last.startswith("0x") or host.endswith("localhost")
