"""Figures on answers against references; which ones depends on what the references are."""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn, cast

PROPORTIONS = frozenset({"json_valid", "json_keys", "exact_match"})
"""Metrics that are right or wrong for each answer; the others lie anywhere from 0 to 1."""


def scores(answers: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Score answers, each from 0 to 1, in the order of the references.

    Where every reference is a JSON object:
        json_valid: the answer is a JSON object and nothing else.
        json_keys: it has the same top-level keys as the reference.
        exact_match: it is equal to the reference as JSON, whatever the order of keys.
    Else:
        exact_match: the same text, but for space around it.
        word_f1: F1 of the words shared with the reference, as SQuAD counts them
            (Rajpurkar et al. 2016, arXiv 1606.05250).

    Raises:
        ValueError: there are more answers than references, or fewer.
    """
    pairs = list(zip(answers, references, strict=True))
    if not pairs:
        return {}
    found = [(_object(answer), _object(reference)) for answer, reference in pairs]
    wanted = [(given, wanted) for given, wanted in found if wanted is not None]
    if len(wanted) == len(found):
        return _json_scores(wanted)
    return {
        "exact_match": _mean([float(a.strip() == b.strip()) for a, b in pairs]),
        "word_f1": _mean([_word_f1(a, b) for a, b in pairs]),
    }


def _json_scores(pairs: list[tuple[dict[str, Any] | None, dict[str, Any]]]) -> dict[str, float]:
    return {
        "json_valid": _mean([float(a is not None) for a, _ in pairs]),
        "json_keys": _mean([float(a is not None and a.keys() == b.keys()) for a, b in pairs]),
        "exact_match": _mean(
            [float(a is not None and _written(a) == _written(b)) for a, b in pairs]
        ),
    }


def _object(text: str) -> dict[str, Any] | None:
    try:
        value: Any = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _written(value: dict[str, Any]) -> str:
    """Write JSON in one way, so that 1, 1.0 and true stay apart."""
    return json.dumps(value, sort_keys=True)


def _word_f1(answer: str, reference: str) -> float:
    ours, theirs = _words(answer), _words(reference)
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))


def _words(text: str) -> list[str]:
    """Cut into words without case, punctuation and articles."""
    bare = text.lower().translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
