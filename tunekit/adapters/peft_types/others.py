"""Methods without a class in the spec, which `Peft(config=...)` trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tunekit.adapters.peft_types.base import Count, Group, LayersConfig, Rank, Scale, Share, Tensors

Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
Size = Annotated[int, Field(ge=1, le=1 << 20)]


class _Ranked(LayersConfig):
    r: Rank

    def dimensions(self, module: str) -> Mapping[str, int]:
        """Give the rank."""
        return {"r": self.r}


class FourierFTConfig(LayersConfig):
    """A few coefficients of the update's spectrum (arXiv 2405.03003)."""

    name: ClassVar[str] = "FourierFT"
    config: ClassVar[str] = "FourierFTConfig"
    told: ClassVar[tuple[str, ...]] = ("n_frequency", "scaling", "random_loc_seed")
    groups: ClassVar[tuple[Group, ...]] = (({"fourierft_spectrum": ("n",)},),)

    peft_type: Literal["FOURIERFT"]
    n_frequency: Size
    scaling: Scale = 150.0
    random_loc_seed: Seed = 777

    def dimensions(self, module: str) -> Mapping[str, int]:
        """Give the number of coefficients."""
        return {"n": self.n_frequency}


class WaveFTConfig(LayersConfig):
    """A few coefficients of the update's wavelets (arXiv 2505.12532)."""

    name: ClassVar[str] = "WaveFT"
    config: ClassVar[str] = "WaveFTConfig"
    told: ClassVar[tuple[str, ...]] = (
        *("n_frequency", "scaling", "random_loc_seed", "wavelet_family", "use_idwt"),
        "proportional_parameters",
    )
    groups: ClassVar[tuple[Group, ...]] = (({"waveft_spectrum": ("*",)},),)
    idle: ClassVar[tuple[str, float] | None] = ("waveft_spectrum", 0.0)

    peft_type: Literal["WAVEFT"]
    n_frequency: Size
    scaling: Scale = 25.0
    random_loc_seed: Seed = 777
    wavelet_family: Annotated[str, Field(pattern=r"^[a-z]{2,8}\d{0,2}(\.\d)?$")] = "db1"
    use_idwt: bool = True
    proportional_parameters: bool = False


class C3AConfig(LayersConfig):
    """Circular convolutions of blocks (arXiv 2407.19342)."""

    name: ClassVar[str] = "C3A"
    config: ClassVar[str] = "C3AConfig"
    told: ClassVar[tuple[str, ...]] = ("block_size",)
    groups: ClassVar[tuple[Group, ...]] = (({"c3a_kernel": ("*", "*", "size")},),)

    peft_type: Literal["C3A"]
    block_size: Size
    init_weights: bool | Literal["gaussian", "kaiming_uniform", "xavier_uniform"] = True  # type: ignore[assignment]

    def dimensions(self, module: str) -> Mapping[str, int]:
        """Give the size of a block."""
        return {"size": self.block_size}


class RoadConfig(LayersConfig):
    """Rotations of pairs of outputs (arXiv 2409.00119)."""

    name: ClassVar[str] = "RoAd"
    config: ClassVar[str] = "RoadConfig"
    told: ClassVar[tuple[str, ...]] = ("variant", "group_size")
    groups: ClassVar[tuple[Group, ...]] = (({"road_alpha": ("n",), "road_theta": ("n",)},),)

    peft_type: Literal["ROAD"]
    variant: Literal["road_1", "road_2", "road_4"] = "road_1"
    group_size: Size = 64


class MissConfig(_Ranked):
    """One block of numbers, shared along the inputs (arXiv 2409.15371)."""

    name: ClassVar[str] = "MiSS"
    config: ClassVar[str] = "MissConfig"
    told: ClassVar[tuple[str, ...]] = ("r", "miss_dropout", "mini_r")
    groups: ClassVar[tuple[Group, ...]] = (({"miss_block": ("r", "out")},),)
    idle: ClassVar[tuple[str, float] | None] = ("miss_block", 0.0)

    peft_type: Literal["MISS"]
    mini_r: Rank = 1
    miss_dropout: Share = 0.0


class HRAConfig(_Ranked):
    """Householder reflections of the inputs (arXiv 2405.17484)."""

    name: ClassVar[str] = "HRA"
    config: ClassVar[str] = "HRAConfig"
    told: ClassVar[tuple[str, ...]] = ("r", "apply_GS")
    groups: ClassVar[tuple[Group, ...]] = (({"hra_u": ("in", "r")},),)

    peft_type: Literal["HRA"]
    apply_GS: bool = False


class HiraConfig(_Ranked):
    """Hadamard products of the weight itself and a low-rank matrix."""

    name: ClassVar[str] = "HiRA"
    config: ClassVar[str] = "HiraConfig"
    told: ClassVar[tuple[str, ...]] = ("r", "hira_dropout", "fan_in_fan_out")
    groups: ClassVar[tuple[Group, ...]] = (({"hira_A": ("r", "in"), "hira_B": ("out", "r")},),)
    idle: ClassVar[tuple[str, float] | None] = ("hira_B", 0.0)

    peft_type: Literal["HIRA"]
    hira_dropout: Share = 0.0


class DeloraConfig(_Ranked):
    """Low-rank updates whose strength is bounded (arXiv 2503.18225)."""

    name: ClassVar[str] = "DeLoRA"
    config: ClassVar[str] = "DeloraConfig"
    told: ClassVar[tuple[str, ...]] = ("r", "delora_lambda", "module_dropout")
    groups: ClassVar[tuple[Group, ...]] = (
        (
            {
                "delora_A": ("r", "in"),
                "delora_B": ("out", "r"),
                "delora_lambda": (1,),
                "delora_w_norm": ("in",),
            },
        ),
    )
    idle: ClassVar[tuple[str, float] | None] = ("delora_B", 0.0)

    peft_type: Literal["DELORA"]
    delora_lambda: Count = 15
    module_dropout: Share = 0.0


class GraloraConfig(_Ranked):
    """Low-rank updates of the blocks of a weight (arXiv 2505.20355)."""

    name: ClassVar[str] = "GraLoRA"
    config: ClassVar[str] = "GraloraConfig"
    told: ClassVar[tuple[str, ...]] = (
        *("r", "hybrid_r", "alpha", "gralora_dropout", "gralora_k", "fan_in_fan_out"),
    )
    groups: ClassVar[tuple[Group, ...]] = (
        ({"gralora_A": ("k", "*", "r"), "gralora_B": ("k", "r", "*")},),
    )
    idle: ClassVar[tuple[str, float] | None] = ("gralora_B", 0.0)

    peft_type: Literal["GRALORA"]
    hybrid_r: Literal[0] = 0
    alpha: Scale = 64.0
    gralora_dropout: Share = 0.0
    gralora_k: Rank = 2

    def dimensions(self, module: str) -> Mapping[str, int]:
        """Give the rank and the number of blocks along a side."""
        return {"r": self.r, "k": self.gralora_k}


class RandLoraConfig(_Ranked):
    """Scales of random low-rank matrices, which lie beside them (arXiv 2502.00987)."""

    name: ClassVar[str] = "RandLoRA"
    config: ClassVar[str] = "RandLoraConfig"
    told: ClassVar[tuple[str, ...]] = (
        *("r", "projection_prng_key", "save_projection", "sparse", "very_sparse"),
        *("randlora_dropout", "randlora_alpha", "fan_in_fan_out"),
    )
    groups: ClassVar[tuple[Group, ...]] = (
        (
            {
                "randlora_A": ("r", 1, "*"),
                "randlora_B": ("*", "*", "r"),
                "randlora_gamma": ("n", "*"),
                "randlora_lambda": ("r", "n"),
            },
        ),
    )
    shared: ClassVar[Tensors] = {
        "base_model.randlora_A": ("r", 1, "*"),
        "base_model.randlora_B": ("*", "*", "r"),
    }
    idle: ClassVar[tuple[str, float] | None] = ("randlora_lambda", 0.0)

    peft_type: Literal["RANDLORA"]
    projection_prng_key: Seed = 0
    save_projection: Literal[True] = True
    sparse: bool = False
    very_sparse: bool = False
    randlora_dropout: Share = 0.0
    randlora_alpha: Scale = 640.0


class VBLoRAConfig(_Ranked):
    """Low-rank updates made of the vectors of one bank (arXiv 2405.15179)."""

    name: ClassVar[str] = "VB-LoRA"
    config: ClassVar[str] = "VBLoRAConfig"
    told: ClassVar[tuple[str, ...]] = (
        *("r", "num_vectors", "vector_length", "topk", "vblora_dropout", "fan_in_fan_out"),
    )
    groups: ClassVar[tuple[Group, ...]] = (
        (
            {
                "vblora_logits_A": ("r", "*", "vectors"),
                "vblora_logits_B": ("*", "r", "vectors"),
            },
        ),
    )
    shared: ClassVar[Tensors] = {"base_model.vblora_vector_bank": ("vectors", "length")}

    peft_type: Literal["VBLORA"]
    num_vectors: Size
    vector_length: Size
    topk: Size = 2
    vblora_dropout: Share = 0.0
    save_only_topk_weights: Literal[False] = False
    init_vector_bank_bound: Scale = 0.02
    init_logits_std: Scale = 0.1

    def dimensions(self, module: str) -> Mapping[str, int]:
        """Give the rank and the sizes of the bank."""
        return {"r": self.r, "vectors": self.num_vectors, "length": self.vector_length}
