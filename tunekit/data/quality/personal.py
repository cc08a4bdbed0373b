"""E-mail addresses, phone, card and account numbers in a text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tunekit.data.issues import Issue
from tunekit.data.rows import Row
from tunekit.data.words import texts

_EMAIL = re.compile(
    r"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,12}\b"
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
    if any(_luhn(found.group()) for found in _CARD.finditer(text)):
        return "a card number"
    if any(_mod97(found.group()) for found in _IBAN.finditer(text)):
        return "a bank account number (IBAN)"
    phones = (re.sub(r"\D", "", found.group()) for found in _PHONE.finditer(text))
    return "a phone number" if any(8 <= len(digits) <= 15 for digits in phones) else ""


def _is_real(address: str) -> bool:
    host = address.partition("@")[2].lower()
    return not host.startswith(_SAMPLE_HOSTS) and not host.endswith((".example", ".test"))


def _luhn(text: str) -> bool:
    """Check the last digit (ISO/IEC 7812-1)."""
    digits = [int(char) for char in text if char.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _mod97(text: str) -> bool:
    """Check the two digits behind the country (ISO 13616)."""
    flat = text.replace(" ", "")
    moved = flat[4:] + flat[:4]
    return 15 <= len(flat) <= 34 and int("".join(str(int(char, 36)) for char in moved)) % 97 == 1
