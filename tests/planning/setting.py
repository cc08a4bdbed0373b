"""Models, rows and machines to plan for."""

from __future__ import annotations

from typing import Any

from tunekit.data.profile import Profile
from tunekit.models import Model
from tunekit.planning.machine import Machine


def a_model(
    h: int,
    layers: int,
    heads: int,
    kv: int,
    inner: int,
    vocabulary: int,
    parameters: int,
    **more: Any,
) -> Model:
    return Model(
        id="acme/model",
        hidden_size=h,
        layers=layers,
        heads=heads,
        kv_heads=kv,
        head_dim=more.pop("head_dim", h // heads),
        intermediate_size=inner,
        vocab_size=vocabulary,
        parameters=parameters,
        **{"family": "llama", "tied_embeddings": False, "context": 8192, **more},
    )


SMOL = a_model(576, 30, 9, 3, 1536, 49152, 134_515_008, tied_embeddings=True)
LLAMA_1B = a_model(2048, 16, 32, 8, 8192, 128256, 1_235_814_400, tied_embeddings=True)
LLAMA_3B = a_model(3072, 28, 24, 8, 8192, 128256, 3_212_749_824, head_dim=128, tied_embeddings=True)
LLAMA_8B = a_model(4096, 32, 32, 8, 14336, 128256, 8_030_261_248)
LLAMA2_7B = a_model(4096, 32, 32, 32, 11008, 32000, 6_738_415_616)
LLAMA2_13B = a_model(5120, 40, 40, 40, 13824, 32000, 13_015_864_320)
LLAMA_33B = a_model(6656, 60, 52, 52, 17920, 32000, 32_528_943_616)
LLAMA_65B = a_model(8192, 80, 64, 64, 22016, 32000, 65_285_660_672)
QWEN_06B = a_model(
    1024, 28, 16, 8, 3072, 151936, 596_049_920, family="qwen3", head_dim=128, tied_embeddings=True
)
QWEN_8B = a_model(4096, 36, 32, 8, 12288, 151936, 8_190_735_360, family="qwen3", head_dim=128)
UNKNOWN = Model(id="acme/unknown")

CPU = Machine("cpu", 1, 2, 24 * 2**30, False, "2 processors may be used")
H100 = Machine("cuda", 1, 16, 80 * 2**30, True, "1 CUDA device: NVIDIA H100")


def rows(
    count: int = 1000,
    *,
    kind: Any = "conversation",
    tokens: int = 200_000,
    trained: int = 50_000,
    longest: int = 300,
) -> Profile:
    return Profile(
        source="rows.jsonl",
        format=kind,
        kind=kind,
        rows=count,
        validation_rows=50,
        validation_policy="5 % by content",
        tokens=tokens,
        trained_tokens=trained,
        longest=longest,
        digest="0" * 64,
    )
