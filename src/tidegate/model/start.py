"""Where a run that reads only the log begins, if not at the log's end: as a definition or a command says it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic import model_validator as checked

from tidegate.errors import TaskInvalid

POSITION_MAX = 1000


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds a control character")
    return text


class StartSpec(BaseModel):
    """A position, or a point in time."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    position: Annotated[str, AfterValidator(_printable), Field(min_length=1, max_length=POSITION_MAX)] | None = Field(
        default=None,
        description="A place in the source's log, in front of which everything is done; as the connector's guide says.",
    )
    time: AwareDatetime | None = Field(
        default=None,
        description="The earliest instant whose changes are wanted, with its zone, such as 2026-11-01T00:00:00Z.",
    )

    @checked(mode="after")
    def _one(self) -> StartSpec:
        if (self.position is None) == (self.time is None):
            raise ValueError("needs either position or time")
        return self

    @property
    def time_s(self) -> int:
        """The whole second that holds the time, since 1970."""
        return int(self.time.timestamp() // 1) if self.time is not None else 0

    def said(self) -> dict[str, str | None]:
        """As it is stored with a run."""
        return {"position": self.position, "time": self.time.isoformat() if self.time is not None else None}

    def __str__(self) -> str:
        return self.position if self.position is not None else moment(self.time_s)


def start_of(position: Any, time: Any) -> StartSpec | None:
    """None for neither. Raises `TaskInvalid`."""
    if position is None and time is None:
        return None
    try:
        return StartSpec(position=position, time=time)
    except ValidationError as error:
        said = "; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors(include_input=False))
        raise TaskInvalid(f"start: {said}") from None


def moment(at_s: float) -> str:
    """An instant for people, in UTC."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
