"""What a run is to do, worked out of its task's definition: which tables, and where each goes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.connect.capability import ReadMode, WriteMode
from tidegate.connect.source import Source
from tidegate.connect.target import Stamp, TargetTable
from tidegate.errors import SourcePatternEmpty, SourceTableUnknown, SourceTableUnlogged, TaskInvalid, TidegateError
from tidegate.model.pattern import Patience
from tidegate.model.schema import TableName, TableSchema
from tidegate.model.task import ExistingRows, TaskSpec, is_plain, matches, picks, target_name, target_names


@dataclass(frozen=True, slots=True)
class TablePlan:
    """One run of one version of a task. `database` is the source's, for naming patterns."""

    run: str
    epoch: int
    spec: TaskSpec
    read: ReadMode
    database: str

    @property
    def replace(self) -> bool:
        """Whether rows that are already in an upsert target table are no reason to refuse."""
        return self.spec.target.existing_rows is ExistingRows.REPLACE or self.read is ReadMode.INCREMENTAL

    @property
    def grows(self) -> bool:
        """Whether tables created later may belong to the task."""
        return any(not is_plain(entry) for entry in self.spec.source.tables)

    def takes(self, name: TableName) -> bool:
        """Whether the table belongs to the task. Raises `TaskInvalid` if an expression takes too long to tell."""
        patience = Patience(len(self.spec.source.tables))
        return any(picks(entry, name, patience) for entry in self.spec.source.tables)

    def names(self, name: TableName) -> bool:
        """Whether the task names the table itself, rather than by a pattern."""
        return str(name) in self.spec.source.tables

    def shape(self) -> str:
        """What must not change while a run goes on, as a text to compare."""
        target = self.spec.target
        return json.dumps(target.model_dump(mode="json", include={"write", "schema_name", "table", "stamp"}))

    def place(self, schema: TableSchema) -> TargetTable:
        """Where the table goes, in this shape. Raises `TaskInvalid` if append's columns and the table's own clash."""
        spec = self.spec.target
        place_schema, name = target_name(spec, self.spec.source.data_source, self.database, schema.name)
        stamp = Stamp(spec.stamp.op, spec.stamp.committed_at, spec.stamp.position, spec.stamp.detail)
        if spec.write is WriteMode.APPEND and set(stamp.names()) & set(schema.names):
            both = ", ".join(sorted(set(stamp.names()) & set(schema.names)))
            raise TaskInvalid(f"{schema.name} has a column named {both} itself; choose another name in target.stamp")
        return TargetTable(place_schema, name, schema, spec.write, stamp)

    def refusals(self, source: Source) -> tuple[list[TableSchema], list[TidegateError]]:
        """The source's tables of the task, and everything that is against following them."""
        try:
            names = matches(self.spec, source.tables())
            target_names(self.spec.target, self.spec.source.data_source, self.database, names)
        except (SourceTableUnknown, SourcePatternEmpty) as error:
            unlogged = [name for name in source.unlogged_tables() if picks(error.facts["table"], name)]
            return [], [
                SourceTableUnlogged(f"{unlogged[0]} is unlogged: its rows are in no log") if unlogged else error
            ]
        except TidegateError as error:
            return [], [error]
        schemas, refused = [], []
        for name in names:
            schema, found = self.look(source, name)
            schemas.append(schema)
            refused += found
        return schemas, refused

    def look(self, source: Source, name: TableName) -> tuple[TableSchema, list[TidegateError]]:
        """One table, and what is against following it."""
        schema = source.schema(name)
        refused: list[TidegateError] = []
        for error in source.refusals(schema, self.spec.target.write):
            if not isinstance(error, TidegateError):
                raise error
            refused.append(error)
        try:
            self.place(schema)
        except TidegateError as error:
            refused.append(error)
        return schema, refused

    def omitted(self, source: Source, tables: Sequence[TableName]) -> dict[str, list[str]]:
        """What of the task no log has and so never comes, by the name of a key event's fact: columns of its `tables`,
        and tables that its patterns match. Empty for most."""
        columns = [f"{name}.{column}" for name, of in source.omitted_columns(tables).items() for column in of]
        unlogged = [str(name) for name in source.unlogged_tables() if self.takes(name)]
        return {fact: found for fact, found in (("columns", columns), ("tables", unlogged)) if found}

    def resolve(self, source: Source) -> list[TableSchema]:
        """The tables to follow. Raises the first refusal."""
        schemas, refused = self.refusals(source)
        if refused:
            raise refused[0]
        return schemas
