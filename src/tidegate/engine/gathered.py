"""What a source has put together by itself, as steps for the target: no row is looked at one by one. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tidegate.connect.source import LogTransaction
from tidegate.connect.target import Append, Moved, Net, Step, TargetTable
from tidegate.decode import gatherer
from tidegate.engine.stamp import INDEX_DIGITS, NTH_DIGITS, TEXT, instant, transaction_place
from tidegate.model.change import Op

# By `gatherer.LogOp`.
_WORDS = pa.array([str(Op.INSERT), str(Op.UPDATE), str(Op.DELETE)], TEXT)


def step_of(
    place: TargetTable, rows: gatherer.Net | gatherer.Log, transactions: Sequence[LogTransaction]
) -> Net | Append:
    """What becomes of a table's changes; `transactions` are those they come from."""
    if isinstance(rows, gatherer.Log):
        return Append(place, [stamped(place, rows, transactions)])
    moved = [one for moved in rows.moved for one in _one_by_one(place, moved)]
    return Net(place, rows.deletes, rows.inserts, rows.puts, [patch.rows for patch in rows.patches], moved)


def _one_by_one(place: TargetTable, moved: gatherer.Moved) -> list[Moved]:
    """Rarely more than a few: a key changed, and with it a large value did not."""
    left_out = tuple(n for index, n in enumerate(place.source.names) if index not in moved.columns)
    keys = zip(*(column.to_pylist() for column in moved.origin.columns), strict=True)
    return [Moved(moved.rows.slice(row, 1), tuple(key), left_out) for row, key in enumerate(keys)]


def stamped(place: TargetTable, log: gatherer.Log, transactions: Sequence[LogTransaction]) -> pa.RecordBatch:
    """The rows with append's columns."""
    stamps, batch = log.stamps, log.rows
    which = pc.index_in(stamps.column("transaction"), pa.array([one.number for one in transactions], pa.int64()))
    at = pa.array([instant(one.committed_at_us) for one in transactions], TEXT)
    commits = pa.array([transaction_place(one.commit) for one in transactions], TEXT)
    index = pc.utf8_lpad(pc.cast(stamps.column("index"), TEXT), INDEX_DIGITS, padding="0")
    second = pc.if_else(pc.equal(stamps.column("nth"), 0), "", f":{1:0{NTH_DIGITS}d}")
    for name, values in (
        (place.stamp.op, pc.take(_WORDS, stamps.column("op"))),
        (place.stamp.committed_at, pc.take(at, which)),
        (place.stamp.position, pc.binary_join_element_wise(pc.take(commits, which), index, second, "")),
        (place.stamp.detail, _details(place, log)),
    ):
        if name:
            batch = batch.append_column(name, values)
    return batch


def _details(place: TargetTable, log: gatherer.Log) -> pa.Array:
    """Which large values the log left out, row by row."""
    if not log.unchanged:
        return pa.nulls(log.rows.num_rows, TEXT)
    details: list[str | None] = [None] * log.rows.num_rows
    for left_out in log.unchanged:
        names = [place.source.names[column] for column in left_out.columns]
        said = json.dumps({"unchanged": names}, ensure_ascii=False)
        for row in left_out.rows.to_pylist():
            details[row] = said
    return pa.array(details, TEXT)


def rows_of(rows: gatherer.Net | gatherer.Log) -> int:
    """How many rows it has."""
    return sum(batch.num_rows for batch in _batches(rows))


def rows_bytes(rows: gatherer.Net | gatherer.Log) -> int:
    """How large they are."""
    return sum(batch.nbytes for batch in _batches(rows))


def _batches(rows: gatherer.Net | gatherer.Log) -> list[pa.RecordBatch]:
    if isinstance(rows, gatherer.Log):
        return [rows.rows]
    found = [rows.deletes, rows.inserts, rows.puts, *(patch.rows for patch in rows.patches)]
    return [batch for batch in (*found, *(moved.rows for moved in rows.moved)) if batch is not None]


def step_bytes(step: Step) -> int:
    """How much is handed to the target with a step of a batch."""
    if isinstance(step, Append):
        return sum(batch.nbytes for batch in step.rows)
    if isinstance(step, Net):
        found = [step.deletes, step.inserts, step.puts, *step.patches, *(moved.row for moved in step.moved)]
        return sum(batch.nbytes for batch in found if batch is not None)
    return 0
