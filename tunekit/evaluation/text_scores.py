"""Scores of one answer against one reference, where answers are text."""

from __future__ import annotations

import re
import string
from collections import Counter
from functools import cache
from importlib import import_module
from typing import Any

from tunekit.errors import MissingExtra

_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|-?\.\d+")
_MARKED = re.compile(r"####\s*(.+)")


def exact_match(answer: str, reference: str) -> float:
    """The same text, but for space around it."""
    return float(answer.strip() == reference.strip())


def word_f1(answer: str, reference: str) -> float:
    """F1 of the words shared with the reference, as SQuAD counts them.

    Rajpurkar et al. 2016, arXiv 1606.05250.
    """
    ours, theirs = _words(answer), _words(reference)
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))


def numeric_match(answer: str, reference: str) -> float:
    """The last number of the answer is that of the reference, within a millionth of it.

    After `####`, which marks the result in GSM8K (Cobbe et al. 2021, arXiv 2110.14168), the first.
    """
    said, wanted = number(answer), number(reference)
    if said is None or wanted is None:
        return 0.0
    return float(abs(said - wanted) <= 1e-6 * max(1.0, abs(wanted)))


def number(text: str) -> float | None:
    """Give the number that an answer comes to, or None."""
    marked = _MARKED.findall(text)
    found = _NUMBER.findall(marked[-1] if marked else text)
    return float(found[0 if marked else -1].replace(",", "")) if found else None


def rouge_l(answer: str, reference: str) -> float:
    """F1 of the longest common subsequence of words (Lin 2004), by Google's `rouge-score`.

    Raises:
        MissingExtra: `rouge-score` is not installed.
    """
    return float(_rouge().score(reference, answer)["rougeL"].fmeasure)


def chrf(answer: str, reference: str) -> float:
    """F2 of character 6-grams (Popović 2015), by `sacrebleu`, from 0 to 1.

    Raises:
        MissingExtra: `sacrebleu` is not installed.
    """
    return float(_chrf().sentence_score(answer, [reference]).score) / 100


@cache
def _rouge() -> Any:
    # It cuts words at whatever is neither a letter a to z nor a digit: other scripts need a cutter.
    return library("rouge_score.rouge_scorer").RougeScorer(["rougeL"], tokenizer=_Words())


class _Words:
    """Cuts a text into words of any script for `rouge-score`."""

    def tokenize(self, text: str) -> list[str]:
        """Give the words in lower case."""
        return re.findall(r"\w+", text.lower())


@cache
def _chrf() -> Any:
    return library("sacrebleu.metrics").CHRF()


def library(name: str) -> Any:
    """Import what a score needs.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtra(
            f"this score needs {error.name}: pip install 'tunekit-sdk[evaluation]'",
            backend="local",
        ) from None


def _words(text: str) -> list[str]:
    """Cut into words without case, punctuation and articles."""
    bare = text.lower().translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()
