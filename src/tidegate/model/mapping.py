"""What a definition would take from a source and make at a target, as found out before it is saved: plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.model.schema import TableName


@dataclass(frozen=True, slots=True)
class SourceTables:
    """What a source has. `database` is what `{database}` stands for in naming patterns."""

    database: str
    tables: Sequence[TableName]
    unlogged: Sequence[TableName]
    """There, and in no log: they cannot be followed."""


@dataclass(frozen=True, slots=True)
class ColumnFit:
    """A column of a source table; `target_type` is what it has at the target, or would be given there."""

    name: str
    type: str
    target_type: str
    nullable: bool
    key: bool
    wrong: str
    """Why it does not fit; empty: it does."""


@dataclass(frozen=True, slots=True)
class TableFit:
    """A source table, where it would go, and everything against that, as problems (see `model.problem`)."""

    source: str
    target: str
    """Empty: it has no place."""
    exists: bool
    """Whether the target has such a table already."""
    columns: list[ColumnFit]
    problems: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class TableFits:
    """The first tables of so many."""

    total: int
    tables: list[TableFit]
