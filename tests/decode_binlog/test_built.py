"""Events that no server here writes, built from the published formats: MySQL's own, heartbeats, and refusals."""

from __future__ import annotations

import struct
import sys
import uuid

import pytest

from decode_binlog import wire
from tidegate.decode.binlog import BinlogDecoder, Body, Payload, Rows, file_events
from tidegate.decode.binlog_cursor import Malformed, Refused
from tidegate.decode.binlog_event import Heartbeat, Incident, Query, Rotate, Stop, XaPrepare
from tidegate.decode.binlog_gtid import MysqlBegin, PreviousGtids, Xid
from tidegate.decode.binlog_rows import NO_TABLE, RowChange
from tidegate.decode.binlog_table import TableMap
from tidegate.decode.gtid import MysqlGtid
from tidegate.model.change import UNCHANGED

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SERVER = uuid.UUID("3e11fa47-71ca-11e1-9e33-c80aa9429562")
QUERY = bytes(8) + b"\x01" + bytes(2) + b"\x03\0" + b"xyz" + b"s\0" + b"BEGIN"


def mysql() -> BinlogDecoder:
    decoder = BinlogDecoder()
    decoder.decode(wire.format_description("8.4.0"))
    return decoder


def decoded(*events: bytes) -> Body | None:
    decoder = mysql()
    return [decoder.decode(each) for each in events][-1].body


def changes(*events: bytes) -> list[RowChange]:
    body = decoded(*events)
    assert isinstance(body, Rows)
    return list(body.changes())


def test_a_rotation_names_the_next_file() -> None:
    assert decoded(wire.event(4, struct.pack("<Q", 4) + b"log.000002")) == Rotate("log.000002", 4)


def test_heartbeats_say_where_the_server_stands() -> None:
    assert decoded(wire.event(27, b"log.000002")) == Heartbeat("log.000002", None)
    second = b"\x01" + wire.sized(b"log.000003") + b"\x02" + wire.sized(wire.packed(5_000_000_000)) + b"\0"
    assert decoded(wire.event(41, second)) == Heartbeat("log.000003", 5_000_000_000)


def test_a_stop_and_an_incident_are_told() -> None:
    assert decoded(wire.event(3, b"")) == Stop()
    assert decoded(wire.event(26, b"\x01\0" + b"\x04lost")) == Incident(1)


def test_a_statement_has_its_schema_and_its_text() -> None:
    assert decoded(wire.event(2, QUERY)) == Query("s", "BEGIN", 0)


@pytest.mark.parametrize(
    ("variables", "encoding"),
    [
        (b"", "utf-8"),
        (b"\x00" + bytes(4) + b"\x01" + bytes(8) + b"\x06\x03std\x04" + struct.pack("<HHH", 8, 8, 33), "cp1252"),
        (b"\x03" + bytes(4) + b"\x04" + struct.pack("<HHH", 28, 28, 33), "gbk"),
        (b"\x04" + struct.pack("<HHH", 45, 45, 33), "utf-8"),
        (b"\x07" + bytes(2) + b"\x04" + struct.pack("<HHH", 8, 8, 33), "utf-8"),
    ],
)
def test_a_statement_is_read_in_its_clients_character_set(variables: bytes, encoding: str) -> None:
    """A table's name is in it: a truncated `tablé` must not pass for another table."""
    text = "truncate table `tab\xe9\u4e57`" if encoding == "gbk" else "truncate table `tabl\xe9`"
    body = struct.pack("<IIBHH", 1, 0, 1, 0, len(variables)) + variables + b"s\0" + text.encode(encoding)
    assert decoded(wire.event(2, body)) == Query("s", text, 0)


@pytest.mark.parametrize(
    ("sql_mode", "strict"), [(0, False), (1 << 21, True), (1 << 22, True), (1 << 20 | 1 << 23, False)]
)
def test_a_statement_says_whether_its_session_refuses_what_does_not_fit(sql_mode: int, strict: bool) -> None:
    variables = (
        b"\x00" + bytes(4) + b"\x01" + sql_mode.to_bytes(8, "little") + b"\x04" + struct.pack("<HHH", 45, 45, 33)
    )
    body = struct.pack("<IIBHH", 1, 0, 1, 0, len(variables)) + variables + b"s\0alter table t"
    assert decoded(wire.event(2, body)) == Query("s", "alter table t", 0, strict)


def test_an_xa_prepare_has_its_name() -> None:
    body = struct.pack("<BIII", 1, 5, 3, 2) + b"abc" + b"de"
    assert decoded(wire.event(38, body)) == XaPrepare(Xid(5, b"abc", b"de"), one_phase=True)


def test_a_gtid_of_mysql_5_7_has_no_time() -> None:
    assert decoded(wire.gtid(SERVER, 7)) == MysqlBegin(MysqlGtid((str(SERVER), ""), 7), None, None)


def test_a_gtid_of_mysql_8_says_when_and_how_much() -> None:
    at = 1_700_000_000_123_456
    tail = at.to_bytes(7, "little") + wire.packed(70_000) + struct.pack("<I", 80_400)
    assert decoded(wire.gtid(SERVER, 7, tail=tail)) == MysqlBegin(MysqlGtid((str(SERVER), ""), 7), at, 70_000)
    replicated = (at | 1 << 55).to_bytes(7, "little") + bytes(7) + wire.packed(300)
    assert decoded(wire.gtid(SERVER, 7, tail=replicated)) == MysqlBegin(MysqlGtid((str(SERVER), ""), 7), at, 300)


def test_an_anonymous_transaction_has_no_gtid() -> None:
    assert decoded(wire.gtid(uuid.UUID(int=0), 0, kind=34)) == MysqlBegin(None, None, None)


@pytest.mark.parametrize("later", [b"", wire.varlen(11) + b"\x02\x03"], ids=["known", "with a field of later versions"])
def test_a_tagged_gtid_has_its_tag(later: bytes) -> None:
    event = wire.tagged_gtid(SERVER, "blue_1", 2**40, 1_700_000_000_123_456, 337, later)
    expected = MysqlBegin(MysqlGtid((str(SERVER), "blue_1"), 2**40), 1_700_000_000_123_456, 337)
    assert decoded(event) == expected


def test_previous_gtids_are_a_set() -> None:
    intervals = struct.pack("<Q4q", 2, 1, 6, 8, 9)
    plain = decoded(wire.event(35, struct.pack("<Q", 1) + SERVER.bytes + intervals))
    assert isinstance(plain, PreviousGtids)
    assert str(plain.gtids) == f"{SERVER}:1-5:8"

    two = SERVER.bytes + wire.varlen(0) + intervals + SERVER.bytes + wire.varlen(3) + b"tag" + intervals
    tagged = decoded(wire.event(35, struct.pack("<Q", 1 << 56 | 2 << 8 | 1) + two))
    assert isinstance(tagged, PreviousGtids)
    assert str(tagged.gtids) == f"{SERVER}:1-5:8:tag:1-5:8"


# Columns of MySQL: int unsigned, year, json, vector, geometry, varchar. GEOMETRY and VECTOR are counted otherwise than
# by MariaDB.
TYPES = (3, 13, 245, 242, 255, 15)
METADATA = b"\x04\x04\x04" + struct.pack("<H", 40)
OPTIONAL = ((1, b"\x80"), (2, wire.packed(255)), (13, b"\x02"), (12, b"\xf8"), (7, b"\x01"))
MAP = wire.table_map(TYPES, METADATA, OPTIONAL)
VECTOR = struct.pack("<2f", 1.0, -2.0)


def row(number: int, document: bytes) -> bytes:
    body = struct.pack("<IB", number, 124) + struct.pack("<I", len(document)) + document
    return b"\0" + body + struct.pack("<I", 8) + VECTOR + struct.pack("<I", 2) + b"\x01\x02" + b"\x02hi"


def expected(number: int, document: str) -> tuple[str, ...]:
    return str(number), "2024", document, "\\x" + VECTOR.hex(), "\\x0102", "hi"


EMPTY = wire.document(wire.json_container([], []))


def test_a_table_map_of_mysql_has_its_own_order_of_metadata() -> None:
    table = decoded(MAP)
    assert isinstance(table, TableMap)
    assert [column.unsigned for column in table.columns] == [True, None, None, None, None, None]
    assert [column.collation for column in table.columns] == [None] * 3 + [255, None, 255]
    assert [column.dimensions for column in table.columns] == [None] * 3 + [2, None, None]
    assert [column.geometry for column in table.columns] == [None] * 4 + [1, None]
    assert [column.visible for column in table.columns] == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("bits", "signs"),
    [
        (b"\x60", [False, True, True, False]),  # as MySQL 9.7 has it: YEAR is counted, and has no sign
        (b"\x80", [True, None, False, False]),  # it is not counted
        (b"\x00", [False, None, False, False]),
    ],
)
def test_signs_are_those_of_the_numbers_whether_a_year_is_counted_or_not(bits: bytes, signs: list[bool | None]) -> None:
    table = decoded(wire.table_map((3, 13, 3, 3), b"", [(1, bits)]))
    assert isinstance(table, TableMap)
    assert [column.unsigned for column in table.columns] == signs


def test_rows_of_version_2_are_read_behind_their_extra_data() -> None:
    insert = wire.rows(30, 6, [0x3F], row(4_000_000_000, EMPTY) + row(1, EMPTY), extra=b"\0\x05abc")
    assert changes(MAP, insert) == [
        RowChange(None, expected(4_000_000_000, "{}")),
        RowChange(None, expected(1, "{}")),
    ]


def test_an_update_of_version_2_may_leave_columns_out() -> None:
    update = wire.rows(31, 6, [0x01, 0x22], b"\0" + struct.pack("<I", 5) + b"\x01" + b"\x02yo")
    rest = (UNCHANGED,) * 3
    assert changes(MAP, update) == [
        RowChange(("5", UNCHANGED, UNCHANGED, *rest), (UNCHANGED, None, UNCHANGED, UNCHANGED, UNCHANGED, "yo"))
    ]


def test_a_delete_of_version_2_has_the_old_row() -> None:
    assert changes(MAP, wire.rows(32, 6, [0x3F], row(5, EMPTY))) == [RowChange(expected(5, "{}"), None)]


def test_bits_beyond_the_last_column_mean_nothing() -> None:
    # Nine columns, of which two are present: counted as columns, the stray bits would need a second byte for NULLs.
    table = wire.table_map((1,) * 9, b"", [(1, bytes(2))])
    insert = wire.rows(30, 9, [0xFE03], b"\xfc\x05\x06")
    assert changes(table, insert) == [RowChange(None, ("5", "6", *(UNCHANGED,) * 7))]


def test_the_end_of_a_statement_may_come_without_rows() -> None:
    body = decoded(MAP, wire.rows(31, 0, [0, 0], b"", table_id=NO_TABLE))
    assert isinstance(body, Rows)
    assert body.ends_statement
    assert list(body.changes()) == []


def test_rows_that_are_all_defaults_are_refused_not_lost() -> None:
    with pytest.raises(Refused, match="without columns"):
        decoded(MAP, wire.rows(30, 6, [0], b""))


def test_rows_after_the_end_of_a_statement_need_a_new_table_map() -> None:
    insert = wire.rows(30, 6, [0x3F], row(1, EMPTY))
    with pytest.raises(Malformed, match="no table map"):
        decoded(MAP, insert, insert)


def partial(differences: bytes, *, bits: int = 1, old_present: int = 0x3F) -> bytes:
    base = wire.json_container([(5, struct.pack("<h", 1)), wire.json_container([(4, b"\x01")])], ["a", "list"])
    old = row(1, wire.document(base)) if old_present == 0x3F else b"\0" + struct.pack("<I", 1)
    after = b"\0" + struct.pack("<I", len(differences)) + differences
    return wire.rows(39, 6, [old_present, 0x04], old + b"\x01" + bytes([bits]) + after)


def difference(operation: int, path: str, value: bytes | None = None) -> bytes:
    return bytes([operation]) + wire.sized(path.encode()) + (b"" if value is None else wire.sized(value))


@pytest.mark.parametrize(
    ("differences", "document"),
    [
        (difference(0, "$.a", wire.document((5, struct.pack("<h", -7)))), '{"a": -7, "list": [true]}'),
        (difference(1, "$.list[0]", wire.document(wire.json_text("é"))), '{"a": 1, "list": ["é", true]}'),
        (difference(1, '$."b c"', wire.document((4, b"\0"))), '{"a": 1, "b c": null, "list": [true]}'),
        (difference(2, "$.list[0]") + difference(2, "$.a"), '{"list": []}'),
        (difference(0, "$", wire.document((4, b"\x02"))), "false"),
        (b"", '{"a": 1, "list": [true]}'),
    ],
)
def test_differences_make_the_new_document_of_the_old(differences: bytes, document: str) -> None:
    (change,) = changes(MAP, partial(differences))
    assert change.old is not None
    assert change.new is not None
    assert change.old[2] == '{"a": 1, "list": [true]}'
    assert change.new[2] == document
    assert change.new[0] is UNCHANGED


def test_a_whole_document_in_a_partial_update_stays_whole() -> None:
    (change,) = changes(MAP, partial(EMPTY, bits=0))
    assert change.new is not None
    assert change.new[2] == "{}"


def test_differences_of_a_document_that_the_log_left_out_are_refused() -> None:
    with pytest.raises(Refused, match="binlog_row_value_options"):
        changes(MAP, partial(difference(2, "$.a"), old_present=0x01))


def payload(compression: int, held: bytes, size: int) -> bytes:
    fields = ((2, wire.packed(compression)), (3, wire.packed(size)), (1, wire.packed(len(held))))
    return wire.event(40, b"".join(bytes([kind]) + wire.sized(raw) for kind, raw in fields) + b"\0" + held)


def test_the_events_of_a_packed_transaction_are_read() -> None:
    inner = MAP + wire.rows(30, 6, [0x3F], row(1, EMPTY))
    body = decoded(payload(255, inner, len(inner)))
    assert isinstance(body, Payload)
    table, insert = (event.body for event in body.events)
    assert isinstance(table, TableMap)
    assert isinstance(insert, Rows)
    assert list(insert.changes()) == [RowChange(None, expected(1, "{}"))]


def compressed(events: bytes, *, size: int | None = None) -> bytes:
    return payload(0, zstd.compress(events), len(events) if size is None else size)


def test_a_transaction_compressed_with_zstandard_is_read_as_it_was_written() -> None:
    whole = row(1, EMPTY) * 5_000
    inner = MAP + wire.rows(30, 6, [0x3F], whole) + wire.event(16, bytes(8))
    body = decoded(compressed(inner))
    assert isinstance(body, Payload)
    assert [event.header.kind for event in body.events] == [19, 30, 16]
    insert = body.events[1].body
    assert isinstance(insert, Rows)
    assert list(insert.changes()) == [RowChange(None, expected(1, "{}"))] * 5_000


def test_tables_of_a_compressed_transaction_are_its_own() -> None:
    """A payload has whole statements, so none of its tables is known behind it."""
    decoder = mysql()
    decoder.decode(compressed(MAP + wire.rows(30, 6, [0x3F], row(1, EMPTY))))
    assert dict(decoder.tables) == {}


@pytest.mark.parametrize("size", [-1, 1])
def test_a_compressed_transaction_of_another_size_than_it_says_is_malformed(size: int) -> None:
    with pytest.raises(Malformed, match="not of"):
        decoded(compressed(MAP, size=len(MAP) + size))


@pytest.mark.parametrize("broken", ["cut", "unsealed", "bent", "followed", "bomb"])
def test_a_compressed_transaction_that_is_broken_is_malformed(broken: str) -> None:
    held = zstd.compress(MAP)
    held = {
        "cut": held[:-1],
        "unsealed": zstd.compress(MAP, options={zstd.CompressionParameter.checksum_flag: 1})[:-4],
        "bent": b"\x00" + held[1:],
        "followed": held + b"more",
        "bomb": zstd.compress(bytes(1 << 24)),
    }[broken]
    with pytest.raises(Malformed, match="compressed"):
        decoded(payload(0, held, len(MAP)))


@pytest.mark.parametrize("size", [(1 << 30) + 1, None])
def test_a_compressed_transaction_of_no_sensible_size_is_malformed(size: int | None) -> None:
    held = zstd.compress(MAP)
    fields = [(2, wire.packed(0)), (1, wire.packed(len(held))), *([(3, wire.packed(size))] if size else [])]
    event = wire.event(40, b"".join(bytes([kind]) + wire.sized(raw) for kind, raw in fields) + b"\0" + held)
    with pytest.raises(Malformed, match="no sensible size"):
        decoded(event)


def test_a_packed_transaction_within_another_is_malformed() -> None:
    inner = payload(255, b"", 0)
    with pytest.raises(Malformed):
        decoded(payload(255, inner, len(inner)))


@pytest.mark.parametrize("kind", [5, 13, 14])
def test_statement_format_is_refused_with_advice(kind: int) -> None:
    with pytest.raises(Refused, match="binlog_format = ROW"):
        decoded(wire.event(kind, b"whatever"))


def test_an_unknown_event_is_passed_over_only_if_it_says_so() -> None:
    assert decoded(wire.event(99, b"x", flags=0x80)) is None
    with pytest.raises(Malformed, match="unknown kind"):
        decoded(wire.event(99, b"x"))


@pytest.mark.parametrize("kind", [28, 29, 36, 37, 160, 161])
def test_events_that_say_nothing_about_rows_are_passed_over(kind: int) -> None:
    assert decoded(wire.event(kind, b"x")) is None


def test_a_wrong_checksum_is_malformed() -> None:
    decoder = BinlogDecoder()
    decoder.decode(wire.format_description("8.4.0", checksum=True))
    right = wire.event(2, QUERY, checksum=True)
    assert decoder.decode(right).body == Query("s", "BEGIN", 0)
    wrong = bytearray(right)
    wrong[-5] ^= 1
    with pytest.raises(Malformed, match="checksum"):
        decoder.decode(bytes(wrong))


def test_a_file_still_open_has_the_checksum_of_a_closed_one() -> None:
    assert BinlogDecoder().decode(wire.format_description("8.4.0", checksum=True, flags=1)).body is not None


def test_a_stream_may_have_checksums_before_its_format_description() -> None:
    event = wire.event(4, struct.pack("<Q", 4) + b"log.000002", checksum=True)
    assert BinlogDecoder(checksums=True).decode(event).body == Rotate("log.000002", 4)


def test_a_file_that_is_none_is_malformed() -> None:
    with pytest.raises(Malformed, match="not a binary log"):
        list(file_events(b"PAR1"))
    with pytest.raises(Malformed):
        list(file_events(b"\xfebin" + wire.event(2, QUERY)[:-1]))


@pytest.mark.parametrize(("code", "why"), [(243, "type 243 is not known"), (20, "type TYPED_ARRAY cannot")])
def test_a_type_that_cannot_be_read_is_refused_with_its_column_and_table(code: int, why: str) -> None:
    names = (4, b"".join(map(wire.sized, (b"id", b"odd"))))
    with pytest.raises(Refused, match=rf"column odd of s\.t: its {why}"):
        decoded(wire.table_map((3, code), b"", [(1, b"\0"), names]))
    with pytest.raises(Refused, match=r"column number 2 of s\.t"):
        decoded(wire.table_map((3, code), b"", [(1, b"\0")]))


def test_an_unknown_collation_and_a_set_that_python_lacks_are_refused() -> None:
    for collation in (5000, 6):
        table = wire.table_map((15,), struct.pack("<H", 40), [(2, wire.packed(collation))])
        with pytest.raises(Refused, match="column number 1 of insert rows"):
            changes(table, wire.rows(30, 1, [1], b"\0\x02hi"))


# What MariaDB 10.11 makes of these bytes. Python alone reads the wide backslash as another character.
@pytest.mark.parametrize(
    ("collation", "raw", "text"),
    [
        (13, b"\x81\x5f\x83\x5c\xb1", "\\ソｱ"),
        (12, b"\xa1\xc0\xa5\xbd", "\\ソ"),
        (28, b"\xca\xfd", "数"),
        (19, b"\x81\x41", "갂"),
        (95, b"\x87\x40", "①"),
        (249, b"\x81\x30\x84\x36", "¥"),
    ],
)
def test_characters_of_several_bytes_are_read_as_the_server_reads_them(collation: int, raw: bytes, text: str) -> None:
    table = wire.table_map((15,), struct.pack("<H", 40), [(2, wire.packed(collation))])
    (change,) = changes(table, wire.rows(30, 1, [1], b"\0" + bytes([len(raw)]) + raw))
    assert change.new == (text,)


def test_a_text_that_is_not_of_its_set_is_refused_without_showing_it() -> None:
    table = wire.table_map((15,), struct.pack("<H", 40), [(2, wire.packed(255)), (4, wire.sized(b"secret"))])
    with pytest.raises(Refused, match="column secret") as caught:
        changes(table, wire.rows(30, 1, [1], b"\0\x02a\xff"))
    assert "xff" not in str(caught.value)
    assert "\\" not in str(caught.value)
