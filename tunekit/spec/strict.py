"""The base of every part of a spec: frozen, strict, and clear about what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from typing_extensions import dataclass_transform

from tunekit.errors import SpecError
from tunekit.spec.problems import spec_error

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

Auto = Literal["auto"]
"""The plan picks the value and shows it with its reason."""


@dataclass_transform(kw_only_default=True, field_specifiers=(Field,))
class _SpecMeta(ModelMetaclass):
    """Turns pydantic's error into ours where the user's own call stands."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        model = cast("type[BaseModel]", cls)
        try:
            return super().__call__(*args, **kwargs)
        except ValidationError as error:
            raise spec_error(error, model) from None
        except TypeError as error:
            if args:
                call = f"{cls.__name__}({next(iter(model.model_fields), '')}=...)"
                raise SpecError(f"{cls.__name__} takes keywords only: {call}") from None
            raise error


def _require_type(schema: dict[str, Any]) -> None:
    """Ask for the tag in JSON Schema, which would else take the first branch that fits."""
    if "type" in schema.get("properties", {}):
        schema["required"] = ["type", *schema.get("required", [])]


class Strict(BaseModel, metaclass=_SpecMeta):
    """A frozen model that refuses unknown keys and never converts a value in silence."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_default=True,
        json_schema_extra=_require_type,
    )

    def model_post_init(self, context: Any, /) -> None:
        """Count the tag of a union as set, so that what was set can be read back."""
        if "type" in type(self).model_fields:
            self.model_fields_set.add("type")

    if not TYPE_CHECKING:  # it would allow every assignment

        def __setattr__(self, name: str, value: Any) -> None:
            kind = type(self).__name__
            raise SpecError(f"a spec is frozen: make another {kind}({name}=...) instead")


def at_most(limit: float, hint: str) -> BeforeValidator:
    """Refuse a number above `limit` as one in the wrong unit; see `below`."""
    return _unit(lambda value: value > limit, hint)


def below(limit: float, hint: str) -> BeforeValidator:
    """Refuse a number from `limit` on as one in the wrong unit.

    The hint says what was meant; `{value}` stands for the number, `{share}` for its hundredth.
    """
    return _unit(lambda value: value >= limit, hint)


def _unit(wrong: Callable[[float], bool], hint: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and wrong(value):
            raise ValueError(hint.format(value=f"{value:g}", share=f"{value / 100:g}"))
        return value

    return BeforeValidator(check)
