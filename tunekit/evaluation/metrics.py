"""Figures on answers against references; which ones depends on what the references are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, cast

from tunekit.errors import SpecError
from tunekit.evaluation import json_scores, labels, text_scores

Score = Callable[[str, str], float]
"""From answer and reference to a number, usually from 0 to 1."""


@dataclass(frozen=True)
class Metric:
    """One figure on answers; the mean over all of them."""

    name: str
    score: Score
    proportion: bool = True
    """Each answer is either right or wrong."""
    specific: bool = True
    """Only what beats the references of other rows counts as a gain."""
    bounded: bool = True
    """From 0 to 1."""

    def over(self, answers: Sequence[str], references: Sequence[str]) -> list[float]:
        """Score each answer.

        Raises:
            SpecError: a function of the user gives no number.
        """
        return [
            self._one(answer, reference)
            for answer, reference in zip(answers, references, strict=True)
        ]

    def _one(self, answer: str, reference: str) -> float:
        try:
            return float(self.score(answer, reference))
        except (TypeError, ValueError) as error:
            raise SpecError(
                f"evaluation.metrics: {self.name} gives no number for an answer: {error}"
            ) from error


def exact_match(answer: str, reference: str) -> float:
    """The reference: as JSON where it is an object, else as text but for space around it."""
    as_json = json_scores.parsed(reference) is not None
    return (json_scores.equal if as_json else text_scores.exact_match)(answer, reference)


_KNOWN = {
    metric.name: metric
    for metric in (
        Metric("exact_match", exact_match),
        Metric("accuracy", labels.label_match),
        Metric("numeric_match", text_scores.numeric_match),
        Metric("json_values", json_scores.values, proportion=False),
        Metric("json_valid", json_scores.valid, specific=False),
        Metric("json_keys", json_scores.keys, specific=False),
        Metric("word_f1", text_scores.word_f1, proportion=False),
        Metric("rouge_l", text_scores.rouge_l, proportion=False),
        Metric("chrf", text_scores.chrf, proportion=False),
    )
}
_LIBRARIES = {"rouge_l": "rouge_score", "chrf": "sacrebleu"}
_NUMERIC = 0.9
"""Share of references with a number in the end that makes all of them results."""
PROPORTIONS = frozenset(name for name, metric in _KNOWN.items() if metric.proportion)
"""Metrics that are right or wrong for each answer; the others lie anywhere from 0 to 1."""


def fitting(references: Sequence[str]) -> tuple[str, ...]:
    """Name the metrics that fit the references, the one that tells most first.

    JSON objects are held to their values; a few short texts that repeat are labels; numbers, or
    `####` before a number as in GSM8K, are results; all else is prose.
    """
    if not references:
        return ()
    if all(json_scores.parsed(text) is not None for text in references):
        return ("json_values", "exact_match", "json_valid", "json_schema", "json_keys")
    if labels.labels(references):
        return ("accuracy", "macro_f1")
    if sum(map(_is_result, references)) >= _NUMERIC * len(references):
        return ("numeric_match", "exact_match")
    prose = ("chrf", "rouge_l", "word_f1", "exact_match")
    return tuple(name for name in prose if find_spec(_LIBRARIES.get(name, "json")))


def is_prose(names: Sequence[str]) -> bool:
    """Say whether answers can be right in many ways, so that no score of them should decide."""
    return "word_f1" in names or not names


def metric(
    name: str, references: Sequence[str], *, json_schema: Mapping[str, Any] | None = None
) -> Metric:
    """Give a metric by its name, or the function that `module:function` names.

    Raises:
        SpecError: there is no such function.
    """
    if name == "json_schema":
        wanted = json_schema or json_scores.schema(references)
        return Metric(name, json_scores.validator(wanted), specific=False)
    if name in _KNOWN:
        return _KNOWN[name]
    return Metric(name.rpartition(":")[2], _function(name), False, specific=False, bounded=False)


def scores(answers: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Give the mean of every metric that fits, each from 0 to 1, in the order of `fitting`.

    Raises:
        ValueError: there are more answers than references, or fewer.
    """
    pairs = list(zip(answers, references, strict=True))
    names = [name for name in fitting(references) if name != "macro_f1"]
    found = {name: metric(name, references).over(answers, references) for name in names}
    return {name: sum(values) / len(pairs) for name, values in found.items()}


def _is_result(reference: str) -> bool:
    if text_scores.number(reference) is None:
        return False
    return "####" in reference or not any(map(str.isalpha, reference))


def _file(path: str) -> Any:
    spec = spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _function(name: str) -> Score:
    module, _, path = name.rpartition(":")
    try:
        found: Any = _file(module) if module.endswith(".py") else import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, OSError, AttributeError) as error:
        raise SpecError(
            f"evaluation.metrics: {name!r} cannot be imported where the model is measured: {error}"
        ) from error
    if not callable(found):
        raise SpecError(f"evaluation.metrics: {name!r} is no function")
    return cast("Score", found)
