"""Amounts as Google's APIs write them: whole units as text, and billionths."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from tunekit.backends.fireworks.look import table


def dollars(money: Any) -> float | None:
    """Give a `google.type.Money` in US dollars; None when it is no such amount."""
    said = table(money)
    if said.get("currencyCode") != "USD" or not said.keys() & {"units", "nanos"}:
        return None
    try:
        units, nanos = (Decimal(str(said.get(name) or 0)) for name in ("units", "nanos"))
    except InvalidOperation:
        return None
    return float(units + nanos / 10**9)
