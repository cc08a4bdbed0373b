"""Functions that score answers: found by their names, called as TRL calls them, and checked."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module, util
from pathlib import Path
from typing import Any, cast

from tunekit.errors import SpecError

Score = float | None
_OF_TRL = frozenset(
    {
        *("prompts", "completions", "completion_ids"),
        *("trainer_state", "log_extra", "log_metric", "environments"),
    }
)
"""What TRL gives by itself; everything else is a column of the rows."""


def exact_match(completions: Sequence[Any], answer: Sequence[Any], **columns: Any) -> list[Score]:
    """Give 1 for an answer that is the row's `answer`, letter for letter but for outer spaces."""
    both = zip(completions, answer, strict=True)
    return [float(said(each).strip() == str(wanted).strip()) for each, wanted in both]


def json_valid(completions: Sequence[Any], **columns: Any) -> list[Score]:
    """Give 1 for an answer that is JSON and nothing else."""
    return [float(_is_json(said(each))) for each in completions]


def pattern(completions: Sequence[Any], pattern: Sequence[str], **columns: Any) -> list[Score]:
    """Give 1 for an answer that the row's regular expression `pattern` fits from end to end."""
    both = zip(completions, pattern, strict=True)
    return [float(bool(re.fullmatch(each, said(one).strip(), re.S))) for one, each in both]


BUILT_IN: Mapping[str, Callable[..., Any]] = {
    "exact_match": exact_match,
    "json_valid": json_valid,
    "pattern": pattern,
}


def said(completion: Any) -> str:
    """Give the text of a completion: of a chat, what the last turn says."""
    if isinstance(completion, str):
        return completion
    return str(cast("Sequence[Mapping[str, Any]]", completion)[-1].get("content") or "")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class RewardFunction:
    """A reward function under the name that the spec has for it; its faults name it."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        # What TRL calls it in its metrics: `rewards/{__name__}/mean`.
        self.__name__ = name.rpartition(":")[2].rpartition(".")[2]
        self._function = function
        taken = inspect.signature(function).parameters.values()
        self._takes_all = any(each.kind is each.VAR_KEYWORD for each in taken)
        named = [each for each in taken if each.kind in (each.POSITIONAL_OR_KEYWORD, _KEYWORD)]
        self._takes = frozenset(each.name for each in named)
        self.columns = (
            frozenset(each.name for each in named if each.default is each.empty) - _OF_TRL
        )
        """Columns of the rows that it cannot do without."""

    def __call__(self, *, completions: Sequence[Any], **given: Any) -> list[Score]:
        """Score the completions.

        Raises:
            SpecError: it fails, or does not give one finite number or None for each.
        """
        given = {"completions": completions, **given}
        if not self._takes_all:
            given = {name: value for name, value in given.items() if name in self._takes}
        try:
            found = self._function(**given)
            if inspect.iscoroutine(found):
                found = asyncio.run(found)
        except Exception as error:
            raise self._fault(f"fails: {type(error).__name__}: {error}") from error
        return self._checked(found, len(completions))

    def _checked(self, found: Any, count: int) -> list[Score]:
        if not isinstance(found, Iterable) or isinstance(found, (str, bytes)):
            raise self._fault(f"gives {type(found).__name__}, not a list of numbers")
        scores = [_number(each) for each in cast("Sequence[Any]", found)]
        if len(scores) != count:
            raise self._fault(f"gives {len(scores)} scores for {count} completions")
        for score in scores:
            if score is not None and not math.isfinite(score):
                raise self._fault("gives a score that is no finite number; give None to abstain")
        return scores

    def _fault(self, what: str) -> SpecError:
        return SpecError(f"objective.rewards: the reward function {self.name} {what}")


_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def _number(value: Any) -> Score:
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def load(names: Iterable[str], paths: Sequence[str] = ()) -> list[RewardFunction]:
    """Find reward functions by the names in a spec.

    Args:
        names: built-in names, 'module:function' or 'file.py:function'.
        paths: folders to look for modules in, besides those that Python knows.

    Raises:
        SpecError: there is no such file, module or function, or it cannot be imported.
    """
    sys.path.extend(path for path in paths if path not in sys.path)
    return [RewardFunction(name, _find(name)) for name in names]


def require_there(names: Iterable[str], *, modules: bool = True) -> None:
    """Stop unless the file of every function, and its module, is there; nothing is imported.

    Raises:
        SpecError: one is not.
    """
    for name in names:
        module = name.rpartition(":")[0]
        if name in BUILT_IN:
            continue
        if module.endswith(".py"):
            if not Path(module).expanduser().is_file():
                raise SpecError(f"objective.rewards: {name}: there is no file {module}")
        elif modules and util.find_spec(module.partition(".")[0]) is None:
            raise SpecError(
                f"objective.rewards: {name}: there is no module {module} here; "
                "install it, start from its folder, or write 'file.py:function'"
            )


def absolute(name: str) -> str:
    """Give the name with the whole path of its file, for a worker that runs elsewhere."""
    module, colon, function = name.rpartition(":")
    if not module.endswith(".py"):
        return name
    return f"{Path(module).expanduser().absolute()}{colon}{function}"


def _find(name: str) -> Callable[..., Any]:
    if name in BUILT_IN:
        return BUILT_IN[name]
    module, _, function = name.rpartition(":")
    try:
        found: Any = _file(Path(module)) if module.endswith(".py") else import_module(module)
    except Exception as error:
        raise SpecError(
            f"objective.rewards: {name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    for part in function.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise SpecError(f"objective.rewards: {module} has no function {function}")
    return cast("Callable[..., Any]", found)


@functools.cache
def _file(path: Path) -> Any:
    spec = util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = util.module_from_spec(spec)
    # As for a script: what lies beside the file can be imported.
    sys.path.extend({str(path.parent)} - {*sys.path})
    spec.loader.exec_module(module)
    return module


def require_columns(
    functions: Iterable[RewardFunction], columns: Iterable[str], *, where: str
) -> None:
    """Stop unless a row has the columns that the functions ask for.

    Raises:
        SpecError: one is missing.
    """
    there = {"prompt", *columns}
    for function in functions:
        if missing := sorted(function.columns - there):
            raise SpecError(
                f"objective.rewards: the reward function {function.name} asks for "
                f"{', '.join(missing)}, which {where} does not have; its columns: "
                f"{', '.join(sorted(there))}"
            )
