"""One decoder layer: its forward pass, what that keeps, and its backward pass, written by hand.

The stream of residuals comes as a sum that is still to be made, x + delta: the norm that reads it
makes it. Kept are the sums, the joint products of queries, keys and values and of gate and up, and
the output of attention; the rest is computed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tunekit.backends.local.fast.attention import Attends, Attention, Reach
from tunekit.backends.local.fast.linear import Gradients, Group
from tunekit.backends.local.fast.operations import Angles, Norm, Operations, rows_of
from tunekit.backends.local.fast.stream import Stream

GROUPS = ("qkv", "o", "gate_up", "down")
"""The groups of a layer, in the order in which a token passes them."""


@dataclass(frozen=True)
class Pass:
    """What a forward and its backward pass have in common for all layers."""

    stream: Stream
    angles: dict[str, Angles | None]
    """By the layers' kind of rotation."""
    run: Operations
    attention: Attention
    adapted: bool = True
    masks: Any = None
    """What the groups draw dropout with; of several tenants also whose rows are whose."""
    instead: Attends | None = None
    """Computes attention in the place of `attention`, where no gradient is wanted."""


@dataclass
class Kept:
    """What a forward pass leaves for the backward pass."""

    x: Tensor
    x_scale: Tensor
    qkv_low: Tensor
    joint: Tensor
    attended: Tensor
    attention: Any
    """What attention needs for its gradient."""
    middle: Tensor
    middle_scale: Tensor
    gate_up_low: Tensor
    both: Tensor
    down_low: Tensor
    attention_out: tuple[Tensor, Tensor] | None = None
    """Before the norm behind attention, and that norm's scales; where there is one."""
    mlp_out: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class Decoder:
    """A decoder layer."""

    qkv: Group
    o: Group
    gate_up: Group
    down: Group
    before_attention: Norm
    before_mlp: Norm
    reach: Reach
    rotation: str
    tanh: bool
    """The MLP's gate is GELU by tanh, not SiLU."""
    after_attention: Norm | None = None
    after_mlp: Norm | None = None

    @property
    def groups(self) -> dict[str, Group]:
        """The groups by name."""
        return {name: getattr(self, name) for name in GROUPS}

    @property
    def room(self) -> int:
        """Columns that a gradient of the residual stream needs beside it."""
        return max(self.o.extra, self.down.extra)

    def forward(self, x: Tensor, delta: Tensor | None, this: Pass) -> tuple[Tensor, Tensor, Kept]:
        """Give the residual stream as a sum still to be made, and what to keep."""
        run, adapted, masks = this.run, this.adapted, this.masks
        x, y, x_scale = run.norm(x, delta, self.before_attention, self.qkv.extra)
        joint = self.qkv.forward(y, adapted=adapted, room=self.qkv.extra, masks=masks)
        qkv_low = y[:, self.qkv.inputs :].clone()
        attended = rows_of(x, x.shape[0], self.reach.heads.queries + self.o.extra)
        split = run.split(joint, self.reach.heads, this.angles[self.rotation])
        attends = this.instead or this.attention
        attention = attends.forward(split, this.stream, self.reach, attended)
        out = self.o.forward(attended, adapted=adapted, room=0, masks=masks)
        out, attention_out = _after(run, out, self.after_attention)
        middle, y, middle_scale = run.norm(x, out, self.before_mlp, self.gate_up.extra)
        both = self.gate_up.forward(y, adapted=adapted, room=self.gate_up.extra, masks=masks)
        gate_up_low = y[:, self.gate_up.inputs :].clone()
        active = run.gated(both, self.down.inputs, self.down.extra, tanh=self.tanh)
        out = self.down.forward(active, adapted=adapted, room=0, masks=masks)
        down_low = active[:, self.down.inputs :].clone()
        out, mlp_out = _after(run, out, self.after_mlp)
        kept = Kept(
            x, x_scale, qkv_low, joint, attended, attention, middle, middle_scale, gate_up_low,
            both, down_low, attention_out, mlp_out,
        )  # fmt: skip
        return middle, out, kept

    def backward(
        self, d: Tensor, kept: Kept, this: Pass, into: Gradients, *, lowest: str | None
    ) -> Tensor | None:
        """Turn the gradient of the output into that of the input, in place.

        `d` is wide by `room` or more. With `lowest`, that group's adapters are the lowest of the
        model: nothing below them is computed, and nothing is given back.
        """
        if not self._mlp_backward(d, kept, this, into, lowest=lowest):
            return None
        return d if self._attention_backward(d, kept, this, into, lowest=lowest) else None

    def _mlp_backward(
        self, d: Tensor, kept: Kept, this: Pass, into: Gradients, *, lowest: str | None
    ) -> bool:
        run, masks = this.run, this.masks
        dy = _before(run, d, kept.mlp_out, self.after_mlp, self.down.extra)
        active = self.down.backward(dy, onward=True, masks=masks)
        assert active is not None
        run.gated_backward(kept.both, active, tanh=self.tanh)
        self.down.gradients(into, active, kept.down_low, dy, masks=masks)
        if lowest == "down":
            return False
        norm = (self.before_mlp, kept.middle_scale)
        dx = self.gate_up.backward(kept.both, onward=lowest != "gate_up", masks=masks)
        self.gate_up.gradients(
            into, kept.middle, kept.gate_up_low, kept.both, norm=norm, masks=masks
        )
        if dx is None:
            return False
        run.norm_backward(dx, kept.middle, *norm, d)
        return True

    def _attention_backward(
        self, d: Tensor, kept: Kept, this: Pass, into: Gradients, *, lowest: str | None
    ) -> bool:
        run, masks = this.run, this.masks
        dy = _before(run, d, kept.attention_out, self.after_attention, self.o.extra)
        d_attended = self.o.backward(dy, onward=lowest != "o", masks=masks)
        low = kept.attended[:, self.o.inputs :]
        self.o.gradients(into, kept.attended, low, dy, masks=masks)
        if d_attended is None:
            return False
        heads, angles = self.reach.heads, this.angles[self.rotation]
        split = run.split(kept.joint, heads, angles)
        gradients = this.attention.backward(
            split, kept.attention, this.stream, self.reach, d_attended
        )
        run.join(kept.joint, gradients, heads, angles)
        norm = (self.before_attention, kept.x_scale)
        dx = self.qkv.backward(kept.joint, onward=lowest != "qkv", masks=masks)
        self.qkv.gradients(into, kept.x, kept.qkv_low, kept.joint, norm=norm, masks=masks)
        if dx is None:
            return False
        run.norm_backward(dx, kept.x, *norm, d)
        return True


def _after(
    run: Operations, out: Tensor, norm: Norm | None
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """Apply the norm behind a half, where there is one, and say what its gradient needs."""
    if norm is None:
        return out, None
    out, normed, scale = run.norm(out, None, norm, 0)
    return normed, (out, scale)


def _before(
    run: Operations,
    d: Tensor,
    kept: tuple[Tensor, Tensor] | None,
    norm: Norm | None,
    extra: int,
) -> Tensor:
    """Give the gradient of a half's product: `d` itself where no norm stands behind it."""
    if norm is None or kept is None:
        return d
    out, scale = kept
    dy = rows_of(out, out.shape[0], out.shape[1] + extra)
    dy[:, : out.shape[1]] = run.norm_backward(d[:, : out.shape[1]], out, norm, scale, None)
    return dy
