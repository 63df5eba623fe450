"""Parts and batches of MySQL's log, built from the published formats: however it is read, and however often it is begun
again, the same arrives."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decode_binlog import wire
from tidegate.connect import myassembly
from tidegate.connect.lanes import Request
from tidegate.connect.mylanes import Lanes
from tidegate.connect.myposition import MyPosition
from tidegate.connect.source import Gathering
from tidegate.decode.binlog_gatherer import packets
from tidegate.decode.gtid import MysqlGtidSet
from tidegate.errors import PositionLost, SourceLogBroken
from tidegate.model.change import LogPart, Op
from unit.arriving import LOGGED, MODES, Arrived, decoding
from unit.mysqllog import BEGIN, MysqlLog, compressed, history, name, xa, xa_prepare
from unit.test_mylanes import START, XID, feed, image, in_public, insert, items, read, reading, rows, split


def fed(log: MysqlLog, start: MyPosition = START, *, gathers: bool = False) -> Lanes:
    lanes = reading(start)
    if gathers:
        lanes.wanted = Request(Gathering(MODES, 1000))
    feed(lanes, packets(log.sent(start.read_from)))
    return lanes


def logged(*values: str) -> list[bytes]:
    return [event for value in values for event in split(rows(23, LOGGED, image(value)))]


@pytest.mark.parametrize("decoder", ["native", "python"])
@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_same_arrives_whichever_way_it_is_read(decoder: str, seed: int, request: pytest.FixtureRequest) -> None:
    decoding(decoder, request)
    r = Random(seed)
    made = history(r, checksums=r.random() < 0.5, named=r.random() < 0.7)
    assert isinstance(made.log, MysqlLog)
    arrived = Arrived(START)
    for _ in range(6):
        read(made, arrived, r, everything=False)
    read(made, arrived, r, everything=True)
    assert arrived.rows == made.rows
    assert [value for _, value in arrived.logged] == made.logged
    places = [place for place, _ in arrived.logged]
    assert places == sorted(places)
    assert len(set(places)) == len(places)
    assert MyPosition.of(arrived.position).gtids == made.log.held or not made.log.held


@pytest.mark.parametrize("gathers", [False, True])
def test_a_compressed_transaction_larger_than_parts_comes_in_pieces_and_goes_on_amid(
    gathers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(myassembly, "PART_CHANGES_MAX", 3)
    log = MysqlLog()
    values = [str(n) for n in range(10)]
    log.add([log.begin(name(1)), compressed([BEGIN, *logged(*values), XID])])
    pieces = items(fed(log, gathers=gathers))
    assert [len(piece.changes) for piece in pieces] == [3, 3, 3, 1]
    assert [piece.ends for piece in pieces] == [False, False, False, True]
    again = items(fed(log, MyPosition.parse(str(pieces[1].position)), gathers=gathers))
    assert [change.new for piece in again for change in piece.changes] == [("6",), ("7",), ("8",), ("9",)]
    assert {piece.transaction for piece in again} == {pieces[0].transaction}


def test_an_xa_transaction_of_one_phase_counts_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(myassembly, "PART_CHANGES_MAX", 2)
    log = MysqlLog()
    changes = logged("a", "b", "c")
    log.add([log.begin(name(1)), xa("START", b"x"), *changes, xa("END", b"x"), xa_prepare(b"x", one_phase=True)])
    pieces = items(fed(log))
    assert [len(piece.changes) for piece in pieces] == [2, 1]
    again = items(fed(log, MyPosition.parse(str(pieces[0].position))))
    assert [change.new for piece in again for change in piece.changes] == [("c",)]
    assert again[-1].position == pieces[-1].position


def test_a_table_made_from_a_query_brings_its_rows_in_the_same_transaction() -> None:
    log = MysqlLog()
    made = in_public(b"CREATE TABLE `other` (`v` int) START TRANSACTION")
    log.add([log.begin(name(1)), made, *logged("a"), XID])
    log.add([log.begin(name(2)), BEGIN, *logged("b"), XID])
    parts = items(fed(log))
    assert [[change.new for change in part.changes] for part in parts] == [[("a",)], [("b",)]]


def test_a_statement_by_itself_is_a_transaction_by_itself() -> None:
    log = MysqlLog()
    log.add([log.begin(name(1)), in_public(b"truncate keyed"), log.begin(name(2)), in_public(b"create user x")])
    (truncated, moved) = items(fed(log))
    assert [change.op for change in truncated.changes] == [Op.TRUNCATE]
    assert (moved.transaction, str(moved.position.gtids)) == (None, str(log.held))


@pytest.mark.parametrize("gathers", [False, True])
def test_a_partial_update_is_the_whole_row(gathers: bool) -> None:
    """binlog_row_value_options = PARTIAL_JSON leaves out what is as it was; no JSON here, so nothing is left out."""
    log = MysqlLog()
    change = b"".join(split(insert("a", "x")))
    table = change[: int.from_bytes(change[9:13], "little")]
    body = (21).to_bytes(6, "little") + b"\x01\0" + b"\x02\0" + wire.packed(2) + b"\x03\x03"
    body += image("a", "x") + b"\0" + image("a", "y")
    log.add([log.begin(name(1)), BEGIN, *split(insert("a", "x")), table, wire.event(39, body), XID])
    arrived = Arrived(START)
    for item in items(fed(log, gathers=gathers)):
        arrived.take(item)
    assert arrived.rows == {"a": "y"}


def test_a_file_of_another_log_ends_the_run_rather_than_being_read_on() -> None:
    """RESET BINARY LOGS AND GTIDS, and what was logged from then on."""
    log = MysqlLog()
    log.add([log.begin(name(1)), BEGIN, *logged("a"), XID])
    (part,) = items(fed(log))
    log.held = MysqlGtidSet()
    log.rotate()
    with pytest.raises(PositionLost, match="another log"):
        fed(log, MyPosition.of(part.position))


def test_an_xa_commit_whose_rows_were_never_seen_ends_the_run() -> None:
    log = MysqlLog()
    log.add([log.begin(name(1)), xa("ROLLBACK", b"x")])
    assert [item.changes for item in items(fed(log))] == [[]]
    log.add([log.begin(name(2)), xa("COMMIT", b"x")])
    with pytest.raises(PositionLost, match="began to read it"):
        fed(log)


@pytest.mark.parametrize("text", [b"XA START 'x'", b"XA COMMIT X'6'", b"XA COMMIT X'61',X''"])
def test_an_xa_transaction_without_a_name_is_no_mysql_log(text: bytes) -> None:
    log = MysqlLog()
    log.add([log.begin(name(1)), in_public(text)])
    with pytest.raises(SourceLogBroken, match="has no name"):
        fed(log)


def test_positions_keep_the_whole_set_in_front_of_them() -> None:
    log = MysqlLog(held=MysqlGtidSet.parse("2174b383-5441-11e8-b90a-c80aa9429562:1-9"))
    log.rotate()
    start = MyPosition.parse("log.000002:4;2174b383-5441-11e8-b90a-c80aa9429562:1-9")
    log.add([log.begin(name(1)), BEGIN, *logged("a"), XID])
    (part,) = (item for item in items(fed(log, start)) if isinstance(item, LogPart) and item.changes)
    position = MyPosition.of(part.position)
    assert position.gtids == log.held
    assert MyPosition.parse(str(position)) == position
