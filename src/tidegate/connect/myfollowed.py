"""Which tables of a MariaDB or MySQL server a run follows, and what its threads tell each other of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidegate.connect.mystatements import Added
from tidegate.model.schema import TableName, TableSchema


class Followed:
    """The tables whose changes are wanted; may grow and shrink from other threads."""

    def __init__(self) -> None:
        self._names: frozenset[TableName] = frozenset()
        self.dropped: frozenset[TableName] = frozenset()
        """Those that were followed and are not any more."""
        self._added: dict[TableName, dict[str, Added]] = {}
        self._joined: dict[TableName, TableSchema] = {}
        self.folds = False
        """Whether the server takes upper and lower case of a table's name for the same (lower_case_table_names)."""

    def __contains__(self, name: TableName) -> bool:
        return name in self._names

    def meant(self, name: TableName) -> list[TableName]:
        """Those that a statement on `name` is about: it, or with an empty name all of its schema. Rows bear a table's
        name as the server keeps it, statements as somebody wrote it."""
        wanted = self._spelled(name)
        found = ((one, self._spelled(one)) for one in self._names)
        return [one for one, mine in found if mine == wanted or (not name.name and mine[0] == wanted[0])]

    def _spelled(self, name: TableName) -> tuple[str, str]:
        return (name.schema.lower(), name.name.lower()) if self.folds else (name.schema, name.name)

    def altered(self, name: TableName, added: Sequence[Added]) -> None:
        """A statement in the log added these columns, in front of what is read from now on."""
        self._added = self._added | {name: self._added.get(name, {}) | {one.name: one for one in added}}

    def added(self, name: TableName) -> Mapping[str, Added]:
        """By name, the columns that statements were seen to add to the table."""
        return self._added.get(name, {})

    def joins(self, schema: TableSchema) -> None:
        """A table is about to be followed, and is this now."""
        self._joined = self._joined | {schema.name: schema}

    def joined(self, name: TableName) -> TableSchema | None:
        """What a table was when it joined, if it did."""
        return self._joined.get(name)

    def add(self, *names: TableName) -> None:
        self._names |= frozenset(names)
        self.dropped -= frozenset(names)

    def drop(self, *names: TableName) -> None:
        self._names -= frozenset(names)
        self.dropped |= frozenset(names)

    def replace(self, *names: TableName) -> None:
        self._names, self.dropped = frozenset(names), frozenset()
