"""The way to a judge: any address that answers as OpenAI's chat API does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from tunekit.backends.address import is_loopback
from tunekit.backends.http import Http
from tunekit.backends.secret import Secret
from tunekit.errors import BackendDown, BackendError, SpecError
from tunekit.evaluation.compare import Comparison
from tunekit.evaluation.judge import Ask, judged

_LONGEST = 16
"""Tokens of a verdict."""


def asks(wanted: Mapping[str, Any], *, timeout: float = 120.0) -> Ask:
    """Give what asks a judge.

    Args:
        wanted: `evaluation.judge` of a spec: url, model and the name of the key's variable.
        timeout: Seconds for one verdict, attempts and waits included.

    Raises:
        SpecError: a key would be sent in the clear.
    """
    name = wanted.get("key")
    if name and wanted["url"].startswith("http://") and not is_loopback(wanted["url"]):
        raise SpecError(
            f"evaluation.judge.url: {wanted['url']} is not encrypted, and the key would be read "
            "by others; take https://"
        )
    http = Http(
        backend="judge",
        base_url=wanted["url"],
        key=lambda: _key(name),
        key_name=name or "a key",
        timeout=timeout,
    )

    def ask(messages: list[dict[str, str]]) -> str:
        request = {
            "model": wanted["model"],
            "messages": messages,
            "max_tokens": _LONGEST,
            "temperature": 0,
        }
        told = http.post("chat/completions", request, idempotent=True)
        try:
            return str(told["choices"][0]["message"]["content"] or "")
        except (KeyError, IndexError, TypeError):
            raise BackendDown(
                f"judge: {wanted['url']} gives no answer that can be read", backend="judge"
            ) from None

    return ask


def _key(name: str | None) -> Secret | None:
    """Read the key; a judge that wants none gets a word in its place."""
    if name is None:
        return Secret("none")
    text = os.environ.get(name)
    return Secret(text) if text else None


def added(
    found: Comparison,
    wanted: Mapping[str, Any],
    *,
    clusters: Sequence[int] = (),
    timeout: float = 120.0,
) -> Comparison:
    """Let a judge compare the answers; a judge that cannot be asked takes nothing from the rest."""
    try:
        counts, difference = judged(
            asks(wanted, timeout=timeout),
            model=wanted["model"],
            question=wanted["question"],
            prompts=found.prompts,
            base=found.base.answers,
            tuned=found.tuned.answers,
            clusters=clusters,
        )
    except BackendError as error:
        return found.model_copy(
            update={"notes": (*found.notes, f"the judge was not heard: {error}")}
        )
    more = (difference,) if difference else ()
    return found.model_copy(update={"judge": counts, "differences": (*found.differences, *more)})
