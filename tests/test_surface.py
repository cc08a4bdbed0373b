"""The public names, pinned: a change here is a change for users."""

from __future__ import annotations

import inspect

import pytest

import tunekit

NAMES = [
    "FineTune",
    "Data",
    "Full",
    "LoRA",
    "QLoRA",
    "AdaLoRA",
    "IA3",
    "LoHa",
    "LoKr",
    "OFT",
    "BOFT",
    "VeRA",
    "Prefix",
    "Prompt",
    "PTuning",
    "LNTuning",
    "Bottleneck",
    "Peft",
    "SFT",
    "DPO",
    "IPO",
    "KTO",
    "SimPO",
    "ORPO",
    "CPO",
    "Reward",
    "GRPO",
    "Training",
    "Replay",
    "Evaluation",
    "Gate",
    "Judge",
    "Output",
    "plan",
    "run",
    "run_many",
    "submit",
    "get",
    "runs",
    "arun",
    "asubmit",
    "load",
    "Run",
    "JobState",
    "Event",
    "Plan",
    "Change",
    "Adapter",
    "Comparison",
    "Backend",
    "Capabilities",
    "Files",
    "Update",
    "Ledger",
    "JobId",
    "Local",
    "Together",
    "Fireworks",
    "Endpoint",
    "attach",
    "TunekitError",
]

SIGNATURES = {
    "plan": ["spec", "backend"],
    "run": [
        "spec",
        "backend",
        "*strict",
        "*max_cost",
        "*trackers",
        "*progress",
        "*on_event",
        "*timeout",
    ],
    "run_many": ["specs", "backend", "*strict", "*progress", "*on_event", "*timeout"],
    "submit": ["spec", "backend", "*strict", "*max_cost", "*trackers"],
    "attach": ["job", "*name"],
    "get": ["run_id"],
    "runs": [],
    "load": ["path", "overrides"],
}


def test_the_public_names_are_these_and_no_others() -> None:
    assert sorted(tunekit.__all__) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_resolves_and_says_what_it_is(name: str) -> None:
    thing = getattr(tunekit, name)
    assert inspect.getdoc(thing), f"tunekit.{name} has no docstring"


def test_the_errors_are_a_module_of_their_own() -> None:
    assert issubclass(tunekit.errors.SpecError, tunekit.TunekitError)


def test_dir_lists_the_public_names() -> None:
    assert set(NAMES) <= set(dir(tunekit))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Lora"):
        tunekit.Lora  # noqa: B018


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_verb_takes_these_arguments(name: str) -> None:
    found = [
        ("*" if parameter.kind is parameter.KEYWORD_ONLY else "") + parameter.name
        for parameter in inspect.signature(getattr(tunekit, name)).parameters.values()
    ]
    assert found == SIGNATURES[name]
