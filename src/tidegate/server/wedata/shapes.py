"""The form of what is sent: structures with the published names, of which none is unknown and none is coerced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.model.task import field_errors
from tidegate.server.wedata import codes
from tidegate.server.wedata.codes import Declined

PAGE_SIZE_MAX = 200
PAGE_MAX = 1_000_000
LIST_MAX = 1000
REAL_TIME = 201


class Shape(BaseModel):
    """A request or a structure in one. Fields are named as they are on the wire."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


Text = Annotated[str, Field(max_length=100_000)]
Ref = Annotated[str, Field(min_length=1, max_length=200)]
Page = Annotated[int, Field(ge=1, le=PAGE_MAX)]
Size = Annotated[int, Field(ge=1, le=PAGE_SIZE_MAX)]
Millis = Annotated[int, Field(ge=0, le=10**14)]
"""Milliseconds since 1970-01-01 UTC."""


class RecordField(Shape):
    Name: Text | None = None
    Value: Text | None = None


class Filter(Shape):
    Name: Text | None = None
    Values: list[Text] | None = Field(default=None, max_length=LIST_MAX)


class OrderField(Shape):
    Name: Text
    Direction: Text


class InProject(Shape):
    ProjectId: Ref


class OnTask(InProject):
    TaskId: Ref


Fields = Annotated[list[RecordField], Field(max_length=LIST_MAX)]
FilterList = Annotated[list[Filter], Field(max_length=LIST_MAX)]
Orders = Annotated[list[OrderField], Field(max_length=LIST_MAX)]
Refs = Annotated[list[Ref], Field(min_length=1, max_length=LIST_MAX)]

S = TypeVar("S", bound=Shape)

_TOO_MANY = ("less_than_equal", "less_than", "too_long", "string_too_long")
_VALUE = ("literal_error", "enum", "greater_than_equal", "greater_than", "too_short", "string_too_short", "value_error")


def parse(model: type[S], sent: object) -> S:
    """What was sent, as the model. What is null is not there. Raises `Declined` by what is wrong first."""
    try:
        return model.model_validate(without_nulls(sent))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        said = "; ".join(f"{one['field'] or 'the request'}: {one['problem']}" for one in field_errors(found))
        raise Declined(_code_of(found[0]["type"]), said) from None


def _code_of(kind: str) -> str:
    if kind == "missing":
        return codes.MISSING
    if kind == "extra_forbidden":
        return codes.UNKNOWN
    if kind in _TOO_MANY:
        return codes.TOO_MANY
    return codes.VALUE if kind in _VALUE else codes.MALFORMED


def without_nulls(sent: object) -> Any:
    """Absent and null are the same to the published clients."""
    if isinstance(sent, Mapping):
        return {name: without_nulls(value) for name, value in sent.items() if value is not None}
    if isinstance(sent, list):
        return [without_nulls(value) for value in sent]
    return sent


def texts(fields: list[RecordField] | None, of: str) -> dict[str, str]:
    """Name-value settings as a mapping. Raises `Declined` for a name given twice, or not at all."""
    found: dict[str, str] = {}
    for one in fields or ():
        if not one.Name or one.Name in found:
            raise Declined(codes.MALFORMED, f"{of}: each setting has a Name, and each name is there once")
        found[one.Name] = one.Value or ""
    return found


def records(values: Mapping[str, str]) -> list[dict[str, str]]:
    """The other way."""
    return [{"Name": name, "Value": value} for name, value in values.items()]


def filtered(filters: list[Filter] | None, known: tuple[str, ...]) -> dict[str, list[str]]:
    """Filters as a mapping of names to values. Raises `Declined` for one that is unknown, twice or without values."""
    found: dict[str, list[str]] = {}
    for one in filters or ():
        if one.Name not in known or one.Name in found or not one.Values:
            raise Declined(codes.FILTER, f"Filters: each is one of {', '.join(known)}, once, with Values")
        found[one.Name] = one.Values
    return found


def only(found: Mapping[str, list[str]], name: str) -> str | None:
    """The one value of a filter that takes one. Raises `Declined`."""
    values = found.get(name)
    if values is not None and len(values) != 1:
        raise Declined(codes.FILTER, f"Filters: {name} takes one value")
    return values[0] if values else None


def ordered(orders: list[OrderField] | None, known: Mapping[str, str], default: str) -> str:
    """The sort order as the services take it. Raises `Declined`."""
    if not orders:
        return default
    first = orders[0]
    direction = first.Direction.upper()
    if len(orders) > 1 or first.Name not in known or direction not in ("ASC", "DESC"):
        raise Declined(codes.FILTER, f"OrderFields: one of {', '.join(known)}, ASC or DESC")
    return ("-" if direction == "DESC" else "") + known[first.Name]


def coded(text: str, table: Mapping[int, Any], of: str) -> Any:
    """A number sent as text, by its table. Raises `Declined`."""
    if not text.isascii() or not text.isdigit() or int(text[:9]) not in table:
        raise Declined(codes.FILTER, f"{of}: is one of {', '.join(map(str, table))}")
    return table[int(text[:9])]
