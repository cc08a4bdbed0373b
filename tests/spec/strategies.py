"""Specs of every shape, for property tests."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import MethodName
from tunekit.spec.methods.lora import Init
from tunekit.spec.metrics import METRICS

CALM = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
"""Same examples every time, however busy the machine is."""

AUTO = st.just("auto")
SHARES = st.floats(0, 1, exclude_max=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
WORDS = st.text(min_size=1).filter(str.strip)
ROWS = st.lists(st.dictionaries(st.text(), JSON, max_size=3), min_size=1, max_size=3)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


LOW_RANK = {
    "rank": st.integers(1, 512) | AUTO,
    "alpha": st.floats(0.1, 1000) | AUTO,
    "dropout": SHARES,
    "target_modules": st.just("all-linear") | st.lists(WORDS, min_size=1, max_size=3),
}


def tagged(type_: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(type_)}, optional=fields)


LAYERS = LOW_RANK["target_modules"]
LORA = {
    **LOW_RANK,
    "use_rslora": st.booleans(),
    "use_dora": st.booleans(),
    "lr_ratio": st.floats(1, 64) | st.none(),
}
PRODUCT = {
    "rank": st.integers(1, 512),
    "alpha": st.floats(0.1, 1000),
    "rank_dropout": SHARES,
    "module_dropout": SHARES,
    "target_modules": LAYERS,
}
VIRTUAL = {"num_virtual_tokens": st.integers(1, 4096), "init_text": WORDS | st.none()}
METHODS = st.one_of(
    st.sampled_from(get_args(MethodName)),
    tagged("full", last_layers=st.integers(1, 100) | st.none()),
    tagged("lora", **LORA, init=st.sampled_from(get_args(Init))),
    tagged("qlora", **LORA, quantization=st.just("fp4"), double_quantization=st.booleans()),
    tagged("qlora", quantization=st.just("int8"), double_quantization=st.just(False)),
    tagged(
        "adalora",
        **LOW_RANK,
        initial_rank=st.integers(1, 768) | st.none(),
        prune_start=st.floats(0, 0.4),
        prune_end=st.floats(0.5, 1),
        prune_every=st.integers(1, 1000),
        orth_reg_weight=st.floats(0, 10),
    ),
    tagged("ia3", target_modules=LAYERS, feedforward_modules=st.lists(WORDS, max_size=2)),
    tagged("loha", **PRODUCT),
    tagged("lokr", **PRODUCT, decompose_both=st.booleans(), decompose_factor=st.just(-1)),
    tagged("oft", block_size=st.integers(2, 512), block_share=st.booleans(), module_dropout=SHARES),
    tagged("boft", block_size=st.integers(2, 512), butterfly_factors=st.integers(1, 8)),
    tagged("vera", rank=st.integers(1, 4096), dropout=SHARES, d_initial=st.floats(0.01, 1)),
    tagged("prefix", **VIRTUAL, init=st.sampled_from(["data", "random"])),
    tagged("prompt", **VIRTUAL, init=st.sampled_from(["vocabulary", "random"])),
    tagged("ptuning", encoder=st.sampled_from(["mlp", "lstm"]), encoder_dropout=SHARES),
    tagged("lntuning", target_modules=st.just("all-norms") | st.lists(WORDS, min_size=1)),
    st.fixed_dictionaries(
        {"type": st.just("peft"), "config": st.just({"peft_type": "MISS", "r": 8})}
    ),
)
OBJECTIVES = st.one_of(
    st.sampled_from(["sft", "dpo", "ipo", "kto", "simpo", "orpo", "cpo", "reward", "grpo"]),
    tagged("sft", train_on=st.sampled_from(["auto", "assistant", "completion", "all"])),
    tagged("ipo", beta=st.floats(1e-6, 100)),
    tagged(
        "kto",
        beta=st.floats(1e-6, 100),
        desirable_weight=st.floats(1e-6, 100) | AUTO,
        undesirable_weight=st.floats(1e-6, 100) | AUTO,
    ),
    tagged("cpo", beta=st.floats(1e-6, 100), sft_weight=st.floats(0, 100)),
    tagged("reward", center_rewards_coefficient=st.floats(0, 1)),
    tagged(
        "grpo",
        rewards=st.lists(st.sampled_from(["json_valid", "a.b:c", "x/y.py:f"]), max_size=3),
        reward_weights=st.lists(st.floats(-10, 10), max_size=3) | st.none(),
        generations=st.integers(2, 64),
        max_new_tokens=st.integers(1, 4096),
        temperature=st.floats(0.01, 10),
        beta=st.floats(0, 10),
    ),
    tagged(
        "dpo",
        loss=st.sampled_from(["sigmoid", "hinge", "robust"]),
        label_smoothing=st.floats(0, 0.5, exclude_max=True),
        beta=st.floats(1e-6, 100),
        length_normalized=st.booleans(),
        sft_weight=st.floats(0, 100),
    ),
    tagged("simpo", beta=st.floats(1e-6, 100), gamma=st.floats(0, 100)),
    tagged("orpo", beta=st.floats(1e-6, 100)),
)
TRAINING = some(
    epochs=st.floats(0.01, 1000) | st.integers(1, 1000) | AUTO,
    max_steps=st.integers(1, 10**9) | st.none(),
    batch_size=st.integers(1, 4096) | AUTO,
    learning_rate=st.floats(1e-12, 0.1) | AUTO,
    scheduler=st.sampled_from(["cosine", "linear", "constant"]),
    warmup_ratio=SHARES,
    max_length=st.integers(1, 10**6) | AUTO,
    packing=st.booleans(),
    weight_decay=st.floats(0, 10),
    max_grad_norm=st.floats(1e-6, 1e6),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from(["float32", "bfloat16", "auto"]),
    gradient_checkpointing=st.booleans() | AUTO,
    checkpoint_steps=st.integers(1, 10**6) | AUTO,
    early_stopping=st.integers(1, 100) | st.none(),
    replay=st.none()
    | st.sampled_from(["general", "self"])
    | some(source=st.sampled_from(["general", "self"]), ratio=st.floats(0.01, 1)),
)
DATA = st.one_of(
    WORDS,
    ROWS,
    st.fixed_dictionaries(
        {"source": WORDS | ROWS},
        optional={
            "format": st.sampled_from(["auto", "conversation", "text", "preference"]),
            "split": WORDS,
            "limit": st.integers(1, 10**9) | st.none(),
        },
    ),
)
SPECS = st.fixed_dictionaries(
    {"model": WORDS, "data": DATA},
    optional={
        "method": METHODS,
        "objective": OBJECTIVES,
        "training": TRAINING,
        "validation": st.floats(0.001, 0.999) | AUTO | st.none() | DATA,
        "evaluation": some(
            enabled=st.booleans(),
            metrics=AUTO | st.lists(st.sampled_from(METRICS), min_size=1, unique=True),
            generations=st.integers(0, 10_000) | AUTO,
            examples=st.integers(0, 100),
            max_new_tokens=st.integers(1, 10**6) | AUTO,
            profile=st.sampled_from(["assistant", "specialist"]),
            forgetting=st.booleans() | AUTO,
            overfitting=st.booleans() | AUTO,
            gate=st.none()
            | some(
                verdict=st.sampled_from(["improved", "no detectable change"]),
                forgetting=st.sampled_from(["pass", "warn"]),
                minimum=st.dictionaries(st.sampled_from(METRICS), SHARES, max_size=2),
            ),
        ),
        "output": some(name=NAMES | st.none(), folder=st.text() | st.none()),
        "extra": st.dictionaries(NAMES, st.dictionaries(st.text(), JSON, max_size=3), max_size=2),
    },
).map(lambda values: FineTune(**values))
BACKENDS = st.one_of(
    st.none(), WORDS, st.fixed_dictionaries({"type": WORDS}, optional={"devices": st.integers()})
)
