"""Rows as they arrive at Together, and the weights that say which turns count."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backends.together.specs import bought, chat, chats, pairs, questions, rows_of, spec
from tunekit import errors
from tunekit.backends.together.backend import Together
from tunekit.testing.providers.together import LoopbackTogether


def sent(server: LoopbackTogether, backend: Together, rows: Any, **objective: Any) -> Any:
    wanted = spec(data=rows, objective={"type": "sft", **objective})
    return rows_of(server, bought(server, backend, wanted)["training_file"])


def weights(row: dict[str, Any]) -> list[int | None]:
    return [message.get("weight") for message in row["messages"]]


def test_a_chat_that_says_nothing_of_weights_is_sent_without(
    server: LoopbackTogether, backend: Together
) -> None:
    assert sent(server, backend, chats())[0] == chats()[0]


def test_where_the_last_answer_counts_all_else_weighs_nothing(
    server: LoopbackTogether, backend: Together
) -> None:
    rows = sent(server, backend, chats(), train_on="completion")

    assert weights(rows[0]) == [0, 0, 0, 1]


def test_a_chat_with_one_weight_gets_one_for_every_message(
    server: LoopbackTogether, backend: Together
) -> None:
    rows = chats()
    rows[0]["messages"][1]["weight"] = 0

    arrived = sent(server, backend, rows)

    assert weights(arrived[0]) == [0, 0, 0, 1]
    assert weights(arrived[1]) == [None] * 4


def test_the_last_answer_that_counts_is_the_last_one_of_weight_1(
    server: LoopbackTogether, backend: Together
) -> None:
    rows = chats()
    rows[0]["messages"][3]["weight"] = 0

    assert weights(sent(server, backend, rows, train_on="completion")[0]) == [0, 1, 0, 0]


def test_where_everything_counts_no_weight_stands_in_the_way(
    server: LoopbackTogether, backend: Together
) -> None:
    rows = chats()
    rows[0]["messages"][1]["weight"] = 0

    assert weights(sent(server, backend, rows, train_on="all")[0]) == [None] * 4


def test_the_weight_of_a_row_goes_along(server: LoopbackTogether, backend: Together) -> None:
    rows = questions()
    rows[0]["weight"] = 0.5

    assert sent(server, backend, rows)[0] == {**questions()[0], "weight": 0.5}


def test_a_weight_below_0_stops_before_anything_is_sent(
    server: LoopbackTogether, backend: Together
) -> None:
    rows = questions()
    rows[3]["weight"] = -1.0

    with pytest.raises(errors.DataError, match="no weight below 0"):
        bought(server, backend, spec(data=rows))

    assert not server.requests


def test_a_pair_holds_what_was_asked_and_one_answer_a_side(
    server: LoopbackTogether, backend: Together
) -> None:
    body = bought(server, backend, spec(data=pairs(), objective="dpo"))

    # The shape of Together's page on preference data.
    assert rows_of(server, body["training_file"])[0] == {
        "input": {"messages": chat("0 + 1?")},
        "preferred_output": [{"role": "assistant", "content": "It is 1."}],
        "non_preferred_output": [{"role": "assistant", "content": "It is 7."}],
    }
