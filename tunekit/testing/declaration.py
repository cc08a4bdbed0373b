"""Checks of what a backend is before it does anything."""

# ruff: noqa: D102 (the names of checks are sentences)
from __future__ import annotations

import json

from tunekit.backends import registry
from tunekit.backends.backend import Backend, Capabilities
from tunekit.testing.fresh import python
from tunekit.testing.setting import Setting

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "unsloth", "accelerate")
"""Libraries that only a worker loads."""


class DeclarationChecks(Setting):
    """Name, verbs, capabilities, and how to build it again."""

    def test_it_has_the_five_verbs_and_declares_its_capabilities(self) -> None:
        backend = self.make()
        assert isinstance(backend, Backend), f"{backend!r} lacks a verb of a backend"
        assert isinstance(backend.capabilities, Capabilities)

    def test_importing_it_loads_no_training_library(self) -> None:
        module = type(self.make()).__module__
        script = (
            f"import sys, {module}\n"
            f"print(*[name for name in {HEAVY!r} if name in sys.modules], sep=',')"
        )
        loaded = python(script).strip()
        assert not loaded, f"importing {module} loads {loaded}"

    def test_its_name_is_the_registered_one(self) -> None:
        backend = self.make()
        found = backend.name in registry.names()
        assert found is self.registered, f"{backend.name!r} among {registry.names()}: {found}"
        if self.registered:
            assert type(registry.resolve(backend.name)) is type(backend)

    def test_it_can_be_built_again_from_its_recipe(self) -> None:
        backend = self.make()
        recipe = json.dumps(registry.recipe(backend))
        again = registry.resolve(json.loads(recipe))
        assert type(again) is type(backend)
        assert json.dumps(registry.recipe(again)) == recipe
