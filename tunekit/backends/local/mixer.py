"""Trainers of several tenants whose steps are computed together.

Each trainer runs as if it were alone. Where it asks its model for log-probabilities, it waits until
the rows of others have come; one pass answers all of them, and one backward pass gives each its
gradients.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tunekit.backends.local.fast.decoder import Pass
from tunekit.backends.local.fast.linear import Masks
from tunekit.backends.local.fast.mixed import Asked, Joint, Mixed
from tunekit.backends.local.fast.network import Network
from tunekit.backends.local.fast.operations import Scores
from tunekit.backends.local.fast.stream import Stream
from tunekit.backends.local.turns import Player

TOKENS = 512
"""In one pass, unless one tenant brings more. More are a tenth faster at most and need more memory:
a pass keeps its activations until its gradients are there."""


@dataclass(frozen=True)
class _Forward:
    """A tenant waits for the scores of its rows."""

    asked: Asked


@dataclass(frozen=True)
class _Backward:
    """A tenant has a loss and waits for the gradients of its adapters."""

    factor: Tensor | None


class Tenant:
    """One tenant's view of the network; it stands in the place of a network of its own."""

    def __init__(self, mixed: Mixed, number: int, player: Player) -> None:
        self._mixed, self._number, self._player = mixed, number, player
        self._pending: Tensor | None = None
        self.shares = mixed.network.shares
        self.drops = mixed.drops(number)
        self.parameters = mixed.parameters(number)

    def attach(self, trainer: Any) -> None:
        """Let the trainer's backward pass go on through the mixed one."""
        before = trainer.accelerator.backward

        def backward(loss: Any, **options: Any) -> None:
            before(loss, **options)
            self._backward()

        trainer.accelerator.backward = backward

    def log_probs(self, stream: Stream, *, training: bool = False) -> Scores:
        """Score the labels of a stream: with others where it is trained on, else at once."""
        masks = Masks.random() if training and self.drops else None
        asked = Asked(self._number, stream, masks)
        if not (training and torch.is_grad_enabled()) or self._pending is not None:
            return self._mixed.alone(asked)
        scores: Scores = self._player.ask(_Forward(asked))
        self._pending = scores.log_probs
        return scores

    def reference(self, stream: Stream, instead: Sequence[Tensor] | None = None) -> Scores:
        """Score the labels of a stream by the base, or by it and adapters of this tenant's."""
        return self._mixed.reference(Asked(self._number, stream), instead)

    def reading(self, *, adapted: bool) -> tuple[Network, Callable[[Stream], Pass]]:
        """Give what reads streams by this tenant's adapters, or by the base."""
        return self._mixed.reading(self._number, adapted=adapted)

    def _backward(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            self._player.ask(_Backward(pending.grad))


class Mixer:
    """Gives each trainer its turns, and computes what they wait for."""

    def __init__(self, mixed: Mixed, players: Sequence[Player]) -> None:
        self._mixed = mixed
        self._players = players
        self._waiting: deque[Player] = deque()

    def run(self) -> None:
        """Run all trainers to their ends."""
        with _settled():
            for player in self._players:
                self._on(player)
            while self._waiting:
                self._pass(self._next())

    def _on(self, player: Player, *, error: Exception | None = None) -> None:
        """Let a trainer go on until its next step, or to its end."""
        player.turn(error=error)
        if not player.over:
            self._waiting.append(player)

    def _next(self) -> list[Player]:
        """Take those who wait longest, as many as a pass holds."""
        group = [self._waiting.popleft()]
        first = _asked(group[0])
        tokens = first.stream.length
        if self._waiting and not self._mixed.finite(first.tenant):
            return group
        while self._waiting:
            asked = _asked(self._waiting[0])
            tokens += asked.stream.length
            if tokens > TOKENS or len(group) == self._mixed.slots:
                break
            if not self._mixed.finite(asked.tenant):
                break
            group.append(self._waiting.popleft())
        return group

    def _pass(self, group: Sequence[Player]) -> None:
        """Compute a pass for a group; where that fails, each is tried alone."""
        try:
            joint = self._mixed.together([_asked(player) for player in group])
        except Exception as error:
            if len(group) == 1:
                self._on(group[0], error=error)
            else:
                for player in group:
                    self._pass([player])
            return
        for player, scores in zip(group, joint.scores(), strict=True):
            player.turn(scores)
        failed = _backward(joint, group)
        # Before the next pass needs the room.
        del joint
        for player in group:
            if not player.over:
                self._on(player, error=failed)


@contextmanager
def _settled() -> Generator[None, None, None]:
    """Let the collector pass over what is there: for each trainer accelerate has it search all."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _backward(joint: Joint, group: Sequence[Player]) -> Exception | None:
    """Give all that have a loss their gradients; gives what went wrong."""
    try:
        joint.backward([None if player.over else player.asked.factor for player in group])
    except Exception as error:
        return error
    return None


def _asked(player: Player) -> Asked:
    found: Asked = player.asked.asked
    return found
