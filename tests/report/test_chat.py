"""Talking to a run's model and to its base."""

from __future__ import annotations

import json
import math
import shutil
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tunekit as tk
from tests.adapters.made import peft_model, saved
from tests.report import made
from tests.tiny import tiny_model
from tunekit import errors, store
from tunekit.cli import exits
from tunekit.cli.app import app
from tunekit.cli.chat import Talk
from tunekit.running.chat import Loaded, Message, Side, system, trained_on_chats
from tunekit.testing.providers.together import LoopbackTogether

ASKED = [{"role": "user", "content": "the order"}]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    folder = saved(peft_model(base), tmp_path_factory.mktemp("trained"))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(base / name, folder)
    return folder


@pytest.fixture
def run(trained: Path) -> str:
    """A run on this machine whose rows begin with a system message."""
    folder = store.create(made.record("talker"))
    shutil.copytree(trained, folder.adapter)
    turns = [{"role": "system", "content": "be brief"}, *ASKED]
    row = {"kind": "conversation", "messages": [*turns, {"role": "assistant", "content": "yes"}]}
    (folder.data / "train.jsonl").write_text(json.dumps(row) + "\n")
    return folder.id


def generated(model: Any, tokenizer: Any, text: str, *, length: int) -> str:
    """Answer by transformers alone."""
    inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    made = model.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        max_new_tokens=length,
        do_sample=False,
    )
    answer: str = tokenizer.decode(
        made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    return answer


class Echo:
    """Say back what was asked, with the number of messages seen."""

    sides: tuple[Side, ...] = ("base", "tuned")

    def say(
        self, side: Side, messages: Sequence[Message], *, length: int
    ) -> Generator[str, None, None]:
        yield f"{side} {len(messages)} "
        yield messages[-1]["content"]


def test_both_models_answer_as_transformers_lets_them(base: Path, trained: Path) -> None:
    from transformers import AutoModelForCausalLM

    talker = Loaded(tk.Adapter.open(trained))
    found: dict[Side, str] = {
        side: "".join(talker.say(side, ASKED, length=12)) for side in talker.sides
    }

    model, tokenizer = tk.Adapter.open(trained).load(), tk.Adapter.open(trained).tokenizer()
    text = "<|im_start|>user\nthe order<|im_end|>\n<|im_start|>assistant\n"
    alone = AutoModelForCausalLM.from_pretrained(base)
    assert found == {
        "base": generated(alone, tokenizer, text, length=12),
        "tuned": generated(model, tokenizer, text, length=12),
    }
    assert found["base"] != found["tuned"]


def test_rows_without_a_template_are_continued_as_text(trained: Path) -> None:
    talker = Loaded(tk.Adapter.open(trained), chat=False)

    said = "".join(talker.say("tuned", ASKED, length=8))

    model, tokenizer = tk.Adapter.open(trained).load(), tk.Adapter.open(trained).tokenizer()
    assert said == generated(model, tokenizer, "the order", length=8)


def test_an_answer_that_nobody_waits_for_stops(trained: Path) -> None:
    talker = Loaded(tk.Adapter.open(trained))
    before = threading.active_count()
    answer = talker.say("tuned", ASKED, length=400)
    next(answer)

    answer.close()

    assert threading.active_count() == before


def test_a_fault_of_the_model_reaches_whoever_asked(trained: Path) -> None:
    talker = Loaded(tk.Adapter.open(trained))

    with pytest.raises(errors.DataError, match="chat template does not take this row"):
        list(talker.say("tuned", [{"role": "user", "name": "nobody"}], length=4))


def test_each_model_goes_on_from_its_own_answers_until_it_is_reset() -> None:
    talk = Talk(Echo(), system="be brief")

    assert "".join(talk.say("base", "one")) == "base 2 one"
    assert "".join(talk.say("base", "two")) == "base 4 two"
    assert "".join(talk.say("tuned", "two")) == "tuned 2 two"
    talk.reset()
    assert "".join(talk.say("base", "one")) == "base 2 one"


def test_an_answer_that_was_cut_off_is_remembered_as_far_as_it_came() -> None:
    talk = Talk(Echo())
    answer = talk.say("base", "one")
    next(answer)
    answer.close()

    assert talk._said["base"][-1] == {"role": "assistant", "content": "base 1 "}


@pytest.mark.parametrize(
    ("row", "chat", "opening"),
    [
        (None, True, ""),
        ({"kind": "text", "text": "once"}, False, ""),
        ({"kind": "completion", "prompt": "a", "completion": "b"}, False, ""),
        ({"kind": "preference", "prompt": "a", "chosen": "b", "rejected": "c"}, False, ""),
        (
            {
                "kind": "preference",
                "prompt": [{"role": "system", "content": "be brief"}, *ASKED],
                "chosen": [{"role": "assistant", "content": "b"}],
                "rejected": [{"role": "assistant", "content": "c"}],
            },
            True,
            "be brief",
        ),
        ({"kind": "conversation", "messages": ASKED}, True, ""),
    ],
)
def test_the_rows_say_how_to_ask(tmp_path: Path, row: Any, chat: bool, opening: str) -> None:
    if row is not None:
        (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")

    assert trained_on_chats(tmp_path) is chat
    assert system(tmp_path) == opening


def test_questions_from_the_command_line_are_answered_by_both(run: str) -> None:
    asked = ["chat", run, "--ask", "the order", "--ask", "why", "--max-new-tokens", "6", "--json"]

    result = CliRunner().invoke(app, asked)

    first, second = json.loads(result.stdout)
    assert list(first) == ["ask", "base", "tuned"]
    assert second["ask"] == "why"
    talker = Loaded(tk.Adapter.open(store.find(run).adapter))
    opening = [{"role": "system", "content": "be brief"}, *ASKED]
    assert first["tuned"] == "".join(talker.say("tuned", opening, length=6))


def test_questions_can_be_piped_and_one_side_asked(run: str) -> None:
    arguments = ["chat", run, "--side", "tuned", "--system", "", "--max-new-tokens", "6"]

    result = CliRunner().invoke(app, arguments, input="the order\n\n")

    lines = result.stdout.splitlines()
    assert lines[0] == "ask    the order"
    assert lines[1].startswith("tuned  ")
    assert not any(line.startswith("base") for line in lines)


def test_a_run_without_a_result_cannot_be_talked_to() -> None:
    store.create(made.record("empty"))

    result = CliRunner().invoke(app, ["chat", "empty", "--ask", "hello"])

    assert result.exit_code == exits.USAGE
    assert "has no adapter yet" in result.stderr


def test_a_served_run_is_asked_where_it_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"messages": [*ASKED, {"role": "assistant", "content": str(n)}]} for n in range(30)]
    spec = tk.FineTune(model="Qwen/Qwen3-0.6B", data=rows)
    with LoopbackTogether() as server:
        monkeypatch.setenv("TOGETHER_API_KEY", server.settings.key)
        monkeypatch.setenv("TOGETHER_BASE_URL", server.url)
        run = tk.run(spec, "together", max_cost=math.inf, progress=False)
        model = run.deploy().wait().model

        result = CliRunner().invoke(app, ["chat", run.id, "--ask", "hello", "--json"])

        (answer,) = json.loads(result.stdout)
        assert model in answer["tuned"]
        assert "base" not in answer
        refused = CliRunner().invoke(app, ["chat", run.id, "--ask", "hello", "--side", "base"])
        assert refused.exit_code == exits.USAGE
        run.undeploy()
