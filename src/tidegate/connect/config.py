"""What a data source or target asks to be configured: a Pydantic model per connector.

The API's validation, its JSON Schema, the CLI's help and the connector's page derive from the model. Fields of type
`SecretStr` are encrypted at rest and never shown (I8).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from tidegate.errors import ConfigInvalid

__all__ = ["Config", "SecretStr", "parse_config", "revealed", "secret_fields"]


class Config(BaseModel):
    """Unknown fields are refused, and values are never coerced from another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    files: ClassVar[frozenset[str]] = frozenset()
    """Settings that are paths of files on the machine where tasks run, which tasks read and write there."""

    keeps_secrets: ClassVar[frozenset[str]] = frozenset()
    """Settings that may be edited while stored secrets are kept: they change neither where a secret is sent nor to whom
    it belongs nor how its way is protected. Changing any other needs the secrets given again (I8)."""


C = TypeVar("C", bound=Config)


def parse_config(model: type[C], values: Mapping[str, Any], *, of: str) -> C:
    """`values` as the connector's own model. Raises `ConfigInvalid` naming each wrong field, never its value (I8)."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(p) for p in e['loc']) or 'settings'}: {e['msg']}" for e in error.errors(include_input=False)
        )
        raise ConfigInvalid(f"{of}: {wrong}") from None


def secret_fields(model: type[Config]) -> tuple[str, ...]:
    """The names of the fields that are secrets."""
    return tuple(name for name, field in model.model_fields.items() if field.annotation is SecretStr)


def revealed(config: Config) -> dict[str, Any]:
    """The settings with their secrets in the clear, for the one place that encrypts or connects."""
    return {
        name: value.get_secret_value() if isinstance(value := getattr(config, name), SecretStr) else value
        for name in type(config).model_fields
    }
