"""Read a loaded model: its layers as ours, or the reason why they are not understood.

Every part is recognised by what it is. A part that is not known, a hook, a forward method that
somebody has replaced, or a trained weight that is no adapter ends the reading before anything is
changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, silu

from tunekit.backends.local.fast import modules
from tunekit.backends.local.fast.attention import Attention, Blocked, Reach
from tunekit.backends.local.fast.decoder import GROUPS, Decoder
from tunekit.backends.local.fast.linear import Group
from tunekit.backends.local.fast.modules import Linear
from tunekit.backends.local.fast.network import Network, Rotate
from tunekit.backends.local.fast.operations import Angles, Heads, Norm, Operations
from tunekit.backends.local.fast.unsuited import Unsuited
from tunekit.backends.local.fast.weights import Shelf
from tunekit.evaluation.inference import inner
from tunekit.planning.passes import SHELF

FAMILIES = {
    "LlamaForCausalLM": "Llama",
    "MistralForCausalLM": "Mistral",
    "Qwen2ForCausalLM": "Qwen2",
    "Qwen3ForCausalLM": "Qwen3",
    "SmolLM3ForCausalLM": "SmolLM3",
    "GemmaForCausalLM": "Gemma",
    "Gemma3ForCausalLM": "Gemma3",
}
"""Classes of transformers, and what the names of their parts begin with."""
_PROJECTIONS = (
    ("q_proj", "k_proj", "v_proj"),
    ("o_proj",),
    ("gate_proj", "up_proj"),
    ("down_proj",),
)
_LAYER = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
_SANDWICHED = _LAYER | {"pre_feedforward_layernorm", "post_feedforward_layernorm"}
_Join = Callable[[int, str, Operations, Shelf, Tensor], Group]
"""From the number of a layer and the name of a group to the group."""


def read(
    model: Any,
    run: Operations,
    *,
    recompute: bool,
    attention: Attention | None = None,
    trained: bool = True,
) -> Network:
    """Read a PEFT model, or with `trained=False` any that nobody trains.

    The weights of its linear layers move into joint matrices, of which the modules get views; the
    model works on as before.

    Raises:
        Unsuited: something is not as it is in the families known here.
    """
    parts = _parts(model, trained=trained)

    def group(n: int, name: str, run: Operations, shelf: Shelf, like: Tensor) -> Group:
        linears = parts[n].linears[name]
        return modules.group(linears, run, shelf, like=like, number=_number(n, name))

    return _network(model, parts, group, run, recompute=recompute, attention=attention)


def read_all(
    models: Sequence[Any],
    run: Operations,
    *,
    slots: int,
    recompute: bool,
    attention: Attention | None = None,
) -> Network:
    """Read PEFT models over one base, whose weights are the same tensors in each.

    At most `slots` of them are in one pass.

    Raises:
        Unsuited: as `read`.
    """
    tenants = [_parts(model) for model in models]

    def group(n: int, name: str, run: Operations, shelf: Shelf, like: Tensor) -> Group:
        linears = [parts[n].linears[name] for parts in tenants]
        return modules.shared(linears, run, shelf, slots=slots, like=like, number=_number(n, name))

    return _network(models[0], tenants[0], group, run, recompute=recompute, attention=attention)


def _parts(model: Any, *, trained: bool = True) -> list[_Part]:
    """Understand a model, and change nothing."""
    base = inner(model)
    kinds = {str(config.peft_type) for config in getattr(model, "peft_config", {}).values()}
    if not all(kind.endswith("LORA") for kind in kinds):
        raise Unsuited(f"the adapter is {', '.join(kinds)}")
    family = FAMILIES.get(type(base).__name__)
    if family is None or not type(base).__module__.startswith("transformers.models."):
        raise Unsuited(f"{type(base).__name__} is none of {', '.join(FAMILIES)}")
    _check_whole(base, family)
    parts = [_Part.read(layer, base.config, family) for layer in base.model.layers]
    if trained:
        _check_trained(model, parts)
    return parts


def _network(
    model: Any,
    parts: Sequence[_Part],
    group: _Join,
    run: Operations,
    *,
    recompute: bool,
    attention: Attention | None,
) -> Network:
    """Put together what `parts` are; from here on the model is changed."""
    base = inner(model)
    shelf, like = Shelf(SHELF), base.model.embed_tokens.weight
    scale = getattr(base.model.embed_tokens, "embed_scale", None)
    layers = [
        part.decoder({name: group(n, name, run, shelf, like) for name in GROUPS})
        for n, part in enumerate(parts)
    ]
    return Network(
        words=like,
        word_scale=None if scale is None else float(scale.to(like.dtype)),
        layers=layers,
        norm=_norm(base.model.norm, parts[0].family),
        head=base.lm_head.weight,
        rotate=_rotate(base.model.rotary_emb, sorted({part.rotation for part in parts})),
        run=run,
        attention=attention or Blocked(run),
        shelf=shelf,
        recompute=recompute,
    )


def _number(layer: int, name: str) -> int:
    """Tell the dropout of a group from that of others."""
    return 16 * layer + 4 * GROUPS.index(name)


@dataclass(frozen=True)
class _Part:
    """A decoder layer of transformers, understood and not yet changed."""

    layer: Any
    family: str
    linears: dict[str, list[Linear]]
    rotation: str
    tanh: bool

    @classmethod
    def read(cls, layer: Any, config: Any, family: str) -> _Part:
        attention, mlp = layer.self_attn, layer.mlp
        sandwiched = family == "Gemma3"
        _expect(layer, f"{family}DecoderLayer", _SANDWICHED if sandwiched else _LAYER)
        norms = {"q_norm", "k_norm"} if family in ("Qwen3", "Gemma3") else set[str]()
        _expect(attention, f"{family}Attention", {*_PROJECTIONS[0], "o_proj", *norms})
        _expect(mlp, f"{family}MLP", {"gate_proj", "up_proj", "down_proj", "act_fn"})
        for module in layer.modules():
            _check_untouched(module)
        if not getattr(attention, "is_causal", True):
            raise Unsuited("attention looks ahead")
        if getattr(attention, "attn_logit_softcapping", None):
            raise Unsuited("the scores of attention are capped")
        if config.attention_dropout:
            raise Unsuited("attention has a dropout of its own")
        homes = (attention, attention, mlp, mlp)
        linears = {
            group: [modules.read(getattr(home, name)) for name in names]
            for group, home, names in zip(GROUPS, homes, _PROJECTIONS, strict=True)
        }
        return cls(layer, family, linears, _rotation(attention, family), _tanh(mlp.act_fn))

    def tensors(self) -> Iterator[Tensor]:
        """Give A and B of every adapter."""
        for linears in self.linears.values():
            for linear in linears:
                if linear.adapter is not None:
                    yield from (linear.adapter.a, linear.adapter.b)

    def decoder(self, groups: dict[str, Group]) -> Decoder:
        """Make our layer."""
        layer, attention = self.layer, self.layer.self_attn
        sandwiched = hasattr(layer, "pre_feedforward_layernorm")
        before_mlp = "pre_feedforward_layernorm" if sandwiched else "post_attention_layernorm"
        return Decoder(
            **groups,
            before_attention=self._norm("input_layernorm"),
            before_mlp=self._norm(before_mlp),
            after_attention=self._norm("post_attention_layernorm") if sandwiched else None,
            after_mlp=self._norm("post_feedforward_layernorm") if sandwiched else None,
            reach=Reach(self._heads(), float(attention.scaling), _window(attention)),
            rotation=self.rotation,
            tanh=self.tanh,
        )

    def _norm(self, name: str) -> Norm:
        return _norm(getattr(self.layer, name), self.family)

    def _heads(self) -> Heads:
        attention = self.layer.self_attn
        width, share = int(attention.head_dim), int(attention.num_key_value_groups)
        groups = int(attention.q_proj.out_features) // (width * share)
        if not hasattr(attention, "q_norm"):
            return Heads(groups, share, width)
        norms = (_norm(part, self.family) for part in (attention.q_norm, attention.k_norm))
        return Heads(groups, share, width, *norms)


def _check_whole(base: Any, family: str) -> None:
    """Look at what stands around the layers."""
    inner, config = base.model, base.config
    _expect(base, type(base).__name__, {"model", "lm_head"})
    _expect(inner, f"{family}{'Text' * (family == 'Gemma3')}Model",
            {"embed_tokens", "layers", "norm", "rotary_emb"})  # fmt: skip
    words = inner.embed_tokens
    if (
        type(words) is not nn.Embedding
        and type(words).__name__ != f"{family}TextScaledWordEmbedding"
    ):
        raise Unsuited(f"words are embedded by {type(words).__name__}")
    if type(base.lm_head) is not nn.Linear or vars(base.lm_head)["_parameters"]["bias"] is not None:
        raise Unsuited(f"the head is {type(base.lm_head).__name__}, or it has a bias")
    if type(inner.rotary_emb).__name__ != f"{family}RotaryEmbedding":
        raise Unsuited(f"positions are rotated by {type(inner.rotary_emb).__name__}")
    if getattr(config, "final_logit_softcapping", None):
        raise Unsuited("the logits are capped")
    types = {words.weight.dtype, base.lm_head.weight.dtype}
    if len(types) > 1 or not types <= {torch.float32, torch.bfloat16}:
        raise Unsuited(f"the weights are {' and '.join(map(str, types))}")
    if words.weight.device != base.lm_head.weight.device:
        raise Unsuited("the model lies on several devices")


def _check_trained(model: Any, parts: list[_Part]) -> None:
    """See that everything trained was read as an adapter, and that there is something."""
    read = {id(tensor) for part in parts for tensor in part.tensors()}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    strange = next((name for name, p in trained.items() if id(p) not in read), None)
    if strange is not None:
        raise Unsuited(f"{strange} is trained, which is no adapter that was read")
    if not trained:
        raise Unsuited("no adapter is trained")


def _check_untouched(module: Any) -> None:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    if any(hooks) or "forward" in vars(module):
        raise Unsuited(f"somebody has changed how {type(module).__name__} works")


def _expect(module: Any, name: str, children: set[str]) -> None:
    found = {child for child, _ in module.named_children()}
    if type(module).__name__ != name or found != children:
        raise Unsuited(f"{type(module).__name__} holds {', '.join(sorted(found))}")


def _norm(module: Any, family: str) -> Norm:
    """Read a norm; Gemma's weights are what is added to 1."""
    if type(module).__name__ != f"{family}RMSNorm":
        raise Unsuited(f"{type(module).__name__} is another norm than the family's")
    weight = module.weight.detach().float()
    if family.startswith("Gemma"):
        return Norm(1.0 + weight, float(module.eps))
    return Norm(weight.clone(), float(module.variance_epsilon))


def _tanh(activation: Any) -> bool:
    """Recognise the MLP's activation by what it does."""
    probe = torch.linspace(-6, 6, 49)
    given = activation(probe)
    if torch.allclose(given, silu(probe)):
        return False
    if torch.allclose(given, gelu(probe, approximate="tanh"), atol=1e-6):
        return True
    raise Unsuited(f"the MLP's activation is {type(activation).__name__}")


def _window(attention: Any) -> int | None:
    window = getattr(attention, "sliding_window", None)
    if window is None and type(attention).__name__ == "MistralAttention":
        window = getattr(attention.config, "sliding_window", None)
    return None if window is None else int(window)


def _rotation(attention: Any, family: str) -> str:
    """Name the kind of rotation: "none", the only one, or Gemma 3's of this kind of layer."""
    if not getattr(attention, "use_rope", True):
        return "none"
    return str(attention.layer_type) if family == "Gemma3" else "all"


def _rotate(module: Any, kinds: list[str]) -> Rotate:
    """Give what asks the model's own module for the angles, in float32."""

    def angles(positions: Tensor, kind: str) -> Angles | None:
        if kind == "none":
            return None
        like = torch.empty(0, dtype=torch.float32, device=positions.device)
        more = () if kind == "all" else (kind,)
        cosine, sine = module(like, positions[None], *more)
        half = cosine.shape[-1] // 2
        return Angles(cosine[0, :, :half].contiguous(), sine[0, :, :half].contiguous())

    return lambda positions: {kind: angles(positions, kind) for kind in kinds}
