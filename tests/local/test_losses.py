"""The losses of SimPO and ORPO are the formulas of their papers."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import tunekit as tk
from tests.local.specs import WORDS, small
from tests.planning.setting import H100, LLAMA_8B, rows
from tests.tiny import tiny_model
from tunekit.backends.local.losses import (
    CPO,
    ORPO,
    Answers,
    CPOConfig,
    SimPO,
    SimPOConfig,
    cpo,
    orpo,
    simpo,
)
from tunekit.data.mask import tokenize_pair
from tunekit.data.rows import Preference, Where
from tunekit.evaluation.measure import measure_pairs

PAIRS: list[dict[str, Any]] = [
    {"prompt": f"{number} {first}", "chosen": f" {first} {second}", "rejected": f" {second}"}
    for number, (first, second) in enumerate(itertools.pairwise(WORDS[:5]))
]


def answers(chosen: list[float], rejected: list[float]) -> Answers:
    better, worse = (torch.tensor(each, requires_grad=True) for each in (chosen, rejected))
    lengths = torch.full((len(chosen),), 3.0), torch.full((len(rejected),), 2.0)
    return Answers(better, worse, -better.mean(), *lengths)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def odds(mean: float) -> float:
    return math.exp(mean) / (1 - math.exp(mean))


def test_simpo_of_equally_likely_answers_is_the_margin_alone() -> None:
    equal = answers([-1.5, -0.2], [-1.5, -0.2])
    assert simpo(equal, beta=2.0, gamma=1.0).item() == pytest.approx(-math.log(sigmoid(-1.0)))
    assert simpo(equal, beta=2.0, gamma=0.0).item() == pytest.approx(math.log(2))


def test_simpo_is_the_papers_formula() -> None:
    found = simpo(answers([-1.0, -2.0], [-1.5, -0.5]), beta=2.5, gamma=1.4)
    first, second = (sigmoid(2.5 * gap - 1.4) for gap in (0.5, -1.5))
    assert found.item() == pytest.approx(-(math.log(first) + math.log(second)) / 2)


def test_orpo_of_equally_likely_answers_is_the_likelihood_and_beta_log_two() -> None:
    found = orpo(answers([-1.5, -0.2], [-1.5, -0.2]), beta=0.1)
    assert found.item() == pytest.approx(0.85 + 0.1 * math.log(2))


def test_orpo_is_the_papers_formula() -> None:
    found = orpo(answers([-1.0], [-1.5]), beta=0.25)
    ratio = math.log(odds(-1.0) / odds(-1.5))
    assert found.item() == pytest.approx(1.0 - 0.25 * math.log(sigmoid(ratio)))


def test_cpo_is_the_papers_formula_over_summed_log_probabilities() -> None:
    found = cpo(answers([-1.0, -2.0], [-1.25, -0.5]), beta=0.4, sft_weight=0.5)
    first, second = (sigmoid(0.4 * gap) for gap in (-3.0 + 2.5, -6.0 + 1.0))
    preferred = -(math.log(first) + math.log(second)) / 2
    assert found.item() == pytest.approx(preferred + 0.5 * 1.5, abs=1e-6)


def test_an_answer_learnt_by_heart_leaves_loss_and_gradient_finite() -> None:
    certain = answers([0.0, -1e-9], [0.0, -3.0])
    loss = orpo(certain, beta=0.1)
    loss.backward()  # type: ignore[no-untyped-call]
    assert math.isfinite(loss.item())
    assert certain.chosen.grad is not None
    assert torch.isfinite(certain.chosen.grad).all()


@pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL sets what transformers has renamed
@pytest.mark.parametrize("kind", [SimPO, ORPO, CPO])
def test_training_all_weights_loads_no_second_model(tmp_path: Path, kind: Any) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_model(tmp_path / "model")
    config = CPOConfig if kind is CPO else SimPOConfig
    trainer = kind(
        model=AutoModelForCausalLM.from_pretrained(folder),
        args=config(str(tmp_path / "out"), use_cpu=True, bf16=False, report_to="none"),
        train_dataset=Dataset.from_dict(
            {"prompt_ids": [[5, 6]], "chosen_ids": [[7]], "rejected_ids": [[8, 9]]}
        ),
        processing_class=AutoTokenizer.from_pretrained(folder),
        peft_config=None,
    )
    assert trainer.ref_model is None


@pytest.mark.parametrize("objective", ["simpo", "orpo", "cpo"])
def test_unsloth_refuses_what_it_would_not_train(objective: Any) -> None:
    spec = tk.FineTune(model="acme/model", data="rows.jsonl", objective=objective)
    backend = tk.Local(engine="unsloth", machine=H100)
    plan = backend.plan(spec, LLAMA_8B, rows(200, kind="preference"))
    assert [change.field for change in plan.unsupported] == ["objective.type"]
    assert "which Unsloth replaces" in plan.unsupported[0].reason


@pytest.mark.parametrize("objective", [tk.KTO(), tk.Reward(), tk.GRPO(rewards="json_valid")])
def test_unsloth_refuses_what_it_would_train_by_itself(objective: Any) -> None:
    spec = tk.FineTune(model="acme/model", data="rows.jsonl", objective=objective)
    backend = tk.Local(engine="unsloth", machine=H100)
    kind: Any = min(objective.row_kinds)
    plan = backend.plan(spec, LLAMA_8B, rows(200, kind=kind))
    assert [change.field for change in plan.unsupported] == ["objective.type"]
    assert "engine: peft" in plan.unsupported[0].reason


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL sets what transformers has renamed
@pytest.mark.parametrize("name", ["cpo", "simpo", "orpo"])
def test_a_loss_is_that_of_trl_on_the_same_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_model(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    made = [tokenize_pair(row, tokenizer, max_length=None) for row in _rows()]
    ours = _ours(name, AutoModelForCausalLM.from_pretrained(folder), tokenizer, tmp_path)
    batch = ours.data_collator([vars(pair) for pair in made])
    expected = ours.compute_loss(ours.model, batch).item()
    noted = {key: values[-1] for key, values in ours._metrics["train"].items()}

    peer = _peer(name, AutoModelForCausalLM.from_pretrained(folder), tokenizer, tmp_path)
    loss, metrics = peer.get_batch_loss_metrics(peer.model, _sides(made, tokenizer))

    theirs = loss.item()
    if name == "orpo":
        # TRL's likelihood counts the prompt too; the paper's, and ours, the answer.
        expected, theirs = expected - noted["nll_loss"], theirs - float(metrics["nll_loss"])
    assert expected == pytest.approx(theirs, abs=1e-6)
    for key in ("logps/chosen", "logps/rejected", "rewards/margins", "rewards/accuracies"):
        assert noted[key] == pytest.approx(metrics[key], abs=1e-5), key


def _rows() -> list[Preference]:
    return [Preference(**pair, where=Where(file="rows", line=1)) for pair in PAIRS]


def _ours(name: str, model: Any, tokenizer: Any, folder: Path) -> Any:
    from datasets import Dataset

    kinds: dict[str, tuple[Any, Any, dict[str, float]]] = {
        "cpo": (CPO, CPOConfig, {"beta": 0.3, "sft_weight": 0.7}),
        "simpo": (SimPO, SimPOConfig, {"beta": 2.5, "gamma": 1.4}),
        "orpo": (ORPO, SimPOConfig, {"beta": 0.25}),
    }
    kind, config, settings = kinds[name]
    ids = {"prompt_ids": [[5, 6]], "chosen_ids": [[7]], "rejected_ids": [[8, 9]]}
    trainer: Any = kind(
        model=model,
        args=config(str(folder / "out"), **_QUIET, **settings),
        train_dataset=Dataset.from_dict(ids),
        processing_class=tokenizer,
        peft_config=None,
    )
    trainer.model.train()
    return trainer


def _peer(name: str, model: Any, tokenizer: Any, folder: Path) -> Any:
    from datasets import Dataset

    if name == "orpo":
        from trl.experimental.orpo import ORPOConfig as Config
        from trl.experimental.orpo import ORPOTrainer as Trainer

        settings: dict[str, Any] = {"beta": 0.25}
    else:
        from trl.experimental.cpo import CPOConfig as Config
        from trl.experimental.cpo import CPOTrainer as Trainer

        settings = {"beta": 0.3, "cpo_alpha": 0.7}
        if name == "simpo":
            settings = {"beta": 2.5, "simpo_gamma": 1.4, "loss_type": "simpo", "cpo_alpha": 0.0}
    trainer = Trainer(
        model=model,
        args=Config(str(folder / "peer"), **_QUIET, **settings),
        train_dataset=Dataset.from_list(PAIRS),
        processing_class=tokenizer,
    )
    trainer.model.train()
    return trainer


_QUIET: dict[str, Any] = {"use_cpu": True, "bf16": False, "report_to": "none"}


def _sides(pairs: list[Any], tokenizer: Any) -> dict[str, torch.Tensor]:
    """Give the batch of TRL's experimental trainers: both sides padded, prompts masked."""
    batch: dict[str, torch.Tensor] = {}
    for side in ("chosen", "rejected"):
        rows = [(pair.prompt_ids, getattr(pair, f"{side}_ids")) for pair in pairs]
        width = max(len(prompt) + len(answer) for prompt, answer in rows)
        ids = torch.full((len(rows), width), tokenizer.pad_token_id)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for n, (prompt, answer) in enumerate(rows):
            start, end = len(prompt), len(prompt) + len(answer)
            ids[n, :end] = torch.tensor([*prompt, *answer])
            mask[n, :end] = 1
            labels[n, start:end] = torch.tensor(answer)
        batch |= {f"{side}_input_ids": ids, f"{side}_attention_mask": mask}
        batch[f"{side}_labels"] = labels
    return batch


@pytest.mark.slow
@pytest.mark.parametrize("objective", [tk.SimPO(beta=2.5, gamma=1.4), tk.ORPO(beta=0.25)])
def test_the_first_loss_of_a_run_is_that_of_the_untrained_model(
    tmp_path: Path, objective: Any
) -> None:
    spec = small(tmp_path, data=PAIRS, objective=objective, training={"max_steps": 2})

    run = tk.run(spec, tk.Local(in_process=True), progress=False)

    noted = [e.metrics for e in run.events(follow=False) if e.kind == "metrics"]
    first = next(metrics for metrics in noted if "loss" in metrics)
    means, nll = _likelihoods(spec.model)
    if isinstance(objective, tk.SimPO):
        expected = [-math.log(sigmoid(2.5 * (b - w) - 1.4)) for b, w in means]
    else:
        expected = [nll - 0.25 * math.log(sigmoid(math.log(odds(b) / odds(w)))) for b, w in means]
    assert first["loss"] == pytest.approx(sum(expected) / len(PAIRS), abs=1e-5)
    assert first["rewards/accuracies"] == sum(b > w for b, w in means) / len(PAIRS)


def _likelihoods(folder: str) -> tuple[list[tuple[float, float]], float]:
    """Give the base's log-probability per token of each pair, and the NLL of the chosen."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    pairs = [tokenize_pair(row, tokenizer, max_length=None) for row in _rows()]
    sums = measure_pairs(AutoModelForCausalLM.from_pretrained(folder), pairs)
    tokens = [(len(pair.chosen_ids), len(pair.rejected_ids)) for pair in pairs]
    means = [(a / m, b / n) for (a, b), (m, n) in zip(sums, tokens, strict=True)]
    return means, -sum(total for total, _ in sums) / sum(count for count, _ in tokens)
