"""Training goes on from an adapter: exactly there, and measured against where it began."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tests.local.objective_rows import JUDGED, PAIRS, PROMPTS, letters
from tests.local.specs import chats, losses, small
from tests.tiny import tiny_model
from tunekit.backends.local.job import Job
from tunekit.backends.local.worker import main
from tunekit.errors import RunFailed, TunekitError, UnsupportedError

pytestmark = pytest.mark.slow

ROWS = chats(8)
LOG_2 = math.log(2)
WEIGHTS = "adapter_model.safetensors"
GRPO = tk.GRPO(rewards=[letters], generations=4, max_new_tokens=6, beta=0.04)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model for all runs."""
    folder = tmp_path_factory.mktemp("start")
    tiny_model(folder / "model")
    return folder


def trained(room: Path, kernels: Any = "auto", **changes: Any) -> tk.Run:
    """Train, with every row in every step and one rate for all of them.

    What goes on from something has its method, unless one is named.
    """
    usual = {"max_steps": 3, "batch_size": 8, "learning_rate": 1e-2, "scheduler": "constant"}
    training = {**usual, "warmup_ratio": 0.0, **changes.pop("training", {})}
    wishes = small(room, training=training, **{"data": ROWS, **changes}).minimal()
    if "start_from" in changes and "method" not in changes:
        del wishes["method"]
    return tk.run(tk.FineTune(**wishes), tk.Local(in_process=True, kernels=kernels), progress=False)


def said(run: tk.Run) -> list[str]:
    return [event.message for event in run.events(follow=False) if event.kind == "log"]


METHODS: list[dict[str, Any]] = [
    {"type": "lora", "rank": 4},
    {"type": "lora", "rank": 4, "use_dora": True, "target_modules": ["q_proj", "down_proj"]},
    {"type": "lora", "rank": 4, "alpha": 8.0, "use_rslora": True, "dropout": 0.1},
    {"type": "lora", "rank": 4, "init": "pissa"},
    {
        "type": "ia3",
        "target_modules": ["k_proj", "down_proj"],
        "feedforward_modules": ["down_proj"],
    },
    {"type": "loha", "rank": 4},
    {"type": "lokr", "rank": 2, "decompose_both": True, "decompose_factor": 4},
    {"type": "oft", "block_size": 8, "block_share": True},
    {"type": "boft", "target_modules": ["q_proj"]},
    {"type": "vera", "rank": 16, "projection_prng_key": 3},
    {"type": "lntuning"},
    {"type": "bottleneck", "placement": "houlsby", "size": 4},
    {"type": "prefix", "num_virtual_tokens": 4},
    {"type": "prompt", "num_virtual_tokens": 4},
    {"type": "peft", "config": {"peft_type": "miss", "r": 4, "target_modules": "all-linear"}},
]
OFTEN = ("lora", "bottleneck", "prompt")


def cases() -> list[Any]:
    """Leave to `make test-all` what is a variant of another case, or seldom used."""
    seen: set[str] = set()
    found: list[Any] = []
    for method in METHODS:
        tag = method["type"]
        marks = [] if tag in OFTEN and tag not in seen else [pytest.mark.long]
        seen.add(tag)
        name = "-".join(f"{value}" for value in method.values() if not isinstance(value, dict))
        found.append(pytest.param(method, marks=marks, id=name))
    return found


@pytest.mark.parametrize("method", cases())
def test_the_first_loss_is_that_of_the_model_that_was_left(
    room: Path, method: dict[str, Any]
) -> None:
    """As if the training had not stopped; and a preference begins at log 2, as equal models do."""
    begun = trained(room, method=method)

    onward = trained(room, start_from=begun.id)
    preferring = trained(room, start_from=begun.id, data=PAIRS, objective="dpo")

    assert losses(onward)[0] == pytest.approx(_loss_of(begun, onward), abs=1e-5)
    assert losses(preferring)[0] == pytest.approx(LOG_2, abs=1e-6)
    assert losses(preferring)[-1] < LOG_2 - 1e-3
    assert preferring.adapter.load() is not None


def _loss_of(run: tk.Run, onward: tk.Run) -> float:
    """Compute the loss of the adapter that a run left, on the rows of another, by transformers."""
    import torch

    from tunekit.backends.local.rows import tokenized

    request, tokenizer = onward.plan.request, run.adapter.tokenizer()
    columns = tokenized(onward.folder / "data" / "train.jsonl", request, tokenizer).columns
    model, total, count = run.adapter.load(), 0.0, 0
    for ids, labels in zip(columns["input_ids"], columns["labels"], strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, -len(ids) : -1]
        wanted = torch.tensor(labels[1:])
        loss = torch.nn.functional.cross_entropy(logits, wanted, reduction="sum")
        total, count = total + loss.item(), count + int((wanted != -100).sum())
    return total / count


def test_a_run_goes_on_from_a_run_that_went_on(room: Path) -> None:
    first = trained(room)
    second = trained(room, start_from=first.id)
    third = trained(room, start_from=second.id)

    assert losses(first)[-1] > losses(second)[0] > losses(second)[-1] > losses(third)[0]
    assert losses(third)[0] == pytest.approx(_loss_of(second, third), abs=1e-5)
    assert f"going on from {second.folder / 'adapter'}" in said(third)


def test_it_is_as_one_training_where_the_optimizer_remembers_nothing(room: Path) -> None:
    """The loss after three steps is the fourth of a longer run."""
    whole = trained(room, training={"max_steps": 4})
    begun = trained(room, training={"max_steps": 3})

    onward = trained(room, start_from=begun.adapter.folder, training={"max_steps": 1})

    assert losses(onward)[0] == pytest.approx(losses(whole)[3], abs=1e-6)


@pytest.mark.parametrize(
    ("rows", "objective", "first"),
    [
        (PAIRS, "dpo", LOG_2),
        (PAIRS, "ipo", 25.0),
        (JUDGED, "kto", 0.5),
    ],
    ids=["dpo", "ipo", "kto"],
)
def test_the_reference_is_where_training_started_and_both_kernels_agree(
    room: Path, rows: Any, objective: str, first: float
) -> None:
    begun = trained(room)
    both = [
        trained(room, kernels, start_from=begun.id, data=rows, objective=objective)
        for kernels in ("fast", "reference")
    ]

    assert losses(both[0])[0] == pytest.approx(first, abs=1e-6)
    assert losses(both[1])[0] == pytest.approx(first, abs=1e-6)
    assert losses(both[0]) == pytest.approx(losses(both[1]), abs=1e-4)
    for run in both:
        assert "the reference is the adapter as it begins" in said(run)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # PEFT asks what transformers has renamed
def test_the_second_loss_is_that_of_the_start_and_not_of_the_base(room: Path) -> None:
    """By hand: log-probabilities of the adapter that was left are the reference's."""
    begun = trained(room, training={"max_steps": 8})
    one = {"batch_size": 16, "learning_rate": 1e-3, "max_steps": 2}
    run = trained(room, start_from=begun.id, data=PAIRS, objective="dpo", training=one)
    after = trained(
        room, start_from=begun.id, data=PAIRS, objective="dpo", training={**one, "max_steps": 1}
    )

    policy, start = (_log_probs(each, run) for each in (after, begun))
    margins = [p[0] - p[1] - (s[0] - s[1]) for p, s in zip(policy, start, strict=True)]
    expected = sum(math.log1p(math.exp(-0.1 * margin)) for margin in margins) / len(margins)

    assert expected != pytest.approx(LOG_2, abs=1e-3)
    assert losses(run)[1] == pytest.approx(expected, abs=1e-5)


def _log_probs(run: tk.Run, pairs: tk.Run) -> list[tuple[float, float]]:
    """Sum the log-probabilities of the chosen and the rejected answer of each pair."""
    import torch

    from tunekit.backends.local.rows import tokenized

    request, tokenizer = pairs.plan.request, run.adapter.tokenizer()
    columns = tokenized(pairs.folder / "data" / "train.jsonl", request, tokenizer).columns
    model = run.adapter.load()

    def score(prompt: list[int], answer: list[int]) -> float:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, :-1]
        chosen = torch.log_softmax(logits, -1)[len(prompt) - 1 :]
        return float(chosen.gather(-1, torch.tensor(answer)[:, None]).sum())

    return [
        (score(prompt, chosen), score(prompt, rejected))
        for prompt, chosen, rejected in zip(
            columns["prompt_ids"], columns["chosen_ids"], columns["rejected_ids"], strict=True
        )
    ]


def test_rewards_are_held_near_the_start(room: Path) -> None:
    begun = trained(room)

    run = trained(room, start_from=begun.id, data=PROMPTS, objective=GRPO)

    noted = [event.metrics for event in run.events(follow=False) if event.kind == "metrics"]
    first = next(metrics["kl"] for metrics in noted if "kl" in metrics)
    assert first == pytest.approx(0, abs=1e-6)
    assert "the reference is the adapter as it begins" in said(run)


def test_a_reward_model_goes_on_with_its_head(room: Path) -> None:
    begun = trained(room, data=PAIRS, objective="reward")

    run = trained(room, start_from=begun.id, data=PAIRS, objective="reward")

    assert losses(run)[0] < losses(begun)[-1]


@pytest.mark.long
def test_an_adapter_over_a_quantised_base_goes_on_over_one(room: Path) -> None:
    method = {"type": "qlora", "rank": 4, "quantization": "fp4"}
    begun = trained(room, method=method)

    run = trained(room, start_from=begun.id)
    preferring = trained(room, start_from=begun.id, data=PAIRS, objective="dpo")

    assert run.plan.used("method.type") == "qlora"
    assert run.plan.request["model"]["quantization"]["bnb_4bit_quant_type"] == "fp4"
    assert losses(run)[0] < losses(begun)[-1]
    assert losses(preferring)[0] == pytest.approx(LOG_2, abs=1e-6)


def test_before_and_after_compare_with_the_bare_base(room: Path) -> None:
    """What a run before has learnt counts as learnt."""
    more: dict[str, Any] = {"validation": 0.25, "evaluation": {"generations": 0}, "data": chats(40)}
    begun = trained(room, **more)
    onward = trained(room, start_from=begun.id, **more)

    before, after = begun.evaluation, onward.evaluation
    assert before is not None and after is not None
    assert after.base.loss == pytest.approx(before.base.loss, abs=1e-5)
    assert after.tuned.loss is not None and before.tuned.loss is not None
    assert after.tuned.loss < before.tuned.loss


RESUMED = [
    pytest.param("lora", id="lora"),
    pytest.param({"type": "prompt", "num_virtual_tokens": 4}, id="prompt", marks=pytest.mark.long),
    pytest.param({"type": "vera", "rank": 16}, id="vera", marks=pytest.mark.long),
    pytest.param({"type": "bottleneck", "size": 4}, id="bottleneck", marks=pytest.mark.long),
]


@pytest.mark.parametrize("method", RESUMED)
def test_a_resumed_run_has_the_reference_of_the_one_that_stopped(
    room: Path, tmp_path: Path, method: Any
) -> None:
    begun = trained(room, method=method)
    run = trained(
        room,
        start_from=begun.id,
        data=PAIRS,
        objective="dpo",
        training={"max_steps": 6, "checkpoint_steps": 3},
    )
    whole, again = Job(run.folder / "job"), Job(tmp_path / "job")
    # What it started from may be gone by then.
    shutil.rmtree(begun.folder / "adapter")
    shutil.copytree(whole.path, again.path)
    shutil.rmtree(again.path / "adapter")
    shutil.rmtree(again.checkpoints / "checkpoint-6")
    again.reopen()

    main(again.path)

    assert again.read("result") == {"state": "succeeded"}
    assert (again.adapter / WEIGHTS).read_bytes() == (whole.adapter / WEIGHTS).read_bytes()
    assert not list(again.path.rglob("ref"))


def test_the_optimizer_and_the_result_know_of_one_adapter(room: Path) -> None:
    import torch

    begun = trained(room)
    run = trained(room, start_from=begun.id, data=PAIRS, objective="dpo")

    same = trained(room, data=PAIRS, objective="dpo")
    states = [
        torch.load(each.folder / "job" / "checkpoints" / "checkpoint-3" / "optimizer.pt")
        for each in (run, same)
    ]
    assert len(states[0]["state"]) == len(states[1]["state"]) > 0
    described = run.adapter.describe(), same.adapter.describe()
    assert described[0].parameters == described[1].parameters
    assert not [entry for entry in run.adapter.folder.iterdir() if entry.is_dir()]


def test_a_short_run_of_a_sweep_starts_there_too(room: Path) -> None:
    begun = trained(room, data=chats(40), training={"max_steps": 10})

    run = trained(
        room,
        start_from=begun.id,
        data=chats(40),
        validation=0.25,
        training={"learning_rate": "sweep"},
    )

    found = json.loads((run.folder / "job" / "sweep.json").read_text())["results"]
    assert len(found) == 3
    assert all(each["loss"] < losses(begun)[0] for each in found)


def test_bytes_that_change_after_the_plan_stop_the_run(room: Path, tmp_path: Path) -> None:
    begun = trained(room)
    folder = shutil.copytree(begun.adapter.folder, tmp_path / "adapter")
    run = trained(room, start_from=folder)
    file = run.folder / "job" / "start" / WEIGHTS
    file.write_bytes((run.folder / "job" / "adapter" / WEIGHTS).read_bytes())
    job = Job(run.folder / "job")
    job.reopen()

    main(job.path)

    result = job.read("result") or {}
    assert result["state"] == "failed"
    assert "has changed since the plan" in result["reason"]


@pytest.mark.parametrize("method", ["lora", "ia3"])
def test_an_adapter_of_a_wider_model_is_refused_by_the_name_of_a_layer(
    room: Path, tmp_path: Path, method: str
) -> None:
    """A LoRA by the plan; what the plan cannot see of others, by the worker."""
    tiny_model(tmp_path / "model", hidden=64)
    wider = trained(tmp_path, method=method).adapter.folder
    # Its history would tell the base at once.
    (wider / "tunekit.json").unlink()

    with pytest.raises(TunekitError, match=r"layers\.0\.\w+\.\w+_proj") as caught:
        trained(room, start_from=wider)

    expected = UnsupportedError if method == "lora" else RunFailed
    assert type(caught.value) is expected
    assert str(wider) in str(caught.value)
