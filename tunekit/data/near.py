"""Texts that are almost the same: MinHash over word 5-grams, banded, then compared.

Broder, "On the resemblance and containment of documents" (1997); Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", chapter 3, for the bands.
"""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import rensa

THRESHOLD = 0.8
"""Jaccard similarity from which two texts count as near copies."""
PERMUTATIONS = 256
"""Of each minimum 4 bits are kept (Li and Koenig, "b-bit minwise hashing", 2010): the standard
error of the estimate is 0.026 at a similarity of 0.8."""
MARGIN = 0.03
"""The estimate must be above the threshold by so much, so that few pairs below it pass."""
BANDS, WIDTH = 8, 5
"""Two texts meet in a band with probability 1 - (1 - s^5)^8: 0.991 at s = 0.85, 0.96 at 0.8."""
GRAM = 5
SHINGLES = 4000
"""Of a longer text the first so many grams count."""
LEADERS = 8
"""Texts of one band that others are compared with; a million equal rows stay linear."""

_SEED = 42
_MINHASH: Any = vars(rensa)["RMinHash"]
_LOWEST = int("1" * PERMUTATIONS, 16)


class Near:
    """Finds near copies among texts that are given one by one; 160 bytes are kept of each."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold + MARGIN
        self._signatures = bytearray()
        self._bands = array("I")
        self._count = 0

    def add(self, text: str) -> int:
        """Take a text; gives its index, from 0."""
        sketch = _MINHASH(PERMUTATIONS, _SEED)
        sketch.update(shingles(text))
        digest = array("I", sketch.digest())
        raw = digest.tobytes()
        pairs = zip(
            raw[:: 2 * digest.itemsize], raw[digest.itemsize :: 2 * digest.itemsize], strict=True
        )
        self._signatures += bytes((high & 15) << 4 | low & 15 for high, low in pairs)
        step = WIDTH * digest.itemsize
        bands = (hash(raw[i * step : (i + 1) * step]) for i in range(BANDS))
        self._bands.extend(band & 0xFFFFFFFF for band in bands)
        self._count += 1
        return self._count - 1

    def __len__(self) -> int:
        return self._count

    def pairs(self) -> dict[int, tuple[int, float]]:
        """Give every text that is a near copy of an earlier one, with the nearest and how near."""
        best: dict[int, tuple[int, float]] = {}
        for group in self._groups():
            for later, earlier, similarity in self._compared(group):
                if similarity > best.get(later, (0, 0.0))[1]:
                    best[later] = (earlier, similarity)
        return best

    def clusters(self) -> list[list[int]]:
        """Give the groups of texts that near copies tie together, each in order."""
        leader = list(range(self._count))

        def find(index: int) -> int:
            while leader[index] != index:
                leader[index] = index = leader[leader[index]]
            return index

        for group in self._groups():
            for later, earlier, _ in self._compared(group):
                one, other = find(later), find(earlier)
                leader[max(one, other)] = min(one, other)
        found: dict[int, list[int]] = {}
        for index in range(self._count):
            if (first := find(index)) != index:
                found.setdefault(first, [first]).append(index)
        return list(found.values())

    def similarity(self, one: int, other: int) -> float:
        """Estimate the Jaccard similarity of two texts, from 0 to 1."""
        size = PERMUTATIONS // 2
        a = int.from_bytes(self._signatures[one * size : (one + 1) * size], "big")
        b = int.from_bytes(self._signatures[other * size : (other + 1) * size], "big")
        unlike = a ^ b
        unlike |= unlike >> 2
        unlike |= unlike >> 1
        equal = 1 - (unlike & _LOWEST).bit_count() / PERMUTATIONS
        # One of 16 unequal minima agrees by chance.
        return max(0.0, (equal - 1 / 16) / (1 - 1 / 16))

    def _groups(self) -> Iterator[Sequence[int]]:
        """Give the texts that share a band, two or more, each group in order."""
        for band in range(BANDS):
            keys = self._bands[band::BANDS]
            ordered = sorted(range(self._count), key=keys.__getitem__)
            for _, members in groupby(ordered, key=keys.__getitem__):
                group = list(members)
                if len(group) > 1:
                    yield group

    def _compared(self, group: Sequence[int]) -> Iterator[tuple[int, int, float]]:
        """Compare each text of a group with the first ones that differ from one another."""
        leaders = [group[0]]
        for later in group[1:]:
            nearest = max(leaders, key=lambda leader: self.similarity(later, leader))
            similarity = self.similarity(later, nearest)
            if similarity >= self._threshold:
                yield later, nearest, similarity
            elif len(leaders) < LEADERS:
                leaders.append(later)


def normalised(text: str) -> str:
    """Give a text without differences of case, width and blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shingles(text: str) -> list[str]:
    """Give the word 5-grams of a text; of one with few blanks, as Chinese has, of characters."""
    flat = normalised(text)
    words = flat.split(" ")
    if len(flat) > 12 * len(words):
        words = list(flat.replace(" ", ""))
    if len(words) <= GRAM:
        return [" ".join(words)]
    tails = (words[i : i + SHINGLES] for i in range(GRAM))
    return [" ".join(gram) for gram in zip(*tails, strict=False)]
