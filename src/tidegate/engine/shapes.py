"""The shape each of a run's tables has at the target, and what becomes of it when the source's changes."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.connect.source import Source
from tidegate.connect.target import Target, TargetTable
from tidegate.engine import evolve
from tidegate.engine.opening import check_followed
from tidegate.engine.plan import TablePlan
from tidegate.engine.snapshot import Hooks
from tidegate.engine.state import Entries, RunState
from tidegate.model.schema import TableName, TableSchema


class Shapes:
    """`known` has, by table, the very object the log's changes refer to, once one was seen. `disturb` is told of a
    table that is about to change at the target."""

    def __init__(
        self,
        plan: TablePlan,
        source: Source,
        target: Target,
        state: RunState,
        hooks: Hooks,
        disturb: Callable[[TableName], None],
    ) -> None:
        self._plan, self._source, self._target = plan, source, target
        self._state, self._hooks, self._disturb = state, hooks, disturb
        self.known: dict[TableName, TableSchema] = {n: copy.schema for n, copy in state.handoff.tables.items()}
        self._places: dict[int, tuple[TableSchema, TargetTable]] = {}
        self._passed_over: set[TableName] = set()
        self._gone: set[TableName] = set()

    def place(self, schema: TableSchema) -> TargetTable:
        """Where rows of this shape go."""
        held = self._places.get(id(schema))
        if held is None or held[0] is not schema:
            held = self._places[id(schema)] = (schema, self._plan.place(schema))
        return held[1]

    def follow(self, seen: TableSchema) -> Entries:
        """The log shows a table in this shape from here on; returns what to store of it. The batch is not written for
        that: its rows name their columns and leave new ones to their default. Raises `SourceSchemaChange`."""
        known = self.known.get(seen.name)
        if known is seen:
            return {}
        if known is None:
            self._pass_over(seen.name)
            return {}
        entries: Entries = {}
        if known != seen:
            self.widen(seen)
            copy = self._state.handoff.tables[seen.name]
            copy.schema = seen
            entries = self._state.table_entry(copy)
        self.known[seen.name] = seen
        return entries

    def widen(self, seen: TableSchema) -> None:
        """Make the target take rows of this shape. Raises `SourceSchemaChange` if that takes more than new columns."""
        place = self._plan.place(seen)
        at_target = self._target.columns(place)
        new = evolve.added_columns(
            self.known[seen.name],
            place,
            lambda type: self._target.type_of(type, seen.family),
            {column.name: column.type for column in at_target or ()},
            lambda: {misfit.column: misfit.reason for misfit in self._target.misfits(place)} if at_target else {},
            in_step=self._state.handoff.tables[seen.name].in_step,
        )
        if new:
            self._disturb(seen.name)
            self._target.add_columns(place, new)
            self._hooks.event("schema_change", {"table": str(seen.name), "added": [column.name for column in new]})

    def _pass_over(self, name: TableName) -> None:
        """A table the run does not have: one that joins in a moment or has left, or, which must not go unnoticed, one
        of the run's own under a new name."""
        if name not in self._passed_over:
            self.check_followed()
            self._passed_over.add(name)

    def check_followed(self) -> None:
        """Whether the source still logs every table of the run for it; raises as `opening.check_followed`."""
        for name in check_followed(self._plan, self._source, self._state.handoff.tables):
            if name not in self._gone:
                self._gone.add(name)
                self._hooks.event("table_gone", {"table": str(name)})
