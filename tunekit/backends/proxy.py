"""Which proxy of the environment a host is reached by."""

from __future__ import annotations

from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from tunekit.backends.address import is_loopback_host


def proxy_for(url: httpx.URL) -> str:
    """Give the proxy of an address, "" for none; this machine is never reached by one."""
    if is_loopback_host(url.host) or proxy_bypass(url.host):
        return ""
    named = getproxies()
    found = named.get(url.scheme) or named.get("all") or ""
    return found if "://" in found or not found else f"http://{found}"


def pool(proxy: str, **settings: Any) -> httpcore.ConnectionPool:
    """Open no connection yet, by a proxy or without one.

    Raises:
        httpx.ProxyError: the proxy is of a kind that we do not speak with.
    """
    if not proxy:
        return httpcore.ConnectionPool(**settings)
    try:
        place = httpx.Proxy(proxy)
    except (ValueError, httpx.InvalidURL):
        place = None
    if place is None or place.url.scheme not in ("http", "https"):
        raise httpx.ProxyError("the proxy of the environment is no http or https address")
    return httpcore.HTTPProxy(
        httpcore.URL(
            scheme=place.url.raw_scheme,
            host=place.url.raw_host,
            port=place.url.port,
            target=b"/",
        ),
        proxy_auth=place.raw_auth,
        **settings,
    )
