"""Keys, tokens and passwords in a text, by the forms that their makers publish."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tunekit.data.issues import Issue
from tunekit.data.rows import Row
from tunekit.data.words import texts

_FORMS = {
    "an AWS access key": r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b|\bgithub_pat_[A-Za-z0-9_]{60,255}\b",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,64}\b",
    "an API key (sk-...)": r"\bsk-(?:proj-|ant-|or-|svcacct-)?[A-Za-z0-9_-]{20,200}\b",
    "a Hugging Face token": r"\bhf_[A-Za-z]{30,60}\b",
    "a Google API key": r"\bAIza[A-Za-z0-9_-]{35}\b",
    "a Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,200}\b",
    "a Stripe key": r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,200}\b",
    "a private key": r"-----BEGIN (?:[A-Z]{2,12} ){0,2}PRIVATE KEY-----",
    "a JSON web token": r"\beyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.[\w-]{10,}",
}
_ANY = re.compile("|".join(f"(?P<f{i}>{form})" for i, form in enumerate(_FORMS.values())))
_NAMES = tuple(_FORMS)
_SIGNS = (
    *("AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "sk-"),
    *("hf_", "AIza", "xox", "k_live_", "k_test_", "-----BEGIN", "eyJ"),
)
"""What a text must hold at least: looking for these is quicker than the forms."""
_SAMPLE = re.compile(r"x{6}|X{6}|EXAMPLE|example|your|YOUR|1234567890|abcdefgh|0{8}", re.ASCII)
"""What stands in documentation in the place of a key."""


class Secrets:
    """Finds them. A message shows the first characters only."""

    def add(self, row: Row) -> Iterator[Issue]:
        """Name the first one of a row."""
        for text in texts(row):
            if any(sign in text for sign in _SIGNS) and (found := _first(text)):
                kind, start = found
                yield Issue(
                    code="secret",
                    severity="warning",
                    file=row.where.file,
                    line=row.where.line,
                    message=f"a text holds {kind}: {start}...",
                    fix="revoke it, then remove it: a model can repeat what it was trained on",
                )
                return

    def close(self) -> Iterator[Issue]:
        """Add nothing."""
        yield from ()


def _first(text: str) -> tuple[str, str] | None:
    for found in _ANY.finditer(text):
        if not _SAMPLE.search(found.group()):
            return _NAMES[int((found.lastgroup or "f0")[1:])], found.group()[:6]
    return None
