"""Languages of the answers, by script and by the small words of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from tunekit.data.issues import Issue
from tunekit.data.rows import Row, Where
from tunekit.data.words import answered

_SMALL = {
    "English": "the of and to in is that for it with as was on are this be not have from you",
    "German": "der die das und ist nicht ein eine zu mit den auf für von im dem sich auch wird ich",
    "French": "le la les et est pas un une des du que dans pour avec sur au ce qui vous nous",
    "Spanish": "el los las y es no un una de que en por con para del se lo como su más",
    "Italian": "il gli e è non un una di che per con del della sono si nel da più anche come",
    "Portuguese": "o os as e é não um uma de que em por com para do da se mais como foi",
    "Dutch": "de het een en is niet van op te dat in met voor zijn die aan er ook maar",
}
_SETS = {name: frozenset(words.split()) for name, words in _SMALL.items()}
_SCRIPTS = {
    "Japanese": re.compile(r"[\u3040-\u30ff]"),
    "Chinese": re.compile(r"[\u4e00-\u9fff]"),
    "Korean": re.compile(r"[\uac00-\ud7af]"),
    "Russian or another in Cyrillic": re.compile(r"[\u0400-\u04ff]"),
    "Greek": re.compile(r"[\u0370-\u03ff]"),
    "Arabic": re.compile(r"[\u0600-\u06ff]"),
    "Hebrew": re.compile(r"[\u0590-\u05ff]"),
    "Hindi or another in Devanagari": re.compile(r"[\u0900-\u097f]"),
    "Thai": re.compile(r"[\u0e00-\u0e7f]"),
}
_HEAD = 600
"""Characters of an answer that are looked at."""
_LEAST, _MOST = 0.01, 0.10
"""A share below is chance, above it is meant."""


class Languages:
    """Counts them; a language with 1 % to 10 % of the rows is named, with its first row."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, Where] = {}

    def add(self, row: Row) -> Iterator[Issue]:
        """Count a row."""
        found = language(answered(row))
        if found:
            self._counts[found] += 1
            self._first.setdefault(found, row.where)
        yield from ()

    def close(self) -> Iterator[Issue]:
        """Name the languages of few rows."""
        total = sum(self._counts.values())
        for name, count in self._counts.most_common()[1:]:
            if _LEAST <= count / total <= _MOST and count > 1:
                yield Issue(
                    code="mixed-languages",
                    severity="warning",
                    file=self._first[name].file,
                    line=self._first[name].line,
                    message=f"{count:,} of {total:,} answers seem to be {name}, most are "
                    f"{self._counts.most_common(1)[0][0]}; this is the first",
                    fix="check that they are meant; rows that strayed in belong out",
                )


def language(text: str) -> str:
    """Guess the language of a text; empty where there is too little to go by."""
    head = text[:_HEAD]
    if not head.isascii():
        letters = sum(map(str.isalpha, head))
        for name, script in _SCRIPTS.items():
            if len(script.findall(head)) > 0.3 * letters > 0:
                return name
    words = set(head.lower().split())
    votes = sorted(((len(small & words), name) for name, small in _SETS.items()), reverse=True)
    (most, first), (next_most, _) = votes[:2]
    return first if most >= 3 and most > 1.3 * next_most else ""
