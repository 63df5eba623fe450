"""What every target refuses about a table before its first row, whatever system it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tidegate.connect.capability import WriteMode
from tidegate.connect.target import Misfit, TargetTable
from tidegate.errors import TargetMisfit, TargetShared, TargetTableGone, TargetTableMissing, TargetUnfit, TidegateError

STATE_SCHEMA = "tidegate"
"""Where targets that are databases keep the runs' state."""


def misfit_error(table: TargetTable, wrong: Sequence[Misfit], kind: type[TargetMisfit] = TargetMisfit) -> TargetMisfit:
    """One error for all that does not fit."""
    told = "; ".join(f"{one.column or 'the table'} {one.reason}" for one in wrong)
    return kind(f"{table}: {told}", table=str(table), columns=[one.column for one in wrong])


@contextmanager
def written_before() -> Iterator[None]:
    """What a run prepared and wrote to was there: that it is missing means that it was dropped, with its rows."""
    try:
        yield
    except TargetTableMissing as error:
        raise TargetTableGone(error.detail, **error.facts) from error


def unfit_error(table: TargetTable, names: Sequence[Misfit]) -> list[TidegateError]:
    """What every target refuses, and the names that this one does."""
    wrong = [*refused(table), *names]
    return [misfit_error(table, wrong, TargetUnfit)] if wrong else []


def shared_error(table: TargetTable, other: str | None) -> list[TidegateError]:
    """`other` is a run of another task that writes the table (see `Target.sharer`). Histories may be shared."""
    if other is None or table.mode is WriteMode.APPEND:
        return []
    return [TargetShared(f"{table} is written by run {other} of another task", table=str(table), run=other)]


def refused(table: TargetTable) -> list[Misfit]:
    """A table in the state's own schema, one without columns, and stamps that would hide a column of the source."""
    wrong = []
    if table.schema == STATE_SCHEMA:
        wrong.append(Misfit("", f"would lie in the schema {STATE_SCHEMA}, which holds the state of runs"))
    stamps = table.stamp.names() if table.mode is WriteMode.APPEND else ()
    if not (table.source.columns or stamps):
        wrong.append(Misfit("", "has no columns"))
    taken = [name for name in stamps if name in table.source.names]
    return wrong + [Misfit(name, "is also a column of the source; rename the stamp's column") for name in taken]
