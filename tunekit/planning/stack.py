"""How the software that trains holds things: widths, copies, and what it computes at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tunekit.planning.passes import TILE
from tunekit.spec.methods import AnyMethod, Full, QLoRA


@dataclass(frozen=True)
class Stack:
    """Habits of a trainer that decide over memory; sizes in bytes.

    The defaults are those of TRL 1.16 with PEFT 0.21 on a CUDA device, LoRA over bfloat16.
    """

    adapter: int = 4
    """Of an adapter's weight, and of its gradient."""
    moments: int = 8
    """Of the optimizer's states, per trained weight."""
    master: int = 4
    """Of a weight that is trained itself."""
    autocast: bool = True
    """Products are in 16 bits, whatever the weights are; inputs of another width are cast."""
    whole_logits: bool = False
    """The loss holds the logits of all tokens, not a tile at a time."""
    tile: int = 0
    """Of what is computed beside each logit of a tile: kernels need nothing, plain torch does."""
    own_tile: int = TILE["cuda"]
    """Bytes of the logits that our own passes compute at once."""
    wide_embeddings: bool = False
    """Norms and embeddings of a quantized base are float32 (`prepare_model_for_kbit_training`)."""
    keeps_inputs: bool = False
    """4-bit layers keep their inputs, as those of bitsandbytes did before 0.43.2."""
    masks: bool = False
    """Attention to several rows keeps a mask over all pairs of tokens."""
    context: int = 800_000_000
    """Of driver, libraries and interpreter, before there is a model."""
    spread: float = 0
    """Share of what comes and goes that is lost between blocks of the allocator."""
    holes: float = 0
    """Share of the loss's tiles that is lost besides: the last tile of a vocabulary is narrower,
    and leaves holes that a whole one does not fit into."""
    maps: bool = False
    """Weights are used where the file is mapped, and all of it stays in memory for one of them."""


CUDA = Stack(masks=True)
CPU = Stack(
    autocast=False,
    tile=29,
    own_tile=TILE["cpu"],
    masks=True,
    context=540_000_000,
    spread=0.1,
    holes=1.0,
    maps=True,
)
"""Without Triton TRL's loss makes seven float32 tensors and one of booleans for a tile. The last
three, and the context, are from runs of the worker with glibc (benchmarks/memory.py)."""


def local(method: AnyMethod, *, device: str, dtype: str) -> Stack:
    """Describe the local backend: TRL and PEFT as its request sets them."""
    base = CUDA if device == "cuda" else CPU
    autocast = dtype == "bfloat16" and (isinstance(method, Full) or device == "cuda")
    # TRL casts the adapters of a quantized base to bfloat16, and Adam's states follow.
    narrow = isinstance(method, QLoRA)
    return replace(
        base,
        adapter=2 if narrow else 4,
        moments=4 if narrow else 8,
        autocast=autocast,
    )
