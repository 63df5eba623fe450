"""Numbers and times in the binary log against other ways to the same text."""

from __future__ import annotations

import struct
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidegate.decode import binlog_values
from tidegate.decode.binlog_column import value_reader
from tidegate.decode.binlog_cursor import Cursor, Malformed, Refused
from tidegate.decode.binlog_table import Column, Type


def read(column: Column, raw: bytes) -> str:
    cursor = Cursor(raw, "value")
    text = value_reader(column)(cursor)
    cursor.done()
    return text


SINGLE = Column(Type.FLOAT, 4, 0, True)
DOUBLE = Column(Type.DOUBLE, 8, 0, True)


@settings(deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(2.0**-44)
@example(1.1754943508222875e-38)
@example(9007199254740992.0)
@example(151096.125)
@example(1531852.25)
@example(1531852.75)
def test_a_single_has_the_fewest_digits_that_read_back(number: float) -> None:
    shown = read(SINGLE, struct.pack("<f", number))
    assert struct.pack("<f", float(shown)) == struct.pack("<f", number)
    other = pa.array([number], pa.float32()).cast(pa.string())[0].as_py()
    assert Decimal(shown) == Decimal(other)


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_has_the_fewest_digits_that_read_back(number: float) -> None:
    shown = read(DOUBLE, struct.pack("<d", number))
    assert struct.pack("<d", float(shown)) == struct.pack("<d", number)
    assert Decimal(shown) == Decimal(repr(number))


@pytest.mark.parametrize(
    ("number", "single", "double"),
    [
        (0.0, "0", "0"),
        (-0.0, "-0", "-0"),
        (100000.0, "100000", "100000"),
        (1000000.0, "1e+06", "1000000"),
        (1e14, "1e+14", "100000000000000"),
        (1e15, "1e+15", "1e+15"),
        (0.0001220703125, "0.00012207031", "0.0001220703125"),
        (2.0**-20, "9.536743e-07", "9.5367431640625e-07"),
        (float("inf"), "Infinity", "Infinity"),
        (float("nan"), "NaN", "NaN"),
    ],
)
def test_floats_are_written_as_postgresql_writes_them(number: float, single: str, double: str) -> None:
    assert read(SINGLE, struct.pack("<f", number)) == single
    assert read(DOUBLE, struct.pack("<d", number)) == double


def packed_decimal(number: Decimal, precision: int, scale: int) -> bytes:
    """As the format has it, made another way: group by group from the digits' text."""
    whole, _, fraction = f"{number.copy_abs():0{precision + 1 + (scale > 0)}.{scale}f}".partition(".")
    whole = whole.rjust(precision - scale, "0")[-(precision - scale) :] if precision > scale else ""
    lead = len(whole) % 9
    groups = [whole[:lead], *(whole[at : at + 9] for at in range(lead, len(whole), 9))]
    groups += [fraction[at : at + 9] for at in range(0, len(fraction), 9)]
    sizes = {0: 0, 1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 6: 3, 7: 4, 8: 4, 9: 4}
    raw = bytearray(b"".join(int(group).to_bytes(sizes[len(group)], "big") for group in groups if group))
    if number < 0:
        raw = bytearray(byte ^ 0xFF for byte in raw)
    raw[0] ^= 0x80
    return bytes(raw)


@settings(deadline=None)
@given(st.data())
def test_a_decimal_keeps_every_digit(data: st.DataObject) -> None:
    precision = data.draw(st.integers(1, 65))
    scale = data.draw(st.integers(0, min(precision, 38)))
    digits = data.draw(st.integers(-(10**precision) + 1, 10**precision - 1))
    number = Decimal(f"{digits}e-{scale}")
    shown = read(Column(Type.NEWDECIMAL, precision, scale, True), packed_decimal(number, precision, scale))
    assert Decimal(shown) == number
    assert len(shown.partition(".")[2]) == scale


def test_a_group_with_more_digits_than_nine_is_malformed() -> None:
    with pytest.raises(Malformed, match="digits"):
        read(Column(Type.NEWDECIMAL, 9, 0, True), b"\xff\xff\xff\xff")


@pytest.mark.parametrize(
    ("type_", "decimals", "raw", "text"),
    [
        (Type.TIMESTAMP, 0, struct.pack("<I", 1_000_000_000), "2001-09-09 01:46:40+00"),
        (Type.TIMESTAMP, 0, bytes(4), "0000-00-00 00:00:00"),
        (Type.DATETIME, 0, struct.pack("<Q", 20240229235958), "2024-02-29 23:59:58"),
        (Type.DATETIME, 0, bytes(8), "0000-00-00 00:00:00"),
        (Type.TIME, 0, (8385959).to_bytes(3, "little"), "838:59:59"),
        (Type.TIME, 0, (-13000).to_bytes(3, "little", signed=True), "-01:30:00"),
        # MariaDB from 11.5 counts seconds up to 2106.
        (Type.TIMESTAMP2, 0, b"\xff\xff\xff\xff", "2106-02-07 06:28:15+00"),
    ],
)
def test_old_times_and_late_ones_are_read(type_: Type, decimals: int, raw: bytes, text: str) -> None:
    assert read(Column(type_, 0, decimals, True), raw) == text


@pytest.mark.parametrize(
    ("type_", "raw"),
    [
        (Type.DATE, (31 << 9 | 13 << 5 | 1).to_bytes(3, "little")),
        (Type.TIME2, (0x800000 + 60).to_bytes(3, "big")),
        (Type.DATETIME2, bytes(5)),
        (Type.DATETIME, struct.pack("<Q", 2**63)),
        (Type.TIME, (6100).to_bytes(3, "little")),
    ],
)
def test_a_time_that_cannot_be_is_malformed(type_: Type, raw: bytes) -> None:
    with pytest.raises(Malformed):
        read(Column(type_, 0, 0, True), raw)


def test_more_than_a_seconds_fraction_is_malformed() -> None:
    with pytest.raises(Malformed, match="fraction"):
        binlog_values.time(Cursor(b"\x80\x00\x00\xff", "time"), 2)


def test_without_its_label_an_enum_and_a_set_are_numbers() -> None:
    assert read(Column(Type.ENUM, 2, 0, True), b"\x2c\x01") == "300"
    assert read(Column(Type.SET, 8, 0, True), b"\xff" * 8) == "18446744073709551615"


def test_a_number_whose_sign_is_not_known_is_refused() -> None:
    with pytest.raises(Refused, match="binlog_row_metadata"):
        value_reader(Column(Type.LONG, 0, 0, True))


def test_a_string_whose_character_set_is_not_known_is_refused() -> None:
    with pytest.raises(Refused, match="binlog_row_metadata"):
        value_reader(Column(Type.BLOB, 2, 0, True))
