"""Checks of the plan: pure, complete, and honest about what it cannot do."""

# ruff: noqa: D102 (the names of checks are sentences)
from __future__ import annotations

import contextlib
import copy
import json
import os
import socket
from collections.abc import Generator, Iterator
from typing import Any, cast
from unittest import mock

from pydantic import BaseModel

from tunekit.errors import UnsupportedError
from tunekit.planning.plan import Plan
from tunekit.spec.finetune import FineTune
from tunekit.testing.full import HELD
from tunekit.testing.setting import Setting, raised


class PlanningChecks(Setting):
    """Every field accounted for once, no side effects."""

    def test_a_plan_names_its_backend_and_model(self) -> None:
        backend = self.make()
        plan = self.planned(self.spec(), backend)
        assert (plan.backend, plan.model) == (backend.name, self.spec().model)

    def test_a_plan_is_equal_twice(self) -> None:
        for spec in (self.spec(), *self.full_specs()):
            assert self.planned(spec) == self.planned(spec)

    def test_a_plan_survives_json(self) -> None:
        for spec in (self.spec(), *self.full_specs()):
            text = self.planned(spec).model_dump_json()
            again = Plan.model_validate_json(text)
            assert again.model_dump_json() == text
            assert json.loads(json.dumps(again.request)) == again.request

    def test_planning_opens_no_socket_and_reads_no_key(self) -> None:
        backend, spec = self.make(), self.spec()
        expected = self.planned(spec, backend)
        with _isolated():
            assert self.planned(spec, backend) == expected

    def test_the_least_spec_has_nothing_unsupported(self) -> None:
        assert not self.planned(self.spec()).unsupported

    def test_no_field_of_a_full_spec_is_forgotten(self) -> None:
        for spec in self.full_specs():
            plan = self.planned(spec)
            unknown = [c.field for c in plan.changes if c.reason.endswith("know this field")]
            assert not unknown, f"{_kind(spec)}: nobody mentioned {', '.join(unknown)}"

    def test_every_wish_leaves_a_trace_in_the_plan(self) -> None:
        for spec in self.full_specs():
            plan = self.planned(spec)
            for field in _wishes(spec):
                without = self.planned(_without(spec, field))
                assert without != plan, f"{_kind(spec)}: {field} vanishes in silence"

    def test_a_field_it_has_never_heard_of_is_refused(self) -> None:
        newer = _Newer(**self.spec().minimal(), novelty=1)
        refused = [change.field for change in self.planned(newer).unsupported]
        assert refused == ["novelty"]

    def test_exactly_the_declared_fields_are_refused(self) -> None:
        plans = [self.planned(spec) for spec in self.full_specs()]
        refused = {change.field for plan in plans for change in plan.unsupported}
        declared = self.refuses - refused - _ALIKE
        silent = sorted(refused - self.refuses - _ALIKE)
        assert not silent, f"refused without being declared: {', '.join(silent)}"
        assert not declared, f"declared, but not refused: {', '.join(sorted(declared))}"

    def test_all_refused_fields_are_named_in_one_error(self) -> None:
        for spec in self.full_specs():
            plan = self.planned(spec)
            if not plan.unsupported:
                continue
            error = raised(plan.require)
            assert isinstance(error, UnsupportedError)
            unnamed = [c.field for c in plan.unsupported if c.field not in str(error)]
            assert not unnamed, f"the error does not name {', '.join(unnamed)}"

    def test_a_default_is_never_refused(self) -> None:
        for spec in self.full_specs():
            for field in {change.field for change in self.planned(spec).unsupported}:
                if field.endswith(".type") or field in HELD or _is_required(spec, field):
                    continue
                left = {change.field for change in self.planned(_without(spec, field)).unsupported}
                assert field not in left, f"{field} is refused although nobody set it"

    def test_wishes_stay_apart_from_defaults_after_a_round_trip(self) -> None:
        for spec in (self.spec(), *self.full_specs()):
            again = FineTune(**json.loads(json.dumps(spec.minimal())))
            assert self.planned(again) == self.planned(spec)

    def test_its_own_extra_arrives_and_that_of_others_does_not(self) -> None:
        spec, name = self.spec(), self.make().name
        own = spec.model_copy(update={"extra": {name: {"contract_probe": 1}}})
        foreign = spec.model_copy(update={"extra": {f"not-{name}": {"contract_probe": 1}}})
        assert "contract_probe" in json.dumps(self.planned(own).request)
        assert self.planned(foreign) == self.planned(spec)


_ALIKE = frozenset({"output.serve", "training.replay"})
"""Refused on every backend alike: what no server of adapters loads, and replay among pairs."""


class _Newer(FineTune):
    novelty: int = 0


class _NoKeys(dict[str, str]):
    """An environment in which asking for a key is a failed check."""

    def __getitem__(self, name: str) -> str:
        _refuse_key(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        _refuse_key(name)
        return super().get(name, default)


def _refuse_key(name: str) -> None:
    secret = any(word in name.upper() for word in ("KEY", "TOKEN", "SECRET", "PASSWORD"))
    assert not secret, f"planning reads {name} from the environment"


def _no_socket(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("planning opens a socket")


@contextlib.contextmanager
def _isolated() -> Generator[None, None, None]:
    with (
        mock.patch.object(socket, "socket", _no_socket),
        mock.patch.object(socket, "getaddrinfo", _no_socket),
        mock.patch.object(os, "environ", _NoKeys(os.environ)),
    ):
        yield


def _kind(spec: FineTune) -> str:
    return f"{spec.method.type} with {spec.objective.type}"


def _wishes(spec: FineTune) -> Iterator[str]:
    """List the fields that were set and that a backend has to answer for."""
    for group, values in spec.minimal().items():
        if group not in HELD and isinstance(values, dict):
            names = cast("dict[str, Any]", values)
            fields = [f"{group}.{name}" for name in names if name != "type"]
            yield from (f for f in fields if f not in HELD and not _is_required(spec, f))


def _is_required(spec: FineTune, field: str) -> bool:
    """Say whether a spec cannot be without a field."""
    group, _, name = field.partition(".")
    part: BaseModel = getattr(spec, group)
    known = type(part).model_fields
    return name in known and known[name].is_required()


def _without(spec: FineTune, field: str) -> FineTune:
    """Give the spec with one field left at its default."""
    wishes = copy.deepcopy(spec.minimal())
    group, _, name = field.partition(".")
    if name:
        del wishes[group][name]
    else:
        del wishes[group]
    return FineTune(**wishes)
