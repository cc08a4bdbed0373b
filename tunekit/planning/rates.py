"""Published learning rates: by objective and size of the model, and by method."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LIMITS = (1e9, 5e9, 2e10, math.inf)
"""Parameters up to which each of a row's rates holds."""


@dataclass(frozen=True)
class Row:
    """The rates of one objective, for models of four sizes."""

    rates: tuple[float, float, float, float]
    source: str
    guessed: tuple[int, ...] = ()
    """Columns that nobody has published; they are extrapolated from their neighbours."""

    def at(self, parameters: float) -> tuple[float, bool]:
        """Give the rate for a size, and whether it is extrapolated."""
        column = next(n for n, limit in enumerate(LIMITS) if parameters <= limit)
        return self.rates[column], column in self.guessed


_ALL = (0, 1, 2, 3)
_ELSEWHERE = (0, 1, 3)
"""Published for 7 to 14 billion parameters only."""
_HANDBOOK = "alignment-handbook"
_TENFOLD = "x 10 for an adapter: Schulman 2025, LoRA Without Regret"
_DPO = f"{_HANDBOOK}; arXiv 2405.14734"
_DPO_LORA = f"tinker-cookbook; {_HANDBOOK}"
_IPO = f"arXiv 2310.12036, trained as DPO is; {_HANDBOOK}"
_KTO = "arXiv 2402.01306; ContextualAI/HALOs; TRL, KTO trainer"
_ORPO = f"arXiv 2403.07691; xfactlab/orpo; {_HANDBOOK}"
_SIMPO = "arXiv 2405.14734; princeton-nlp/SimPO"
_CPO = "arXiv 2401.08417, with LoRA at 13 billion"
_REWARD = "TRL, RewardConfig"
_GRPO = "TRL, GRPOConfig; tinker-cookbook"

FULL: Mapping[str, Row] = {
    "sft": Row((5e-5, 2e-5, 1e-5, 5e-6), f"{_HANDBOOK}; arXiv 2310.16944", (0, 3)),
    "dpo": Row((1e-6, 1e-6, 5e-7, 5e-7), _DPO, (3,)),
    "ipo": Row((1e-6, 1e-6, 5e-7, 5e-7), _IPO, (3,)),
    "kto": Row((1e-6, 1e-6, 1e-6, 5e-7), _KTO, _ELSEWHERE),
    "orpo": Row((8e-6, 8e-6, 5e-6, 5e-6), _ORPO),
    "simpo": Row((1e-6, 1e-6, 5e-7, 3e-7), _SIMPO, _ELSEWHERE),
    "cpo": Row((1e-5, 1e-5, 1e-5, 1e-5), f"{_CPO}, divided by 10", _ALL),
    "reward": Row((1e-5, 1e-5, 1e-5, 1e-5), f"{_REWARD}, divided by 10", _ALL),
    "grpo": Row((1e-6, 1e-6, 1e-6, 1e-6), _GRPO),
}
"""With all weights trained."""

ADAPTER: Mapping[str, Row] = {
    "dpo": Row((1e-5, 1e-5, 1e-5, 5e-6), _DPO_LORA, _ELSEWHERE),
    "ipo": Row((1e-5, 1e-5, 1e-5, 5e-6), _IPO, _ELSEWHERE),
    "kto": Row((5e-6, 5e-6, 5e-6, 5e-6), _KTO, _ELSEWHERE),
    "orpo": Row((8e-5, 8e-5, 5e-5, 5e-5), f"{_ORPO}; {_TENFOLD}", _ALL),
    "simpo": Row((1e-5, 1e-5, 5e-6, 3e-6), f"{_SIMPO}; {_TENFOLD}", _ALL),
    "cpo": Row((1e-4, 1e-4, 1e-4, 1e-4), _CPO, _ELSEWHERE),
    "reward": Row((1e-4, 1e-4, 1e-4, 1e-4), _REWARD),
    "grpo": Row((1e-5, 1e-5, 1e-5, 1e-5), _GRPO),
}
"""With a low-rank adapter of alpha 32; for SFT a rule stands in its place."""

STEPS: Mapping[str, int] = {"dpo": 478, "ipo": 478, "kto": 3821}
"""Steps of the runs that rates against a reference were published for: once over the 61,135 pairs
of UltraFeedback in batches of 128 (alignment-handbook), or over their answers in batches of 32, as
HALOs has them. SimPO is left out: its authors warn of high rates."""


@dataclass(frozen=True)
class Own:
    """The rate of SFT with a method that is not a LoRA, for any model unless it has a width."""

    rate: float
    why: str
    source: str
    scale: float | None = None
    """alpha / rank that the rate assumes, where the method has an alpha."""
    width: int | None = None
    """Width of the model that the rate is for; narrower ones take more, as with LoRA."""
    most: float | None = None
    """The highest rate that has been tried."""


_PEFT = "PEFT, method_comparison/MetaMathQA"

METHODS: Mapping[str, Own] = {
    "adalora": Own(
        5e-4,
        "its authors took 5e-4 to 8e-4 for DeBERTa; for language models extrapolated",
        f"QingruZhang/AdaLoRA; {_PEFT}",
    ),
    "ia3": Own(5e-3, "0.455 on GSM8K at 5e-3, 0.311 at 1e-4", _PEFT),
    "loha": Own(1e-3, "0.393 at 1e-4, which LoKr's 3e-3 passes; extrapolated", _PEFT, scale=2),
    "lokr": Own(3e-3, "0.466 on GSM8K at 3e-3, 0.360 at 1e-4", _PEFT, scale=2),
    "oft": Own(1e-4, "0.491 on GSM8K", _PEFT),
    "boft": Own(3e-4, "0.343 at 1e-4, well below OFT; extrapolated", _PEFT),
    "vera": Own(1e-3, "0.354 on GSM8K", _PEFT),
    "prefix": Own(5e-3, "0.416 on GSM8K at 5e-3, 0.186 at 1e-3", _PEFT),
    "prompt": Own(
        1e-2, "TRL advises 1e-2 to 3e-2; 0.343 at 1e-3", f"TRL, PEFT integration; {_PEFT}"
    ),
    "ptuning": Own(1e-3, "0.367 on GSM8K at 1e-3, 0.342 at 1e-4, 0.355 at 5e-3", _PEFT),
    "lntuning": Own(1e-3, "nothing was learnt at 1e-4; extrapolated", _PEFT),
    "bottleneck": Own(
        3e-4,
        "LLM-Adapters' for LLaMA-7B, the middle of Houlsby's 3e-5 to 3e-3",
        "arXiv 2304.01933; arXiv 1902.00751",
        width=4096,
        most=3e-3,
    ),
}
"""By method; the figures are accuracies of Llama-3.2-3B after 5,000 steps of 4 rows."""

PEFT_TYPES: Mapping[str, str] = {
    **{name.upper(): name for name in METHODS},
    "PREFIX_TUNING": "prefix",
    "PROMPT_TUNING": "prompt",
    "P_TUNING": "ptuning",
    "LN_TUNING": "lntuning",
}
"""PEFT's names of our methods."""

_OTHERS: Mapping[str, float] = {
    "ADAPTION_PROMPT": 5e-3,
    "C3A": 0.1,
    "DELORA": 1e-3,
    "GRALORA": 2e-4,
    "HIRA": 4.5e-3,
    "OSF": 5e-5,
    "PVERA": 3e-3,
    "ROAD": 1e-3,
    "SHIRA": 3e-4,
}
"""What PEFT's comparison or documentation takes for methods that have no class here."""


def own(method: Any) -> Own | None:
    """Give the row of a method that is neither Full nor LoRA, None where LoRA's rates hold."""
    if method.type in ("lora", "qlora"):
        return None
    if method.type != "peft":
        return METHODS.get(method.type, Own(1e-4, "what most methods there are given", _PEFT))
    kind = str(method.config["peft_type"])
    if kind == "LORA":
        return None
    if kind in PEFT_TYPES:
        return METHODS[PEFT_TYPES[kind]]
    if kind in _OTHERS:
        return Own(_OTHERS[kind], f"what {kind} is given there", _PEFT)
    return Own(1e-4, f"what most methods there are given; for {kind} extrapolated", _PEFT)
