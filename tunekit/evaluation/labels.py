"""Answers that are labels: which ones there are, who is taken for whom, and macro-F1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from tunekit.evaluation.paired import Measure, figure_difference

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tunekit.evaluation.verdict import Difference

_MOST, _PER_LABEL, _LONGEST = 20, 5, 40
"""So few different answers, each given so often on average and no longer, are labels."""
_OTHER = "(something else)"


class Confusion(BaseModel):
    """How often each label was answered with which, by base and tuned model."""

    model_config = ConfigDict(frozen=True)

    labels: tuple[str, ...]
    """As the references have them; the last column is any other answer."""
    base: tuple[tuple[int, ...], ...]
    """[reference, answer]."""
    tuned: tuple[tuple[int, ...], ...]


def label(text: str) -> str:
    """Give an answer as a label: without case, space around it and a full stop."""
    return text.strip().rstrip(".!").strip().casefold()


def labels(references: Sequence[str]) -> tuple[str, ...]:
    """Give the labels where references are labels; else nothing."""
    counts = Counter(label(text) for text in references)
    few = 1 < len(counts) <= _MOST and len(counts) * _PER_LABEL <= len(references)
    short = all(name and len(name) <= _LONGEST and "\n" not in name for name in counts)
    return tuple(sorted(counts)) if few and short else ()


def label_match(answer: str, reference: str) -> float:
    """The same label."""
    return float(label(answer) == label(reference))


def confusion(
    known: Sequence[str], base: Sequence[str], tuned: Sequence[str], references: Sequence[str]
) -> Confusion:
    """Count the answers by label of the reference and label of the answer."""
    return Confusion(
        labels=(*known, _OTHER),
        base=_table(known, base, references),
        tuned=_table(known, tuned, references),
    )


def macro_f1_difference(
    known: Sequence[str],
    base: Sequence[str],
    tuned: Sequence[str],
    references: Sequence[str],
    *,
    clusters: Sequence[int],
) -> Difference | None:
    """Compare macro-F1: the mean over all labels of the harmonic mean of precision and recall."""
    return figure_difference(
        Measure("macro_f1", "score", "higher"),
        _counts(known, base, references),
        _counts(known, tuned, references),
        clusters=clusters,
        statistic=macro_f1,
    )


def macro_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give macro-F1 of true positives, false positives and false negatives, [..., 3 x labels].

    A label that is neither wanted nor answered has no F1 and is left out.
    """
    import numpy as np

    right, extra, missed = np.split(sums, 3, axis=-1)
    weight = 2 * right + extra + missed
    each = np.divide(2 * right, weight, out=np.zeros_like(weight), where=weight > 0)
    mean: NDArray[np.float64] = each.sum(-1) / np.maximum(1, (weight > 0).sum(-1))
    return mean


def _counts(
    known: Sequence[str], answers: Sequence[str], references: Sequence[str]
) -> NDArray[np.float64]:
    import numpy as np

    place = {name: number for number, name in enumerate(known)}
    found = np.zeros((len(answers), 3 * len(known)))
    for row, (answer, reference) in enumerate(zip(answers, references, strict=True)):
        said, wanted = place.get(label(answer)), place[label(reference)]
        if said == wanted:
            found[row, wanted] = 1
            continue
        found[row, 2 * len(known) + wanted] = 1
        if said is not None:
            found[row, len(known) + said] = 1
    return found


def _table(
    known: Sequence[str], answers: Sequence[str], references: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    pairs = Counter(zip(map(label, references), map(label, answers), strict=True))
    rows = ([pairs[wanted, said] for said in known] for wanted in known)
    total = Counter(map(label, references))
    return tuple((*row, total[wanted] - sum(row)) for wanted, row in zip(known, rows, strict=True))
