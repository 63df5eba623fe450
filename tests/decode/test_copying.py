"""What the compiled library makes of texts is, to the server, what it makes of them itself; or the library refuses."""

from __future__ import annotations

import datetime
import struct
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decode.conftest import LACKING
from tidegate.decode.copying import HEADER, TRAILER, Copying, Form
from tidegate.targets.postgres.sending import FORMS, Sending, forms_of
from tidegate.testing.servers import PostgresServer

pytestmark = pytest.mark.skipif(bool(LACKING), reason=LACKING)

DATABASE = "copying"
UTF8 = st.characters(codec="utf-8", exclude_characters="\0")


def digits(most: int) -> st.SearchStrategy[str]:
    return st.from_regex(rf"\A-?[0-9]{{1,{most}}}\Z").filter(str.isascii)


def clocks(zone: bool = False) -> st.SearchStrategy[str]:
    fraction = st.sampled_from(["", ".5", ".000001", ".999999", ".1234"])
    offset = st.sampled_from(["+00", "-08", "+05:30", "-00:53:28", "+14"]) if zone else st.just("")
    return st.builds(lambda at, behind, ahead: f"{at:%H:%M:%S}{behind}{ahead}", st.times(), fraction, offset)


dates = st.dates(min_value=datetime.date(1, 1, 2), max_value=datetime.date(9999, 12, 30)).map(lambda day: f"{day}")
dates = dates | st.sampled_from(["0001-01-02", "1900-02-28", "1900-03-01", "2000-02-29", "1999-12-31", "2000-01-01"])

TEXTS: dict[str, st.SearchStrategy[str]] = {
    "boolean": st.sampled_from("tf"),
    "smallint": st.integers(-(2**15), 2**15 - 1).map(str),
    "integer": st.integers(-(2**31), 2**31 - 1).map(str),
    "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
    "real": st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda number: f"{number!r}"),
    "double precision": st.floats(allow_nan=False, allow_infinity=False).map(repr) | digits(30),
    "numeric": digits(45) | st.builds(lambda whole, behind: f"{whole}.{behind.lstrip('-')}", digits(30), digits(30)),
    "numeric(20,4)": st.builds(lambda whole, behind: f"{whole}.{behind.lstrip('-')}", digits(12), digits(9)),
    "text": st.text(UTF8),
    "character varying(20)": st.text(UTF8, max_size=20),
    "character(5)": st.text(UTF8, max_size=5),
    "json": st.sampled_from(['{"a" :  1, "a": 2}', "[]", '"é"', "null"]),
    "jsonb": st.sampled_from(['{"a" :  1, "a": 2}', "[]", '"é"', "null", "1e10"]),
    "bytea": st.binary().map(lambda value: f"\\x{value.hex()}"),
    "uuid": st.uuids().map(str),
    "date": dates,
    "time without time zone": clocks(),
    "timestamp without time zone": st.builds("{} {}".format, dates, clocks()),
    "timestamp(2) without time zone": st.builds("{} {}".format, dates, clocks()),
    "timestamp with time zone": st.builds("{} {}".format, dates, clocks(zone=True)),
}


@pytest.fixture(scope="module")
def connection(postgres_newest: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    postgres_newest.create_database(DATABASE)
    with postgres_newest.connect(DATABASE) as connection:
        connection.execute("create domain money_like as numeric(20, 4)")
        yield connection
    postgres_newest.drop_database(DATABASE)


def loaded(
    connection: psycopg.Connection[Any], table: str, type: str, texts: list[str | None], *, binary: bool
) -> None:
    connection.execute(f"drop table if exists {table}; create temporary table {table} (n int, v {type})".encode())
    batch = pa.record_batch({"n": [str(n) for n in range(len(texts))], "v": pa.array(texts, pa.string())})
    with connection.cursor() as cursor:
        forms = forms_of(cursor, table)
        assert forms.keys() == {"n", "v"}
        sending, names = Sending(), batch.schema.names
        pieces = sending.begin(names, [batch], forms if binary else None)
        sent, taken = sending.send(cursor, table, names, pieces)
    assert sent == taken == len(texts)


@pytest.mark.parametrize("type", TEXTS)
def test_the_server_has_the_same_values_either_way(type: str, connection: psycopg.Connection[Any]) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(TEXTS[type] | st.none(), min_size=1, max_size=40))
    def agree(texts: list[str | None]) -> None:
        form = FORMS[oid_of(connection, type)]
        assert Copying().rows(pa.record_batch({"v": pa.array(texts, pa.string())}), [form], 0, len(texts)) is not None
        loaded(connection, "plain", type, texts, binary=False)
        loaded(connection, "packed", type, texts, binary=True)
        others = connection.execute(
            "select p.v::text, b.v::text from plain p join packed b using (n)"
            " where not record_image_eq(row(p.v), row(b.v))"
        )
        assert others.fetchall() == []

    agree()


def oid_of(connection: psycopg.Connection[Any], type: str) -> int:
    row = connection.execute("select %s::regtype::oid::int8", (type,)).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (Form.BOOL, "true"),
        (Form.INT2, "32768"),
        (Form.INT4, "2147483648"),
        (Form.INT8, "9223372036854775808"),
        (Form.INT8, "-9223372036854775809"),
        (Form.INT8, ""),
        (Form.INT8, "-"),
        (Form.INT8, "+1"),
        (Form.INT8, "1 "),
        (Form.INT8, "0x10"),
        (Form.FLOAT8, "NaN"),
        (Form.FLOAT8, "Infinity"),
        (Form.FLOAT8, "1e400"),
        (Form.FLOAT8, "1e-400"),
        (Form.FLOAT4, "1e39"),
        (Form.FLOAT4, "1e-60"),
        (Form.NUMERIC, "NaN"),
        (Form.NUMERIC, "1e3"),
        (Form.NUMERIC, "1."),
        (Form.NUMERIC, ".5"),
        (Form.NUMERIC, "--1"),
        (Form.NUMERIC, "9" * 4001),
        (Form.BYTEA, "\\x0"),
        (Form.BYTEA, "\\x0g"),
        (Form.BYTEA, "abc"),
        (Form.DATE, "0044-03-15 BC"),
        (Form.DATE, "infinity"),
        (Form.DATE, "10000-01-01"),
        (Form.DATE, "0000-01-01"),
        (Form.DATE, "2023-02-29"),
        (Form.DATE, "2023-13-01"),
        (Form.DATE, "2023-04-31"),
        (Form.DATE, "2023-1-01"),
        (Form.TIME, "24:00:00"),
        (Form.TIME, "23:60:00"),
        (Form.TIME, "23:59:60"),
        (Form.TIME, "23:59"),
        (Form.TIME, "23:59:59.1234567"),
        (Form.TIME, "23:59:59."),
        (Form.TIMESTAMP, "2023-01-01T00:00:00"),
        (Form.TIMESTAMP, "2023-01-01 00:00:00+00"),
        (Form.TIMESTAMP, "-infinity"),
        (Form.TIMESTAMPTZ, "2023-01-01 00:00:00"),
        (Form.TIMESTAMPTZ, "2023-01-01 00:00:00+16"),
        (Form.TIMESTAMPTZ, "2023-01-01 00:00:00 UTC"),
        (Form.UUID, uuid.UUID(int=1).hex),
        (Form.UUID, "{00000000-0000-0000-0000-000000000001}"[:36]),
        (Form.UUID, "0000000--0000-0000-0000-000000000001"),
    ],
)
def test_what_is_not_plain_is_left_to_the_server(form: Form, text: str) -> None:
    assert Copying().rows(pa.record_batch({"v": ["1", text]}), [form], 1, 2) is None


def test_rows_are_those_asked_for_also_of_a_slice_with_nulls() -> None:
    batch = pa.record_batch({"v": ["a", None, "ccc", None, "e"]}).slice(1, 4)
    assert Copying().rows(batch, [Form.TEXT], 0, 2) == b"\0\1\xff\xff\xff\xff" + b"\0\1\0\0\0\3ccc"
    assert Copying().rows(batch, [Form.TEXT], 2, 9) == b"\0\1\xff\xff\xff\xff" + b"\0\1\0\0\0\1e"


@given(st.lists(st.text(), max_size=5), st.sampled_from(Form))
def test_no_text_makes_it_fail(texts: list[str], form: Form) -> None:
    batch = pa.record_batch({"v": pa.array(texts, pa.string())})
    rows = Copying().rows(batch, [form], 0, len(texts))
    assert rows is None or rows.startswith(struct.pack(">h", 1) * min(1, len(texts)))


def test_rows_that_the_server_must_read_go_as_texts_between_others(connection: psycopg.Connection[Any]) -> None:
    connection.execute("drop table if exists mixed; create temporary table mixed (n int, day date, due money_like)")
    days = ["2023-01-01", "0044-03-15 BC", "infinity", "2023-01-02", None]
    batches = [
        pa.record_batch({"n": [str(n)], "day": pa.array([day], pa.string()), "due": ["1.23456"]})
        for n, day in enumerate(days)
    ]
    with connection.cursor() as cursor:
        sending = Sending()
        names = ["n", "day", "due"]
        pieces = sending.begin(names, batches, forms_of(cursor, "mixed"))
        assert sending.send(cursor, "mixed", names, pieces) == (5, 5)
    found = connection.execute("select day::text, due::text from mixed order by n").fetchall()
    assert found == [(day, "1.2346") for day in days]


def test_header_and_trailer_are_those_of_an_empty_copy(connection: psycopg.Connection[Any]) -> None:
    with connection.cursor().copy("copy (select 1 where false) to stdout (format binary)") as copy:
        assert b"".join(bytes(piece) for piece in copy) == HEADER + TRAILER
