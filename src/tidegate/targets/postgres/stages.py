"""The temporary tables that rows come into before a statement merges them with others: made once per shape and
connection, emptied by every commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from tidegate.connect.postgres import quote, quoted
from tidegate.connect.target import TargetTable
from tidegate.targets.postgres.sending import Forms, forms_of

_MOST = 1000


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    forms: Forms | None


class Stages:
    """Of one connection."""

    def __init__(self, *, typed: bool) -> None:
        """`typed`: which forms a stage's columns have is of use."""
        self._typed = typed
        self._held: dict[tuple[str, ...], Stage] = {}
        self._unsure: list[tuple[str, ...]] = []
        """Made in the open transaction; a rollback takes them away again."""
        self._filled: set[str] = set()
        self._made = 0

    @property
    def crowded(self) -> bool:
        """Whether there are so many that it is time to start anew."""
        return len(self._held) > _MOST

    def discard(self, cursor: psycopg.Cursor[Any]) -> None:
        if self._held:
            cursor.execute("DISCARD TEMP")
            self._held.clear()
            self.committed()

    def committed(self) -> None:
        self._unsure.clear()
        self._filled.clear()

    def rolled_back(self) -> None:
        for shape in self._unsure:
            self._held.pop(shape, None)
        self.committed()

    def empty(
        self,
        cursor: psycopg.Cursor[Any],
        table: TargetTable,
        names: Sequence[str],
        *,
        place: str,
        renamed: dict[str, str] | None = None,
    ) -> Stage:
        """One with columns of the target's types, for rows that come before it is asked for again; `renamed` are
        columns that take the type of another. `place` keeps apart what one step needs at the same time."""
        shape = (table.schema, table.name, place, *names)
        stage = self._held.get(shape)
        if stage is None:
            columns = ", ".join(f"{quote((renamed or {}).get(name, name))} AS {quote(name)}" for name in names)
            stage = self._make(cursor, f"SELECT {columns} FROM {quoted(table.schema, table.name)}")
            self._held[shape] = stage
            self._unsure.append(shape)
        elif stage.name in self._filled:
            cursor.execute(f"DELETE FROM {stage.name}")
        self._filled.add(stage.name)
        return stage

    def _make(self, cursor: psycopg.Cursor[Any], like: str) -> Stage:
        self._made += 1
        name = f"tidegate_{self._made}"
        cursor.execute(f"CREATE TEMPORARY TABLE {name} ON COMMIT DELETE ROWS AS {like} WITH NO DATA")
        return Stage(f"pg_temp.{name}", forms_of(cursor, f"pg_temp.{name}") if self._typed else None)
