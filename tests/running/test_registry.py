"""Names become backends, and backends become what another process can build again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import pytest

import tunekit as tk
from tunekit import errors
from tunekit.backends import registry
from tunekit.testing.fake import FakeBackend


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(errors.UnknownBackend, match="did you mean 'local'") as caught:
        registry.resolve("locale")

    assert "unsloth" in str(caught.value)


def test_a_mapping_gives_options_and_an_unknown_option_names_the_nearest() -> None:
    backend = registry.resolve({"type": "local", "devices": 2})

    assert isinstance(backend, tk.Local)
    assert backend.devices == 2
    with pytest.raises(errors.SpecError, match=r"backend\.devces \(did you mean 'devices'\?\)"):
        registry.resolve({"type": "local", "devces": 2})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"engine": "deepspeed"}, "unknown engine 'deepspeed'"),
        ({"devices": 0}, "at least 1"),
        ({"python": "/no/such/python"}, "is not an interpreter"),
        ({"in_process": True, "devices": 2}, "takes no python= and one device"),
    ],
)
def test_a_wrong_setting_of_the_local_backend_names_it(
    options: dict[str, object], text: str
) -> None:
    with pytest.raises(errors.SpecError, match=text):
        registry.resolve({"type": "local", **options})


def test_unsloth_is_the_local_backend_with_another_engine() -> None:
    backend = registry.resolve("unsloth")

    assert registry.recipe(backend) == {"type": "local", "engine": "unsloth"}


def test_a_backend_from_no_package_is_built_again_by_its_import_path() -> None:
    recipe = registry.recipe(FakeBackend(steps=5))

    again = registry.resolve(recipe)
    assert isinstance(again, FakeBackend)
    assert again.steps == 5


@dataclass(frozen=True, kw_only=True)
class _Keyed(FakeBackend):
    name: ClassVar[str] = "keyed"
    api_key: str | None = field(default=None, repr=False)


def test_a_secret_is_not_part_of_the_recipe() -> None:
    assert "hush" not in str(registry.recipe(_Keyed(api_key="hush")))


def test_an_object_without_the_verbs_is_no_backend() -> None:
    with pytest.raises(errors.SpecError, match="has not the verbs"):
        registry.resolve(object())  # type: ignore[arg-type]
