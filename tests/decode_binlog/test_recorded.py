"""The decoder against a real MariaDB server: its own binary logs, played into tables, give the rows it reads itself."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from decode_binlog.replay import Replay, events_of
from decode_binlog.scenarios import SCENARIOS, TEXTS
from tidegate.decode.binlog_cursor import Refused
from tidegate.decode.binlog_event import FormatDescription
from tidegate.decode.binlog_gtid import GtidList, MariadbBegin, Xid
from tidegate.decode.binlog_rows import Rows
from tidegate.decode.binlog_table import Column, Form, TableMap, Type
from tidegate.decode.binlog_values import float_text
from tidegate.decode.charset import BINARY, charset_of, reader_of
from tidegate.model.change import Cell, Row

HOME = Path(__file__).parent / "recorded"
REFUSED = {
    "statements": "a statement instead of rows",
    "encrypted": "encrypted",
    "times_old": "MariaDB's old format",
    "no_metadata": "binlog_row_metadata",
}


def log_of(name: str) -> bytes:
    return (HOME / f"{name}.bin").read_bytes()


def recorded(name: str) -> Any:
    return json.loads((HOME / f"{name}.json").read_text())


def maps_of(name: str) -> dict[str, TableMap]:
    return {event.body.name: event.body for event in events_of(log_of(name)) if isinstance(event.body, TableMap)}


def as_read(columns: tuple[Column, ...], row: list[str | None]) -> Row:
    """The server's text of a float in the grammar: the same digits, written otherwise."""
    return tuple(
        cell
        if cell is None or column.type not in (Type.FLOAT, Type.DOUBLE)
        else float_text(repr(float(cell)), 15)
        if column.type is Type.DOUBLE
        else f"single {float(cell)!r}"
        for column, cell in zip(columns, row, strict=True)
    )


def as_decoded(columns: tuple[Column, ...], row: Row) -> Row:
    """A single, for comparison, as the double it is."""

    def one(column: Column, cell: Cell) -> Cell:
        if column.type is not Type.FLOAT or not isinstance(cell, str):
            return cell
        return f"single {struct.unpack('<f', struct.pack('<f', float(cell)))[0]!r}"

    return tuple(one(column, cell) for column, cell in zip(columns, row, strict=True))


def completed(columns: tuple[Column, ...], table: str) -> tuple[Column, ...]:
    """What the log does not tell and a schema history does: labels under MINIMAL, and MariaDB's own types."""
    if table != "texts":
        return columns
    labels = {"enum_": ("a", "größe", "c,d"), "set_": ("x", "ü", "z")}
    labels["enum_many"] = tuple(f"n{n}" for n in range(300))
    labels["set_many"] = tuple(f"s{n}" for n in range(64))
    forms = {"uuid_": Form.UUID, "inet6_": Form.INET6, "inet4_": Form.INET4}
    names = [column.name for column in TEXTS.columns]
    return tuple(
        column._replace(labels=column.labels or labels.get(name), form=forms.get(name))
        for name, column in zip(names, columns, strict=True)
    )


@pytest.mark.parametrize("name", [each.name for each in SCENARIOS if each.name not in REFUSED])
def test_the_log_gives_the_rows_that_the_server_reads(name: str) -> None:
    expected = recorded(name)
    maps = maps_of(name)
    replay = Replay({table: completed(maps[table].columns, table) for table in maps}).play(log_of(name))

    for table, rows in expected["tables"].items():
        columns = maps[table].columns
        held = {as_decoded(columns, row) for row in replay.tables[table]}
        assert held == {as_read(columns, row) for row in rows}
        assert len(replay.tables[table]) == len(rows)


@pytest.mark.parametrize("name", [each.name for each in SCENARIOS if each.name not in REFUSED])
def test_the_log_ends_at_the_position_that_the_server_names(name: str) -> None:
    assert str(Replay().play(log_of(name)).position) == recorded(name)["gtid_position"]


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_what_cannot_be_had_exactly_is_refused_with_advice(name: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as caught:
        Replay().play(log_of(name))
    assert caught.value.advice


def test_columns_from_elsewhere_make_a_log_without_metadata_readable() -> None:
    maps = maps_of("no_metadata")
    full = maps_of("image_noblob")
    assert maps["small"].columns[0].unsigned is None

    replay = Replay({name: full[name].columns for name in maps}).play(log_of("no_metadata"))

    for table, rows in recorded("no_metadata")["tables"].items():
        assert set(replay.tables[table]) == {tuple(row) for row in rows}


def test_full_metadata_names_everything() -> None:
    (numbers,) = maps_of("numbers").values()
    assert [column.name for column in numbers.columns][:4] == ["id", "tiny", "tiny_u", "small"]
    assert [column.unsigned for column in numbers.columns][:4] == [False, False, True, False]
    assert numbers.key == ((0, 0),)
    assert [column.nullable for column in numbers.columns][:2] == [False, True]

    prefixed = maps_of("image_minimal")["prefixed"]
    assert prefixed.key == ((0, 5), (1, 0))
    # MariaDB does not tell which columns are invisible.
    assert [column.visible for column in prefixed.columns] == [None, None, None]

    (texts,) = maps_of("texts").values()
    found = {column.name: column for column in texts.columns}
    assert found["enum_"].labels == ("a", "größe", "c,d")
    assert found["set_"].labels == ("x", "ü", "z")
    assert charset_of(found["varchar_gbk"].collation or 0) == "gbk"
    assert found["blob_"].collation == BINARY
    assert found["geometry_"].geometry == 0


def test_xa_transactions_are_told_apart() -> None:
    begins = [event.body for event in events_of(log_of("transactions")) if isinstance(event.body, MariadbBegin)]
    prepared = [begin.prepares for begin in begins if begin.prepares]
    assert prepared == [Xid(5, b"gtrid", b"bqual"), Xid(1, b"gone", b"")]
    assert [begin.completes for begin in begins if begin.completes] == prepared
    assert {begin.gtid.domain for begin in begins} == {0, 3}
    assert {begin.gtid.server for begin in begins} == {7, 9}
    assert any(begin.ddl and begin.standalone for begin in begins)


def test_a_file_says_who_wrote_it_and_what_came_before() -> None:
    first, second, *_ = (event.body for event in events_of(log_of("numbers")))
    assert isinstance(first, FormatDescription)
    assert first.mariadb
    assert first.checksums
    assert first.server_version.startswith("10.11.")
    assert isinstance(second, GtidList)
    unchecked = next(events_of(log_of("numbers_minimal"))).body
    assert isinstance(unchecked, FormatDescription)
    assert not unchecked.checksums


def test_singles_are_written_as_postgresql_writes_them() -> None:
    rows = [event.body for event in events_of(log_of("numbers")) if isinstance(event.body, Rows)]
    at = next(i for i, column in enumerate(maps_of("numbers")["numbers"].columns) if column.name == "single_")
    shown = {change.new[at] for each in rows for change in each.changes() if change.new}
    assert shown >= {"0.1", "1e-45", "1.6777216e+07", "1e-05", "123456", "0", "3.4028235e+38", None}


@pytest.mark.parametrize("charset", recorded("charsets"))
def test_each_byte_of_a_character_set_reads_as_the_server_converts_it(charset: str) -> None:
    read = reader_of(charset)
    for byte, character in enumerate(recorded("charsets")[charset]):
        # The server has no character for it.
        if character != "\ufffd":
            assert read(bytes([byte])) == character, f"byte {byte:#x}"


def test_each_collation_of_the_server_is_known() -> None:
    assert {number: charset_of(int(number)) for number in recorded("collations")} == recorded("collations")
