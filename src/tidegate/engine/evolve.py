"""A table's shape changed at the source: which columns to add at the target, or why the run must stop. Pure.

Only an added column is followed. Anything else ends the run before the first row of the new shape is written, so
nothing is lost: once the target was changed alike, Continue goes on from there (I6).
"""

from __future__ import annotations

from collections.abc import Callable

from tidegate.errors import SourceSchemaChange
from tidegate.model.schema import Column, DataType, TableSchema


def added_columns(
    known: TableSchema,
    seen: TableSchema,
    type_of: Callable[[DataType], str],
    at_target: frozenset[str],
    fits: Callable[[], bool],
) -> list[Column]:
    """The columns of `seen` to add to a target that holds `known`.

    `type_of` is the target's own spelling of a type: a change that the target does not see is none. `at_target` are
    the columns the target table has now and `fits` tells whether they can hold the new types, so that a change made
    there by hand is recognised. Raises `SourceSchemaChange` naming table, column and change.
    """
    before = {column.name: column for column in known.columns}
    after = {column.name: column for column in seen.columns}
    new = [column for column in seen.columns if column.name not in before]
    gone = [name for name in before if name not in after and name in at_target]
    if gone:
        renamed = f" (or renamed to {', '.join(column.name for column in new)})" if new else ""
        raise SourceSchemaChange(f"{known.name}: column {', '.join(gone)} was dropped{renamed}")
    for name, column in after.items():
        if name in before and type_of(before[name].type) != type_of(column.type) and not fits():
            raise SourceSchemaChange(
                f"{known.name}: column {name} was changed from {before[name].type.native} to {column.type.native}"
            )
    if known.key and known.key != seen.key:
        raise SourceSchemaChange(
            f"{known.name}: the key was changed from ({', '.join(known.key)}) to ({', '.join(seen.key)})"
        )
    return new
