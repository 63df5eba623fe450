"""Whatever the stream and however it is cut, both gatherers say the same: events, batches, stops and errors."""

from __future__ import annotations

import json
import struct
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decode.conftest import Open
from decode.streams import LIMITS, TABLES, Seen, Table, frames, histories, watched
from tidegate.connect import target
from tidegate.connect.capability import WriteMode
from tidegate.connect.target import Append, TargetTable
from tidegate.decode.fault import Contradiction
from tidegate.decode.gatherer import Limits, Log, LogOp, Mode, Net, Stop
from tidegate.decode.pgoutput import RowChange, decode
from tidegate.engine.batcher import Batcher
from tidegate.engine.stamp import change_place
from tidegate.errors import SourceLogBroken
from tidegate.model.change import Change
from tidegate.model.schema import Column, DataType, Kind, TableName, TableSchema
from unit.logged import part

given_twins = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True
)


def both(twins: tuple[Open, Open], stream: bytes, **how: object) -> Seen:
    plain, native = (watched(one(), stream, **how) for one in twins)  # type: ignore[arg-type]
    assert native.error == plain.error
    assert native.said == plain.said
    return plain


COMMITS = st.sampled_from([0, 200, 220, 240])


@given(
    histories(),
    LIMITS,
    st.lists(st.integers(0, 2000), max_size=5),
    st.one_of(st.none(), st.tuples(COMMITS, COMMITS, st.integers(0, 6))),
)
@given_twins
def test_a_stream_comes_out_the_same_however_it_is_cut(
    twins: tuple[Open, Open],
    messages: list[bytes],
    limits: Limits,
    borders: list[int],
    resumed: tuple[int, int, int] | None,
) -> None:
    both(twins, frames(*messages), limits=limits, borders=borders, resumed=resumed)


@given(
    histories(), st.integers(0, 2**64), st.sampled_from(["flip", "cut", "insert", "length"]), st.integers(0, 2**32 - 1)
)
@given_twins
def test_a_garbled_stream_comes_out_the_same(
    twins: tuple[Open, Open], messages: list[bytes], at: int, how: str, value: int
) -> None:
    both(twins, garbled(frames(*messages), at, how, value))


def garbled(stream: bytes, at: int, how: str, value: int) -> bytes:
    found = bytearray(stream)
    at %= len(found)
    if how == "flip":
        found[at] ^= 1 << value % 8
    elif how == "cut":
        del found[at : at + 1 + value % 5]
    elif how == "insert":
        found[at:at] = struct.pack(">I", value)[: 1 + value % 4]
    else:
        found[at : at + 4] = struct.pack(">I", value)
    return bytes(found)


@given(histories(truncates=False))
@given_twins
def test_net_and_log_are_what_the_batcher_makes(opened: Open, messages: list[bytes]) -> None:
    """The engine's batcher is the oracle, for tables that are in step."""
    gatherer, stops = opened(), True
    stream, at = frames(*messages), 0
    error = None
    while stops:
        try:
            fed = gatherer.feed(stream, at, Limits())
        except Contradiction as found:
            error = found
            break
        at += fed.consumed_bytes
        stops = fed.stop is not Stop.END
        if fed.stop is Stop.RELATION:
            table = TABLES[fed.met.oid]  # type: ignore[union-attr]
            gatherer.shape(table.oid, table.names, table.key, table.mode)
    wanted, refused = batched(messages)
    assert (error is not None) == refused
    assert {oid: flat(gatherer.take(oid), TABLES[oid]) for oid in gatherer.held()} == wanted


TEXT = DataType(Kind.TEXT, "text")


def batched(messages: list[bytes]) -> tuple[dict[int, object], bool]:
    """What the batcher has up to the first change it refuses, and whether it did."""
    schemas = {
        table.oid: TableSchema(
            TableName("public", str(table.oid)),
            tuple(Column(name, TEXT) for name in table.names),
            tuple(table.names[column] for column in table.key),
            "postgres",
        )
        for table in TABLES.values()
    }
    modes = {Mode.NET: WriteMode.UPSERT, Mode.LOG: WriteMode.APPEND}
    batcher = Batcher(
        lambda schema: TargetTable("", schema.name.name, schema, modes[TABLES[int(schema.name.name)].mode])
    )
    commit = index = 0
    refused = False
    for message in messages:
        event = decode(message)
        if message[:1] == b"B":
            commit, index = event.commit_lsn, 0  # type: ignore[union-attr]
        if not isinstance(event, RowChange):
            continue
        if TABLES[event.oid].mode is not Mode.SKIP:
            change = Change(schemas[event.oid], event.op, event.old, event.new)
            try:
                batcher.add(change, True, True, part(commit=commit), index)
            except SourceLogBroken:
                refused = True
                break
        index += 1
    found = {int(step.table.name): flat_step(step) for step in batcher.steps()}
    return {oid: rows for oid, rows in found.items() if any(rows)}, refused


def flat_step(step: object) -> object:
    if isinstance(step, Append):
        stamp = step.table.stamp
        rows = [row for batch in step.rows for row in batch.to_pylist()]
        return [
            (
                {name: row[name] for name in step.table.source.names},
                row[stamp.op],
                row[stamp.position],
                json.loads(row[stamp.detail] or "{}").get("unchanged", []),
            )
            for row in rows
        ]
    assert isinstance(step, target.Net)
    return (
        as_rows(step.deletes),
        as_rows(step.inserts),
        as_rows(step.puts),
        [as_rows(batch) for batch in step.patches],
        sorted(((as_rows(one.row), one.from_key, one.columns) for one in step.moved), key=str),
    )


def flat(rows: Net | Log, table: Table) -> object:
    if isinstance(rows, Log):
        left_out = {
            number: [table.names[column] for column in one.columns]
            for one in rows.unchanged
            for number in one.rows.to_pylist()
        }
        return [
            (row, LogOp(at["op"]).name.lower(), position(at), left_out.get(number, []))
            for number, (row, at) in enumerate(zip(as_rows(rows.rows), as_rows(rows.stamps), strict=True))
        ]
    moved = []
    for one in rows.moved:
        columns = tuple(name for n, name in enumerate(table.names) if n not in one.columns)
        for row, origin in zip(as_rows(one.rows), as_rows(one.origin), strict=True):
            moved.append(([row], tuple(origin.values()), columns))
    return (
        as_rows(rows.deletes),
        as_rows(rows.inserts),
        as_rows(rows.puts),
        [as_rows(one.rows) for one in rows.patches],
        sorted(moved, key=str),
    )


def position(stamp: dict[str, int]) -> str:
    """`histories` numbers its transactions' commits."""
    return change_place(part(commit=200 + 20 * stamp["transaction"]).commit, stamp["index"], stamp["nth"])


def as_rows(batch: pa.RecordBatch | None) -> list[dict[str, Any]]:
    return [] if batch is None else batch.to_pylist()
