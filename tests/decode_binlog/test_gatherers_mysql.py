"""Both gatherers on MySQL's transactions, built from the published formats: alike in all they say, and right."""

from __future__ import annotations

import random
import struct
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decode_binlog import wire
from decode_binlog.gathering import Feeding, garbled
from decode_binlog.streams import events, gtid, gtid_of_mysql, placed, query
from decode_binlog.test_gatherers import LIMITS, MODES, SEEDS, Open, both, given_twins, opened, rows_taken, twins
from tidegate.decode.binlog import BinlogDecoder
from tidegate.decode.binlog_gatherer import Stop, Transaction, packets
from tidegate.decode.binlog_gtid import MysqlBegin
from tidegate.decode.binlog_rows import Rows
from tidegate.decode.gatherer import Limits
from tidegate.decode.gtid import Gtid, MysqlGtid

__all__ = ["opened", "twins"]

SERVER = uuid.UUID("3e11fa47-71ca-11e1-9e33-c80aa9429562")
FORMAT = wire.format_description("8.4.0")
SUMMED = wire.format_description("8.4.0", checksum=True)
MAP = wire.table_map((3,), b"", [(1, b"\0"), (8, b"\0")])
COMMIT = wire.event(16, bytes(8))


def insert(number: int) -> bytes:
    return wire.rows(30, 1, [1], b"\0" + struct.pack("<i", number))


def ended(feeding: Feeding) -> list[Transaction]:
    return [one for said in feeding.seen.said if len(said) == 6 for one in said[1].ended]


@given(SEEDS, LIMITS, st.lists(st.integers(0, 5000), max_size=5), st.booleans())
@given_twins
def test_a_stream_comes_out_the_same_however_it_is_cut(
    twins: tuple[Open, Open], seed: int, limits: Limits, borders: list[int], checksums: bool
) -> None:
    stream = events(random.Random(seed), checksums=checksums, mysql=True)
    both(twins, stream, borders, modes=MODES, limits=limits)


@given(SEEDS, LIMITS)
@given_twins
def test_a_garbled_stream_comes_out_the_same(twins: tuple[Open, Open], seed: int, limits: Limits) -> None:
    r = random.Random(seed)
    both(twins, garbled(events(r, checksums=r.random() < 0.1, mysql=True), r), [], modes=MODES, limits=limits)


@given(SEEDS)
@given_twins
def test_garbled_names_of_transactions_come_out_the_same(twins: tuple[Open, Open], seed: int) -> None:
    r = random.Random(seed)
    names = garbled([gtid_of_mysql(r, r.choice([1, 2**40, 2**63 - 2])) for _ in range(6)], r)
    stream = [event for name in names for event in (name, query(b"BEGIN"), COMMIT)]
    both(twins, placed([FORMAT], checksums=False) + stream, [])


@pytest.mark.parametrize(
    ("begin", "gtid"),
    [
        (wire.gtid(SERVER, 7), MysqlGtid((str(SERVER), ""), 7)),
        (wire.gtid(SERVER, 2**63 - 2), MysqlGtid((str(SERVER), ""), 2**63 - 2)),
        (wire.gtid(uuid.UUID(int=0), 0, kind=34), None),
        (wire.tagged_gtid(SERVER, "blue_1", 2**40, 1, 337), MysqlGtid((str(SERVER), "blue_1"), 2**40)),
        (wire.tagged_gtid(SERVER, "", 5, 1, 337), MysqlGtid((str(SERVER), ""), 5)),
        (wire.tagged_gtid(SERVER, "t", 5, 1, 337, wire.varlen(11) + b"\x02"), MysqlGtid((str(SERVER), "t"), 5)),
    ],
)
def test_a_transaction_has_its_name_and_its_rows(opened: Open, begin: bytes, gtid: Gtid | None) -> None:
    feeding = Feeding(opened())
    seen = feeding.feed(
        placed([SUMMED, begin, query(b"BEGIN"), MAP, insert(1), MAP, insert(2), COMMIT], checksums=True)
    )
    (transaction,) = ended(feeding)
    assert (transaction.gtid, transaction.changes, transaction.at_s) == (gtid, 2, 1_700_000_000)
    assert seen.read_by_others == 0
    assert rows_taken(seen) == [("1",), ("2",)]


@pytest.mark.parametrize("sequence", [0, -1, 2**63 - 1])
def test_a_name_that_no_server_gives_is_left_to_the_readable_decoder(opened: Open, sequence: int) -> None:
    begin = wire.gtid(SERVER, sequence)
    seen = Feeding(opened()).feed(placed([FORMAT, begin, query(b"BEGIN"), COMMIT], checksums=False))
    assert seen.error is not None
    assert "sequence" in seen.error[1]


@pytest.mark.parametrize("bytes_max", [1, 1 << 20])
def test_a_begin_is_none_of_mariadbs_and_left_to_the_readable_decoder(opened: Open, bytes_max: int) -> None:
    gatherer = opened()
    gatherer.begin(4, checksums=False)
    limits = Limits(bytes_max=bytes_max)
    begun, stream = packets([gtid(1)]), packets([gtid(1), query(b"BEGIN"), COMMIT])
    at = gatherer.feed(begun, 0, limits).consumed_bytes
    assert at == (len(begun) if bytes_max == 1 else 0)
    fed = gatherer.feed(stream, at, limits)
    assert (fed.consumed_bytes, fed.stop, fed.ended) == (0, Stop.OTHER, [])


def test_a_statement_by_itself_and_a_compressed_transaction_are_left_to_the_readable_decoder(opened: Open) -> None:
    packed = wire.event(40, b"\x02" + wire.sized(wire.packed(255)) + b"\0" + MAP + insert(1) + COMMIT)
    for other in (query(b"create table z (a int)"), packed):
        feeding = Feeding(opened())
        feeding.feed(placed([FORMAT, wire.gtid(SERVER, 1), other], checksums=False))
        assert Stop.OTHER in [said[1].stop for said in feeding.seen.said if len(said) == 6]
        assert ended(feeding) == []


@given(SEEDS, st.booleans())
@given_twins
def test_transactions_and_rows_are_those_of_the_readable_decoder(
    twins: tuple[Open, Open], seed: int, checksums: bool
) -> None:
    r = random.Random(seed)
    made = [SUMMED if checksums else FORMAT]
    for sequence in range(1, r.randint(2, 6)):
        made += [gtid_of_mysql(r, sequence), query(b"BEGIN")]
        made += [event for _ in range(r.randrange(4)) for event in (MAP, insert(r.randrange(5)))]
        made.append(COMMIT)
    stream = placed(made, checksums=checksums)
    decoder = BinlogDecoder()
    bodies = [decoder.decode(event).body for event in stream]
    names = [body.gtid for body in bodies if isinstance(body, MysqlBegin)]
    rows = [change for body in bodies if isinstance(body, Rows) for change in body.changes()]
    for one in twins:
        feeding = Feeding(one())
        seen = feeding.feed(stream)
        assert [transaction.gtid for transaction in ended(feeding)] == names
        assert sorted(rows_taken(seen)) == sorted(change.new for change in rows if change.new is not None)
