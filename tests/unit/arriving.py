"""A target of parts and batches alike: what came to it, and with which position."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tidegate.connect.capability import WriteMode
from tidegate.connect.source import LogBatch
from tidegate.connect.target import Append, Clear, Net, TargetTable
from tidegate.decode.choice import which
from tidegate.decode.gatherer import Mode
from tidegate.engine.batcher import Batcher
from tidegate.errors import EnvironmentLacking
from tidegate.model.change import LogPart, Op
from tidegate.model.position import Position
from tidegate.model.schema import TableName, TableSchema

KEYED, LOGGED = TableName("public", "keyed"), TableName("public", "logged")
MODES = {KEYED: Mode.NET, LOGGED: Mode.LOG}


def placed(schema: TableSchema) -> TargetTable:
    mode = WriteMode.UPSERT if MODES.get(schema.name) is Mode.NET else WriteMode.APPEND
    return TargetTable("s", schema.name.name, schema, mode)


@dataclass
class Arrived:
    position: Position
    rows: dict[str, str] = field(default_factory=dict)
    """Of `KEYED`: `k` and `v`."""
    logged: list[tuple[str, str]] = field(default_factory=list)
    """Of `LOGGED`: places and `v`."""

    def take(self, item: LogPart | LogBatch) -> None:
        batcher = Batcher(placed)
        if isinstance(item, LogBatch):
            batcher.gather(item)
        else:
            for index, change in enumerate(item.changes, item.first_index):
                if change.table.name not in MODES:
                    continue
                if change.op is Op.TRUNCATE:
                    batcher.truncate(change.table, None, [], item, index)
                else:
                    batcher.add(change, True, True, item, index)
        for step in batcher.steps():
            self._apply(step)
        assert not item.position < self.position
        self.position = item.position

    def _apply(self, step: Any) -> None:
        if isinstance(step, Clear):
            self.rows.clear()
        elif isinstance(step, Net):
            assert not [row for row in _listed(step.inserts) if row["k"] in self.rows]
            for row in _listed(step.deletes):
                self.rows.pop(row["k"], None)
            for row in (*_listed(step.puts), *_listed(step.inserts)):
                self.rows[row["k"]] = row["v"]
        elif isinstance(step, Append):
            for batch in step.rows:
                self.logged += [(row["_tidegate_position"], row["v"]) for row in batch.to_pylist()]


def _listed(batch: Any) -> list[dict[str, Any]]:
    return [] if batch is None else batch.to_pylist()


def decoding(decoder: str, request: pytest.FixtureRequest) -> None:
    """With this decoder until the test ends, or not at all."""
    patched = pytest.MonkeyPatch()
    request.addfinalizer(patched.undo)
    patched.setenv("TIDEGATE_DECODE", decoder)
    try:
        which()
    except EnvironmentLacking as error:
        pytest.skip(error.detail)
