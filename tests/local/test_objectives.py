"""Each objective trains for real: its first loss is known, and what it wants goes up."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tests.local.objective_rows import JUDGED, PAIRS, PROMPTS, letters
from tests.local.specs import small
from tests.tiny import tiny_model
from tunekit import errors

pytestmark = pytest.mark.slow

GRPO = tk.GRPO(rewards=[letters], generations=4, max_new_tokens=6)
LOG_2 = math.log(2)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model for all runs."""
    folder = tmp_path_factory.mktemp("objectives")
    tiny_model(folder / "model")
    return folder


def trained(room: Path, rows: Any, objective: Any, **changes: Any) -> tk.Run:
    training = {"max_steps": 12, "batch_size": 8, "learning_rate": 1e-2, "warmup_ratio": 0.0}
    spec = small(
        room,
        data=rows,
        objective=objective,
        training={**training, **changes.pop("training", {})},
        **changes,
    )
    return tk.run(spec, tk.Local(in_process=True), progress=False)


def series(run: tk.Run, name: str) -> list[float]:
    noted = [e.metrics for e in run.events(follow=False) if e.kind == "metrics"]
    return [metrics[name] for metrics in noted if name in metrics]


CASES = [
    pytest.param(PAIRS, tk.DPO(), LOG_2, "rewards/margins", id="dpo"),
    pytest.param(PAIRS, tk.DPO(loss="hinge"), 1.0, "rewards/margins", id="hinge"),
    pytest.param(PAIRS, tk.DPO(loss="robust"), LOG_2, "rewards/margins", id="robust"),
    pytest.param(PAIRS, tk.DPO(length_normalized=True), LOG_2, "rewards/margins", id="normalised"),
    pytest.param(PAIRS, tk.IPO(), 25.0, "rewards/margins", id="ipo"),
    pytest.param(JUDGED, tk.KTO(), 0.5, "rewards/margins", id="kto"),
    pytest.param(PAIRS, tk.KTO(), 0.5, "rewards/margins", id="kto-pairs"),
    pytest.param(PAIRS, tk.CPO(), None, "rewards/margins", id="cpo"),
    pytest.param(PAIRS, tk.Reward(), None, "margin", id="reward"),
    pytest.param(PROMPTS, GRPO, None, "reward", id="grpo"),
]


@pytest.mark.parametrize(("rows", "objective", "first", "wanted"), CASES)
def test_an_objective_begins_where_it_must_and_reaches_for_what_it_wants(
    room: Path, rows: Any, objective: Any, first: float | None, wanted: str
) -> None:
    more = {"max_steps": 24, "batch_size": 16} if objective is GRPO else {}

    run = trained(room, rows, objective, training=more)

    if first is not None:
        assert series(run, "loss")[0] == pytest.approx(first, abs=1e-6)
    figures = series(run, wanted)
    assert sum(figures[-4:]) > sum(figures[:4])
    if objective.type == "kto":
        assert series(run, "kl")[0] == 0.0


@pytest.mark.parametrize(
    ("rows", "objective", "first"),
    [(PAIRS, tk.DPO(), LOG_2), (JUDGED, tk.KTO(), 0.5)],
    ids=["dpo", "kto"],
)
def test_with_all_weights_trained_the_reference_is_the_untouched_base(
    room: Path, rows: Any, objective: Any, first: float
) -> None:
    run = trained(room, rows, objective, method="full", training={"max_steps": 3})

    assert run.plan.request["trainer"]["precompute_ref_log_probs"] is True
    assert series(run, "loss")[0] == pytest.approx(first, abs=1e-6)
    assert series(run, "loss")[-1] < first


# --- rewards ------------------------------------------------------------------------------------


def test_a_reward_model_loads_as_one_that_scores_and_prefers_the_chosen_answers(
    room: Path,
) -> None:
    import torch

    run = trained(room, PAIRS, "reward", validation=0.25, evaluation={}, training={"max_steps": 20})

    comparison = run.evaluation
    assert comparison is not None
    assert comparison.tuned.preference_accuracy == 1.0
    config = json.loads((run.adapter.folder / "adapter_config.json").read_text())
    assert (config["task_type"], config["modules_to_save"]) == ("SEQ_CLS", ["score"])
    model, tokenizer = run.adapter.load(), run.adapter.tokenizer()
    held_out = [json.loads(line) for line in _lines(run.folder / "data" / "validation.jsonl")]
    texts = [
        row["prompt"] + row[side] + tokenizer.eos_token
        for row in held_out
        for side in ("chosen", "rejected")
    ]
    given = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        scores = model(**{k: given[k] for k in ("input_ids", "attention_mask")}).logits[:, 0]
    expected = [score for pair in comparison.tuned.pairs for score in pair]
    assert scores.tolist() == pytest.approx(expected, abs=1e-5)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_the_first_loss_of_a_reward_model_is_that_of_its_scores(room: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

    rows = PAIRS[:8]
    objective = tk.Reward(center_rewards_coefficient=0.05)
    run = trained(room, rows, objective, training={"max_steps": 2, "seed": 3})

    folder = room / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    set_seed(3)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    ids = [
        tokenizer(row["prompt"] + row[side] + tokenizer.eos_token, return_tensors="pt")
        for side in ("chosen", "rejected")
        for row in rows
    ]
    with torch.no_grad():
        scores = torch.cat([model(input_ids=each["input_ids"]).logits[:, 0] for each in ids])
    chosen, rejected = scores.chunk(2)
    loss = torch.log1p(torch.exp(rejected - chosen)) + 0.05 * (chosen + rejected) ** 2
    assert series(run, "loss")[0] == pytest.approx(loss.mean().item(), abs=1e-6)


def test_no_pair_is_left_out_for_its_length(room: Path) -> None:
    long = {**PAIRS[0], "chosen": " river stone light" * 20}
    run = trained(room, [*PAIRS[:7], long], "reward", training={"max_steps": 1})
    assert any("8 pairs" in event.message for event in _logs(run))
    assert run.plan.request["trainer"]["max_length"] is None
    assert series(run, "num_tokens")[0] > 20 * 3


def _logs(run: tk.Run) -> list[Any]:
    return [event for event in run.events(follow=False) if event.kind == "log"]


# --- rollouts -----------------------------------------------------------------------------------


FLAKY = """
from pathlib import Path

def picky(completions, number, trainer_state, **columns):
    if trainer_state.global_step == {step} and Path(__file__).with_name("broken").exists():
        raise ValueError("the checker is down")
    return [float(each[-1]["content"].count("t") + n % 2) for each, n in zip(completions, number)]
"""


def test_a_reward_function_that_raises_fails_the_run_which_resumes_to_the_same_end(
    room: Path,
) -> None:
    file = room / "checker.py"
    file.write_text(FLAKY.format(step=5))
    spec = small(
        room,
        data=PROMPTS,
        objective=tk.GRPO(rewards=f"{file}:picky", generations=4, max_new_tokens=6),
        method={"type": "lora", "rank": 4, "dropout": 0.1},
        training={"max_steps": 8, "batch_size": 8, "checkpoint_steps": 2, "learning_rate": 1e-2},
    )
    whole = tk.run(spec, tk.Local(in_process=True), progress=False)
    broken = room / "broken"
    broken.touch()
    run = tk.submit(spec, tk.Local(in_process=True))

    with pytest.raises(errors.RunFailed, match=r"checker\.py:picky fails: ValueError: the checker"):
        run.wait(timeout=60)

    broken.unlink()
    run.resume().wait(timeout=60)
    assert series(run, "reward")[-4:] == series(whole, "reward")[-4:]
    assert series(run, "loss")[-4:] == series(whole, "loss")[-4:]
    weights = ("adapter", "adapter_model.safetensors")
    assert (
        run.folder.joinpath(*weights).read_bytes() == whole.folder.joinpath(*weights).read_bytes()
    )


def test_a_worker_finds_a_function_beside_the_script_that_started_it(room: Path) -> None:
    spec = small(room, data=PROMPTS, objective=GRPO, training={"max_steps": 2, "batch_size": 8})
    assert spec.minimal()["objective"]["rewards"] == ["tests.local.objective_rows:letters"]
    run = tk.run(spec, progress=False)
    assert len(series(run, "rewards/letters/mean")) == 2


def test_rewards_that_never_differ_fail_the_run(room: Path) -> None:
    with pytest.raises(
        errors.RunFailed, match="in all 2 steps the answers to each prompt got equal"
    ):
        trained(
            room,
            PROMPTS,
            tk.GRPO(rewards="json_valid", generations=2, max_new_tokens=4),
            training={"max_steps": 2},
        )


def test_a_column_that_a_reward_function_asks_for_must_be_there(room: Path) -> None:
    with pytest.raises(
        errors.RunFailed, match=r"exact_match asks for answer, which .* does not have"
    ):
        objective = tk.GRPO(rewards="exact_match", generations=2, max_new_tokens=4)
        trained(room, PROMPTS, objective)


def test_a_prompt_that_leaves_no_room_for_the_answer_is_an_error(room: Path) -> None:
    with pytest.raises(errors.RunFailed, match="of answer that is more than training"):
        trained(
            room,
            PROMPTS,
            tk.GRPO(rewards=[letters], generations=2, max_new_tokens=500),
        )


# --- judged answers -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL sets what transformers has renamed
def test_judged_answers_are_the_tokens_of_trl_in_another_order(room: Path) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import KTOConfig, KTOTrainer

    from tunekit.backends.local.columns import columns
    from tunekit.data.mask import tokenize_judged
    from tunekit.data.rows import Judged, Where

    model = AutoModelForCausalLM.from_pretrained(room / "model")
    tokenizer = AutoTokenizer.from_pretrained(room / "model")
    order = list(range(len(JUDGED) - 1))
    random.Random(7).shuffle(order)
    where = Where(file="rows", line=1)
    ours = columns(
        [
            tokenize_judged(Judged(**row, where=where), tokenizer, max_length=None)
            for row in JUDGED[:-1]
        ],
        {"objective": "kto", "trainer": {"seed": 7, "per_device_train_batch_size": 4}},
        Path("rows"),
    )
    peer = KTOTrainer(
        model=model,
        args=KTOConfig(
            str(room / "peer"),
            per_device_train_batch_size=4,
            use_cpu=True,
            bf16=False,
            report_to="none",
        ),
        train_dataset=Dataset.from_list([JUDGED[n] for n in order]),
        processing_class=tokenizer,
    )
    theirs = peer.train_dataset
    for name in ("prompt_ids", "completion_ids", "KL_completion_ids", "label"):
        assert ours[name] == list(theirs[name]), name


def test_a_last_answer_alone_in_its_batch_is_matched_with_another() -> None:
    from tunekit.backends.local.columns import columns
    from tunekit.data.tokens import Judgement

    rows = [Judgement([1], [n], n % 2 == 0) for n in range(5)]
    trainer = {"seed": 0, "per_device_train_batch_size": 2}
    made = columns(rows, {"objective": "kto", "trainer": trainer}, Path("rows"))
    both = zip(made["completion_ids"], made["KL_completion_ids"], strict=True)
    assert all(answer != other for answer, other in both)
    assert sorted(made["completion_ids"]) == [[n] for n in range(5)]


def test_what_kto_wants_is_measured_on_held_out_answers(room: Path) -> None:
    run = trained(
        room,
        JUDGED,
        "kto",
        validation=0.25,
        evaluation={"generations": 2, "max_new_tokens": 4},
        training={"max_steps": 20},
    )
    comparison = run.evaluation
    assert comparison is not None
    held_out = [json.loads(line) for line in _lines(run.folder / "data" / "validation.jsonl")]
    margin = comparison.differences[0]
    assert (margin.name, margin.items) == ("judged_margin", len(held_out))
    assert margin.tuned != margin.base
    wanted = [row["completion"] for row in held_out if row["label"]]
    assert comparison.references == tuple(wanted[:2])


def test_what_grpo_wants_is_measured_on_held_out_prompts(room: Path) -> None:
    run = trained(
        room,
        PROMPTS * 2,
        GRPO,
        validation=0.25,
        evaluation={"generations": 6},
        training={"max_steps": 20, "batch_size": 16},
    )
    comparison = run.evaluation
    assert comparison is not None
    assert [d.name for d in comparison.differences] == ["reward"]
    assert len(comparison.base.aims["reward"]) == 6
