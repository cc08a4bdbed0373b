"""E-mail addresses, phone, card and account numbers in a text.

Patterns find what may be one; `python-stdnum` and `phonenumbers` say whether it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import phonenumbers
from stdnum import iban, luhn

from tunekit.data.issues import Issue
from tunekit.data.rows import Row
from tunekit.data.words import texts

_EMAIL = re.compile(
    r"(?<![/\w])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,12}\b"
)
_PHONE = re.compile(
    r"(?<![\w.+-])\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){1,4}\b"
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(
    r"(?<![\d.-])(?:\d{4}[ -]){3}\d{4}(?![\d.-])|(?<![\w.-])[3-6]\d{14,15}(?![\w.-])"
)
_DIGITS = re.compile(r"\+\d|\d{4}")
_SAMPLE_HOSTS = ("example.", "test.", "domain.", "email.com", "localhost")


class PersonalData:
    """Finds them; of each row the first."""

    def add(self, row: Row) -> Iterator[Issue]:
        """Name the kind of the first one of a row, and not the text itself."""
        kind = next((found for text in texts(row) if (found := _kind(text))), "")
        if kind:
            yield Issue(
                code="personal-data",
                severity="warning",
                file=row.where.file,
                line=row.where.line,
                message=f"a text holds {kind}",
                fix="replace it by a stand-in such as [EMAIL], unless it is made up",
            )

    def close(self) -> Iterator[Issue]:
        """Add nothing."""
        yield from ()


def _kind(text: str) -> str:
    if "@" in text and any(_is_real(found.group()) for found in _EMAIL.finditer(text)):
        return "an e-mail address"
    if not _DIGITS.search(text):
        return ""
    if any(_is_card(found.group()) for found in _CARD.finditer(text)):
        return "a card number"
    if any(iban.is_valid(found.group()) for found in _IBAN.finditer(text)):
        return "a bank account number (IBAN)"
    if any(_is_phone(found.group()) for found in _PHONE.finditer(text)):
        return "a phone number"
    return ""


def _is_real(address: str) -> bool:
    name, _, host = address.lower().partition("@")
    # As in git@github.com:owner/name.
    sample = host.startswith(_SAMPLE_HOSTS) or host.endswith((".example", ".test"))
    return name != "git" and not sample


def _is_card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return len(set(digits)) > 1 and luhn.is_valid(digits)


def _is_phone(text: str) -> bool:
    """Ask whether the country has such numbers."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text))
    except phonenumbers.NumberParseException:
        return False
