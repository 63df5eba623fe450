"""What DDL does to rows that are there and the source's log does not tell: seen by looking, and told once each (I3).

What a look finds is remembered at the target before anybody hears of it, so that no change ends the run twice. A
TRUNCATE of the whole table is in the log, and looks like one of each partition: judged once the log is past the look.
So is what was attached.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.connect.capability import WriteMode
from tidegate.connect.source import Source, Unlogged, UnloggedChange
from tidegate.engine.handoff import TableCopy
from tidegate.engine.plan import TablePlan
from tidegate.engine.snapshot import Hooks
from tidegate.engine.state import Entries, RunState, Watched
from tidegate.errors import SourcePartitionChanged, SourceTableRewritten
from tidegate.model.change import LogPart
from tidegate.model.position import Position
from tidegate.model.schema import TableName

# So many are named; of the others, how many there are.
NAMED_MAX = 5
TRUNCATES_MAX = 100

_SAID = {
    Unlogged.ATTACHED: "partition {} was attached with rows that it had before",
    Unlogged.LEFT: "partition {} was detached or dropped",
    Unlogged.EMPTIED: "partition {} was truncated by itself",
    Unlogged.REWRITTEN: "partition {} was rewritten",
    Unlogged.CONVERTED: "column {} was given another definition, for which all rows were written anew",
    Unlogged.REPLACED: "column {} is another one now: dropped and added again, or given the other's name",
    Unlogged.RELABELLED: "type {} was given other labels or attributes",
}
_EVENTS = {
    Unlogged.ATTACHED: "partition_attached",
    Unlogged.LEFT: "partition_left",
    Unlogged.EMPTIED: "partition_emptied",
    Unlogged.REWRITTEN: "partition_rewritten",
}
_OF_THE_TABLE = {Unlogged.CONVERTED, Unlogged.REPLACED, Unlogged.RELABELLED}


@dataclass(slots=True)
class _Pending:
    """What a look found and the log may yet explain."""

    text: str
    changes: list[UnloggedChange]
    until: Position


def first_look(source: Source, state: RunState, names: Iterable[TableName]) -> Entries:
    """Of tables whose copy is planned and not begun; what to store."""
    entries: Entries = {}
    schemas = [state.handoff.tables[name].schema for name in names]
    for name, text in source.unlogged_changes([(schema, "") for schema in schemas]).now.items():
        state.watched[name] = Watched(text)
        entries |= state.watched_entry(name)
    return entries


class UnloggedWatch:
    """Used by the pipeline's thread only."""

    def __init__(self, plan: TablePlan, source: Source, state: RunState, hooks: Hooks) -> None:
        self._plan, self._source, self._state, self._hooks = plan, source, state, hooks
        self._pending: dict[TableName, _Pending] = {}

    def truncated(self, name: TableName, part: LogPart) -> Entries:
        """The log truncates the whole table; what to store with it."""
        watched = self._state.watched.get(name)
        if watched is None:
            return {}
        watched.truncated = [*watched.truncated, (part.position.sortable(), str(part.transaction))][-TRUNCATES_MAX:]
        return self._state.watched_entry(name)

    def look(self, *, known: TableName | None = None) -> None:
        """Ask the source. A table of which the last look waits to be judged is left out. That the table that is `known`
        to be another one than before is told already."""
        watched = self._state.watched
        tables = [copy for name, copy in self._state.handoff.tables.items() if name not in self._pending]
        found = self._source.unlogged_changes(
            [(copy.schema, watched[copy.name].text if copy.name in watched else "") for copy in tables]
        )
        until: Position | None = None
        for name, text in found.now.items():
            changes = [change for change in found.changes if change.table == name]
            if not _begun(self._state.handoff.tables[name]):
                changes = []
            if name == known:
                changes = [change for change in changes if change.what not in _OF_THE_TABLE]
            if name in watched and text == watched[name].text:
                continue
            if until is None:
                until = self._source.log_state(self._plan.run, None).end
            self._pending[name] = _Pending(text, changes, until)

    def judge(self, reached: Position) -> tuple[Entries, SourcePartitionChanged | SourceTableRewritten | None]:
        """`reached` is what of the log was decided. Returns what to store, and how the run ends behind that."""
        entries: Entries = {}
        stops: list[UnloggedChange] = []
        told: list[UnloggedChange] = []
        for name, pending in list(self._pending.items()):
            copy = self._state.handoff.tables.get(name)
            waits = any(_wait(change) for change in pending.changes) and reached < pending.until
            if copy is not None and waits:
                continue
            del self._pending[name]
            if copy is None:
                continue
            watched = self._state.watched.get(name) or Watched("")
            for change in pending.changes:
                if not _explained(change, watched):
                    (stops if self._stops(change.what) else told).append(change)
            later = [one for one in watched.truncated if one[0] > pending.until.sortable()]
            self._state.watched[name] = Watched(pending.text, later)
            entries |= self._state.watched_entry(name)
        for what in Unlogged:
            self._tell(what, [change for change in told if change.what is what])
        return entries, _ended(stops) if stops else None

    def _stops(self, what: Unlogged) -> bool:
        """An append target is a history: that rows are gone from the source takes nothing from it."""
        if what is Unlogged.ATTACHED or what in _OF_THE_TABLE:
            return True
        return what is not Unlogged.REWRITTEN and self._plan.spec.target.write is WriteMode.UPSERT

    def _tell(self, what: Unlogged, changes: list[UnloggedChange]) -> None:
        for table in dict.fromkeys(change.table for change in changes):
            names = [change.part for change in changes if change.table == table]
            facts = {"table": str(table), "partitions": names[:NAMED_MAX], "count": len(names)}
            self._hooks.event(_EVENTS[what], facts)


def _begun(copy: TableCopy) -> bool:
    """Whether anything was read of the table yet; else all that a look finds will be in the copy."""
    return copy.in_step or bool(copy.patches) or any(chunk.mark is not None for chunk in copy.chunks)


def _wait(change: UnloggedChange) -> bool:
    """Whether it is told only once the log is past the look: the log may explain it; or the run that goes on must begin
    behind it, for a walsender of PostgreSQL 14 that saw rows of a table before it became a partition leaves out those
    that come after, too, as long as it lives (I3)."""
    return change.transaction is not None or change.what is Unlogged.ATTACHED


def _explained(change: UnloggedChange, watched: Watched) -> bool:
    """Whether a TRUNCATE that the log told did it; one inside a savepoint goes by another name, but takes all."""
    if change.transaction is None:
        return False
    return (change.whole and bool(watched.truncated)) or change.transaction in (by for _, by in watched.truncated)


def _ended(stops: list[UnloggedChange]) -> SourcePartitionChanged | SourceTableRewritten:
    said = [f"{change.table}: {_SAID[change.what].format(change.part)}" for change in stops[:NAMED_MAX]]
    more = f"; and {len(stops) - NAMED_MAX} more" if len(stops) > NAMED_MAX else ""
    changes = [
        {"table": str(change.table), "part": change.part, "what": str(change.what)} for change in stops[:NAMED_MAX]
    ]
    whole = any(change.what in _OF_THE_TABLE for change in stops)
    error = SourceTableRewritten if whole else SourcePartitionChanged
    return error("; ".join(said) + more, changes=changes)
