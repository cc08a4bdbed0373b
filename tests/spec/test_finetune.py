"""A spec written in Python: shorthand, refusals, and what counts as set."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import pytest

from tunekit.errors import SpecError
from tunekit.spec.finetune import Data, FineTune
from tunekit.spec.methods import Full, LoRA, QLoRA
from tunekit.spec.objectives import DPO, ORPO, SFT, SimPO
from tunekit.spec.training import Training

PYTHON_MISTAKES: list[tuple[type, dict[str, Any], str]] = [
    (LoRA, {"rnk": 8}, "rnk: unknown key; did you mean 'rank'?"),
    (LoRA, {"r": 8}, "r: unknown key; here it is called 'method.rank'"),
    (
        LoRA,
        {"quantization": "nf4"},
        "quantization: unknown key; it belongs to type 'qlora': write type: qlora",
    ),
    (LoRA, {"rank": 1000}, "rank: must be at most 512 or 'auto', not 1000"),
    (LoRA, {"alpha": 0}, "alpha: must be greater than 0 or 'auto', not 0"),
    (LoRA, {"target_modules": []}, "must be 'all-linear' or a list of names, not []"),
    (QLoRA, {"quantization": "int4"}, "quantization: must be 'nf4', 'fp4' or 'int8', not 'int4'"),
    (DPO, {"beta": -0.1}, "beta: must be greater than 0, not -0.1"),
    (DPO, {"sft_weight": -1}, "sft_weight: must be at least 0, not -1"),
    (
        DPO,
        {"gamma": 0.5},
        "gamma: unknown key; it belongs to type 'simpo': write type: simpo",
    ),
    (SimPO, {"gamma": -0.5}, "gamma: must be at least 0, not -0.5"),
    (
        SimPO,
        {"sft_weight": 0.1},
        "sft_weight: unknown key; it belongs to type 'dpo': write type: dpo",
    ),
    (ORPO, {"beta": 0}, "beta: must be greater than 0, not 0"),
    (Training, {"learning_rate": 2}, "learning_rate: 2 is larger than any rate that trains"),
    (Training, {"learning_rate": math.nan}, "a finite number or 'auto' or 'sweep', not nan"),
    (Training, {"packing": 1}, "packing: must be true or false, not 1"),
    (Training, {"seed": True}, "seed: must be a whole number, not True"),
    (Data, {"source": " "}, "source: is empty; give a file, a folder, a hub id or rows"),
    (Data, {"source": "a", "limit": 0}, "limit: must be at least 1, not 0"),
]


@pytest.mark.parametrize(("kind", "values", "error"), PYTHON_MISTAKES)
def test_a_mistake_in_python_names_the_field(
    kind: type, values: dict[str, Any], error: str
) -> None:
    with pytest.raises(SpecError) as caught:
        kind(**values)
    assert error in str(caught.value)


def test_positional_values_are_refused_with_the_keyword() -> None:
    with pytest.raises(SpecError, match=r"LoRA takes keywords only: LoRA\(rank=\.\.\.\)"):
        LoRA(8)  # type: ignore[call-arg]


def test_the_field_is_named_from_the_top_of_the_spec() -> None:
    with pytest.raises(SpecError, match=r"^method\.rank: must be at least 1 or 'auto', not 0$"):
        FineTune(model="m", data="d", method={"type": "lora", "rank": 0})


def test_shorthand_and_objects_make_equal_specs() -> None:
    long = FineTune(model="m", data=Data(source="d"), method=Full(), objective=SFT())
    assert FineTune(model="m", data="d", method="full", objective="sft") == long
    assert FineTune(model=Path("m"), data=Path("d"), method="full") == long


def test_rows_in_memory_may_come_from_anything_that_iterates() -> None:
    rows = [{"text": "a"}, {"text": "b"}]
    spec = FineTune(model="m", data=(row for row in rows))
    assert spec.data.source == tuple(rows)
    assert FineTune(model="m", data=rows, validation=rows).validation == Data(source=tuple(rows))


def test_a_default_is_not_a_wish_but_a_value_equal_to_it_is() -> None:
    spec = FineTune(model="m", data="d", method=LoRA(rank="auto"), training={"seed": 42})
    assert spec.minimal() == {
        "model": "m",
        "data": {"source": "d"},
        "method": {"type": "lora", "rank": "auto"},
        "training": {"seed": 42},
    }


def test_a_spec_cannot_be_changed_in_place() -> None:
    spec = FineTune(model="m", data="d")
    with pytest.raises(SpecError, match=r"frozen: make another Training\(seed=\.\.\.\) instead"):
        spec.training.seed = 1
    assert spec.training.seed == 42


def test_the_error_survives_pickling_with_its_problems() -> None:
    with pytest.raises(SpecError) as caught:
        FineTune(model="m", data="d", trainin={}, methd="lora")  # type: ignore[call-arg]
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.problems == (
        "trainin: unknown key; did you mean 'training'?",
        "methd: unknown key; did you mean 'method'?",
    )


def test_the_beta_of_dpo_follows_the_length_normalisation_until_it_is_set() -> None:
    # Rafailov et al. 0.1; Tulu 3, which normalises by length, 5 (open-instruct, docs/tulu3.md).
    assert DPO().beta == 0.1
    normalized = DPO(length_normalized=True)
    assert normalized.beta == 5
    assert "beta" not in normalized.model_fields_set
    assert DPO(length_normalized=True, beta=0.3).beta == 0.3


def test_the_margin_of_simpo_is_half_of_its_beta_as_its_authors_advise() -> None:
    assert SimPO().gamma / SimPO().beta == 0.5
    assert (SimPO().beta, ORPO().beta) == (2.0, 0.1)
