"""Keys, tokens and passwords in a text, by the plugins of `detect-secrets` and a few forms more."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from tunekit.data.issues import Issue
from tunekit.data.rows import Row
from tunekit.data.words import texts

_PLUGINS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "an AWS access key": ("aws", "AWSKeyDetector", ("AKIA", "ASIA", "ABIA", "ACCA")),
    "a GitHub token": ("github_token", "GitHubTokenDetector", ("ghp_", "gho_", "ghu_", "ghs_")),
    "a GitLab token": ("gitlab_token", "GitLabTokenDetector", ("glpat-", "gldt-", "glrt-")),
    "an OpenAI key": ("openai", "OpenAIDetector", ("T3BlbkFJ",)),
    "a Slack token": ("slack", "SlackDetector", ("xox", "hooks.slack.com")),
    "a Stripe key": ("stripe", "StripeDetector", ("k_live_",)),
    "a private key": ("private_key", "PrivateKeyDetector", ("PRIVATE KEY", "PuTTY-User-Key")),
    "a JSON web token": ("jwt", "JwtTokenDetector", ("eyJ",)),
    "an npm token": ("npm", "NpmDetector", (":_authToken=",)),
    "a PyPI token": ("pypi_token", "PypiTokenDetector", ("pypi-AgE",)),
    "a SendGrid key": ("sendgrid", "SendGridDetector", ("SG.",)),
    "a Square token": ("square_oauth", "SquareOAuthDetector", ("sq0csp-",)),
    "a Telegram token": ("telegram_token", "TelegramBotTokenDetector", (":AA",)),
    "an Azure storage key": ("azure_storage_key", "AzureStorageKeyDetector", ("AccountKey=",)),
    "a password in a URL": ("basic_auth", "BasicAuthDetector", ("://",)),
}
"""Module and class of each plugin, and what a text must hold for it: looking for these is quick."""
_FORMS = {
    "an API key (sk-...)": r"\bsk-(?:proj-|ant-|or-|svcacct-)?[A-Za-z0-9_-]{20,200}\b",
    "a GitHub token": r"\bgithub_pat_[A-Za-z0-9_]{60,255}\b",
    "a Hugging Face token": r"\bhf_[A-Za-z]{30,60}\b",
    "a Google API key": r"\bAIza[A-Za-z0-9_-]{35}\b",
}
"""Forms that their makers publish and `detect-secrets` does not know."""
_ANY = re.compile("|".join(f"(?P<f{i}>{form})" for i, form in enumerate(_FORMS.values())))
_NAMES = tuple(_FORMS)
_SIGNS = ("sk-", "github_pat_", "hf_", "AIza")
_EVERY = re.compile(
    "|".join(
        re.escape(sign)
        for sign in (*_SIGNS, *(sign for *_, signs in _PLUGINS.values() for sign in signs))
    )
)
_PASSWORD = re.compile(r"://[^\s/@]{1,100}:[^\s/@]{1,200}@")
_SAMPLE = re.compile(
    r"x{6}|X{6}|EXAMPLE|example|your|YOUR|1234567890|abcdefgh|0{8}|\*{3}|\.{3}"
    r"|^(?:pass(?:word|wd)?|pw|pwd|secret|user(?:name)?|token|admin|root|postgres|test)\d*$",
    re.ASCII,
)
"""What stands in documentation in the place of a key."""
_BEFORE, _AFTER, _PLACES = 200, 4000, 20
"""Characters around a sign that a plugin gets, and signs of one kind in a text that are followed:
some of its forms take time with the square of the length."""


class Secrets:
    """Finds them. A message shows the first characters only."""

    def add(self, row: Row) -> Iterator[Issue]:
        """Name the first one of a row."""
        for text in texts(row):
            if found := _first(text):
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
    if not _EVERY.search(text):
        return None
    if any(sign in text for sign in _SIGNS):
        for found in _ANY.finditer(text):
            if not _SAMPLE.search(found.group()):
                return _NAMES[int((found.lastgroup or "f0")[1:])], found.group()[:6]
    for kind, (module, name, signs) in _PLUGINS.items():
        places = _password(text) if name == "BasicAuthDetector" else _windows(text, signs)
        for place in places:
            if secret := next(filter(_is_real, _plugin(module, name)(place)), None):
                # Of a password nothing is shown, and of a key what tells its kind.
                return kind, "" if name == "BasicAuthDetector" else secret[:6]
    return None


def _windows(text: str, signs: Iterable[str]) -> Iterator[str]:
    """Give the text around each sign."""
    for sign in signs:
        at = text.find(sign)
        for _ in range(_PLACES):
            if at < 0:
                break
            yield text[max(0, at - _BEFORE) : at + _AFTER]
            at = text.find(sign, at + _AFTER)


def _password(text: str) -> Iterator[str]:
    """Give the URLs of a text with a name and a password."""
    if "://" in text and "@" in text:
        yield from (found.group() for found in _PASSWORD.finditer(text))


@functools.cache
def _plugin(module: str, name: str) -> Callable[[str], Iterable[str]]:
    """Load a plugin when it is first needed: they bring `requests` with them."""
    made: Any = getattr(import_module(f"detect_secrets.plugins.{module}"), name)()
    analyse: Callable[[str], Iterable[str]] = made.analyze_string
    return analyse


def _is_real(secret: str) -> bool:
    heuristic: Any = import_module("detect_secrets.filters.heuristic")
    return not (
        _SAMPLE.search(secret)
        or heuristic.is_templated_secret(secret)
        or heuristic.is_sequential_string(secret)
    )
