"""A table's shape changed at the source: which columns to add at the target, or why the run must stop. Pure.

Only an added column is followed. Anything else ends the run before the first row of the new shape is written, so
nothing is lost: once the target was changed alike, Continue goes on from there (I6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tidegate.connect.capability import WriteMode
from tidegate.connect.target import TargetTable
from tidegate.errors import SourceSchemaChange
from tidegate.model.schema import Column, DataType, Kind, TableSchema


def added_columns(
    known: TableSchema,
    place: TargetTable,
    type_of: Callable[[DataType], str],
    at_target: Mapping[str, str],
    misfits: Callable[[], Mapping[str, str]],
    *,
    in_step: bool,
) -> list[Column]:
    """The columns to add to a target that holds `known`, so that it takes the rows of `place.source`.

    `type_of` is the target's own spelling of a type: a change that the target does not see is none. `at_target` are
    the columns the target table has now with their types, and `misfits` why they cannot hold the new rows, by column,
    so that a change made there by hand is recognised. `in_step` says that the table is copied whole. Raises
    `SourceSchemaChange` naming table, column and change.
    """
    seen = place.source
    before = {column.name: column for column in known.columns}
    new = [column for column in seen.columns if column.name not in before]
    gone = [name for name in before if name not in seen.names and name in at_target]
    if gone:
        renamed = f" (or renamed to {', '.join(column.name for column in new)})" if new else ""
        raise SourceSchemaChange(f"{known.name}: column {', '.join(gone)} was dropped{renamed}")
    for column in seen.columns:
        was = before.get(column.name)
        if was is not None and was.type != column.type:
            differs = type_of(was.type) != type_of(column.type)
            # Another kind of value, or fewer digits, gave the rows there are new ones, of which the log says nothing.
            converted = _coarser(was.type, column.type) or (
                differs and not _same_values(was.type.kind, column.type.kind)
            )
            untouched = at_target.get(column.name) == type_of(was.type)
            if (differs and column.name in misfits()) or (converted and untouched):
                change = f"changed from {was.type.native} to {column.type.native}"
                raise SourceSchemaChange(f"{known.name}: column {column.name} was {change}")
        if was is None and column.name in at_target and column.name in misfits():
            raise SourceSchemaChange(
                f"{known.name}: column {column.name} was added; the one at the target {misfits()[column.name]}"
            )
    missing = [column for column in new if column.name not in at_target]
    for column in missing:
        if column.varies:
            raise SourceSchemaChange(
                f"{known.name}: column {column.name} was added with a default that gave each row there was a value of "
                "its own, which the log does not tell"
            )
    if known.key and known.key != seen.key:
        # A table that is being copied has its chunks by the key it had; an upsert must find rows by the new one.
        unfit = set(misfits()) - {column.name for column in missing}
        if not in_step or unfit or (place.mode is WriteMode.UPSERT and not seen.key):
            change = f"({', '.join(known.key)}) to ({', '.join(seen.key)})"
            raise SourceSchemaChange(f"{known.name}: the key was changed from {change}")
    return missing


def _coarser(was: DataType, now: DataType) -> bool:
    """Whether values were rounded: fewer digits behind the point are left to them."""
    return was.kind is now.kind and now.scale is not None and (was.scale is None or now.scale < was.scale)


def _same_values(was: Kind, now: Kind) -> bool:
    """Whether a wider type of the new kind leaves the values' texts what they were."""
    return was is now or {was, now} <= {Kind.INT16, Kind.INT32, Kind.INT64}
