"""What the routes have in common: how they reach `Control`, and the shapes of requests and refusals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from tidegate.model.problem import TYPE_PREFIX
from tidegate.model.task import NAME_PATTERN, TaskSpec, parse_task
from tidegate.server.control import Control

NUMBER_MAX = 2**31 - 1
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _control(request: Request) -> Control:
    control: Control = request.app.state.control
    return control


Door = Annotated[Control, Depends(_control)]

NameInPath = Annotated[str, Path(pattern=NAME_PATTERN, description="Its name.", examples=["shop"])]
TaskInPath = Annotated[
    str, Path(pattern=NAME_PATTERN, description="The task's id, or its name.", examples=["shop_to_lake"])
]
Project = Annotated[str, Query(pattern=NAME_PATTERN, description="The project names are looked up in.")]


def _rfc3339(given: object) -> object:
    """Pydantic takes much else for a time, such as a bare number, which nothing here documents."""
    if not isinstance(given, str) or not _RFC3339.fullmatch(given):
        raise ValueError("must be a time with its zone as RFC 3339 has it, such as 2026-03-01T12:00:00Z")
    return given


Instant = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]
"""A time in a query."""


def one_of(*known: str) -> AfterValidator:
    """For a parameter that is one of these: another is refused, and does not just find nothing."""

    def check(given: str) -> str:
        if given not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return given

    return AfterValidator(check)


NewName = Annotated[str, Field(json_schema_extra={"pattern": NAME_PATTERN}, examples=["shop"])]
Version = Annotated[
    int | None,
    Query(ge=1, le=NUMBER_MAX, description="Do it only if nobody changed the thing since this version of it."),
]


class Body(BaseModel):
    """A request's content: unknown fields are refused and nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


VersionField = Annotated[
    int | None, Field(ge=1, le=NUMBER_MAX, description="Do it only if nobody changed the task since this version.")
]
# An error of the table passes through Pydantic as it is, so a wrong definition is refused as `task.invalid`.
Definition = Annotated[TaskSpec, BeforeValidator(parse_task)]


class FieldProblem(BaseModel):
    field: str
    problem: str


class Refusal(BaseModel):
    """An error, as application/problem+json."""

    type: str = Field(examples=[TYPE_PREFIX + "lifecycle.refused"])
    title: str
    status: int
    code: str = Field(description="Stable; what programs should look at.", examples=["lifecycle.refused"])
    detail: str = Field(description="One sentence that names the thing.")
    advice: str = Field(description="What can be done.")
    offers: list[dict[str, Any]] | None = Field(None, description="The commands, each allowed or with its reason.")
    errors: list[dict[str, Any]] | None = Field(None, description="What is wrong with which field, or every finding.")
    facts: dict[str, Any] | None = None


REFUSALS: Mapping[int | str, dict[str, Any]] = {
    "4XX": {"model": Refusal, "description": "Refused; nothing was changed."},
    "5XX": {"model": Refusal, "description": "It could not be done, through no fault of the request."},
}
