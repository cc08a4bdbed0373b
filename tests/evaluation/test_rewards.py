"""Reward functions: what is built in, how they are found, and what is said of their faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tunekit.errors import SpecError
from tunekit.evaluation.rewards import (
    BUILT_IN,
    RewardFunction,
    absolute,
    load,
    require_columns,
    require_there,
)
from tunekit.spec.objectives import rollouts

CHAT = [[{"role": "assistant", "content": text}] for text in (" 42 ", "41", '{"a": 1}')]


def length(completions: list[str], **columns: Any) -> list[int]:
    return [len(each) for each in completions]


def strict(completions: list[str], answer: list[str], prompts: list[str]) -> list[float | None]:
    return [None if wanted is None else 1.0 for wanted in answer]


async def slow(completions: list[str], **columns: Any) -> list[float]:
    return [0.5 for _ in completions]


def test_the_names_of_the_spec_are_the_functions_that_there_are() -> None:
    assert tuple(BUILT_IN) == rollouts.BUILT_IN


@pytest.mark.parametrize(
    ("name", "columns", "expected"),
    [
        ("exact_match", {"answer": ["42", "42", 42]}, [1.0, 0.0, 0.0]),
        ("json_valid", {}, [1.0, 1.0, 1.0]),
        ("pattern", {"pattern": [r"\d+", r"\d", r"\{.*\}"]}, [1.0, 0.0, 1.0]),
    ],
)
def test_a_function_that_is_built_in_scores_chats(
    name: str, columns: dict[str, Any], expected: list[float]
) -> None:
    (function,) = load([name])
    assert function(prompts=[], completions=CHAT, completion_ids=[], **columns) == expected
    texts = [each[-1]["content"] for each in CHAT]
    assert function(prompts=[], completions=texts, completion_ids=[], **columns) == expected


def test_an_answer_that_is_no_json_earns_nothing() -> None:
    (function,) = load(["json_valid"])
    assert function(completions=["{'a': 1}", "so: {}", "", "[" * 100_000]) == [0.0] * 4


def test_a_function_gets_what_it_asks_for_and_no_more() -> None:
    function = RewardFunction("rows:strict", strict)
    given = {"prompts": ["p", "q"], "completions": ["a", "b"], "trainer_state": None}
    assert function(**given, answer=["x", None], other=[1, 2]) == [1.0, None]
    assert function.columns == {"answer"}


def test_a_function_that_is_awaited_is_run_to_its_end() -> None:
    assert RewardFunction("rows:slow", slow)(completions=["a"]) == [0.5]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ([1.0], "gives 1 scores for 2 completions"),
        (1.0, "gives float, not a list of numbers"),
        ("ab", "gives str, not a list"),
        ([1.0, float("nan")], "no finite number"),
        ([1.0, "good"], "no finite number"),
    ],
)
def test_a_wrong_result_names_the_function(result: Any, words: str) -> None:
    function = RewardFunction("rows:wrong", lambda completions, **columns: result)
    with pytest.raises(SpecError, match="reward function rows:wrong") as caught:
        function(completions=["a", "b"])
    assert words in str(caught.value)


def test_a_function_that_raises_is_named_with_its_error() -> None:
    def broken(completions: list[str], **columns: Any) -> list[float]:
        raise ZeroDivisionError("no rows")

    with pytest.raises(SpecError, match="rows:broken fails: ZeroDivisionError: no rows"):
        RewardFunction("rows:broken", broken)(completions=["a"])


def test_a_file_is_found_and_sees_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_a_reward.py").write_text("WORTH = 3\n")
    file = tmp_path / "scoring.py"
    file.write_text(
        "from beside_a_reward import WORTH\n"
        "def worth(completions, **columns):\n"
        "    return [WORTH for _ in completions]\n"
    )
    (function,) = load([f"{file}:worth"])
    assert (function.__name__, function(completions=["a"])) == ("worth", [3.0])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module_anywhere:score", "there is no module no_such_module_anywhere"),
        ("nowhere/scoring.py:score", "there is no file nowhere/scoring.py"),
    ],
)
def test_what_is_not_there_is_told_before_anything_starts(name: str, words: str) -> None:
    with pytest.raises(SpecError, match=r"objective\.rewards: ") as caught:
        require_there([name])
    assert words in str(caught.value)
    require_there(["json_valid", "tests.evaluation.test_rewards:length"])
    require_there(["no_such_module_anywhere:score"], modules=False)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("json:no_such_function", "json has no function no_such_function"),
        ("json:__doc__", "has no function"),
        ("tests.no_such_file:score", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_imported_says_why(name: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        load([name])
    assert words in str(caught.value)


def test_a_missing_column_is_named_with_those_that_there_are() -> None:
    functions = [RewardFunction("rows:strict", strict)]
    require_columns(functions, ["answer"], where="rows.jsonl")
    with pytest.raises(SpecError, match="asks for answer, which") as caught:
        require_columns(functions, ["number"], where="rows.jsonl")
    assert "its columns: number, prompt" in str(caught.value)


def test_a_file_is_named_from_the_root_for_a_worker_elsewhere() -> None:
    assert absolute("scoring.py:worth") == f"{Path.cwd() / 'scoring.py'}:worth"
    assert absolute("json:loads") == "json:loads"


# --- in a spec ----------------------------------------------------------------------------------


def test_a_function_in_a_spec_is_the_name_that_it_is_imported_by() -> None:
    spec = tk.GRPO(rewards=[length, "json_valid"])
    assert spec.rewards == ("tests.evaluation.test_rewards:length", "json_valid")
    assert tk.GRPO(rewards=length).rewards == ("tests.evaluation.test_rewards:length",)


def test_a_function_that_no_name_leads_to_is_refused() -> None:
    def inner(completions: list[str], **columns: Any) -> list[float]:
        return []

    inner.__module__ = __name__
    for function in (inner, lambda completions, **columns: []):
        with pytest.raises(SpecError, match="cannot be imported by name"):
            tk.GRPO(rewards=[function])


def test_a_function_of_the_script_itself_is_refused_with_the_way_out() -> None:
    def mine(completions: list[str], **columns: Any) -> list[float]:
        return []

    mine.__module__ = "__main__"
    with pytest.raises(SpecError, match="move it to a file of its own"):
        tk.GRPO(rewards=mine)


@pytest.mark.parametrize("name", ["exactmatch", "a b:c", "module:", ":function", "x.py"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="names no function"):
        tk.GRPO(rewards=name)
