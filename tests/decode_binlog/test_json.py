"""MySQL's binary JSON, built from the published format, as the text MySQL shows."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decode_binlog import wire
from tidegate.decode.binlog_cursor import Cursor, Malformed
from tidegate.decode.binlog_json import document, shown


def text_of(value: wire.Value) -> str:
    return shown(document(Cursor(wire.document(value), "JSON")))


def double(number: float) -> wire.Value:
    return 11, struct.pack("<d", number)


# What MariaDB 10.11 shows for the same doubles, whose way of printing is MySQL's; whole ones get `.0` in JSON.
@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e14, "100000000000000.0"),
        (1e15, "1e15"),
        (123456789012345678.0, "1.2345678901234568e17"),
        (1e-5, "0.00001"),
        (1e-15, "0.000000000000001"),
        (1e-16, "1e-16"),
        (1.5e-16, "1.5e-16"),
        (123456789012345.6, "123456789012345.6"),
        (5e-324, "5e-324"),
        (1.0, "1.0"),
        (-0.5, "-0.5"),
        (0.0, "0.0"),
    ],
)
def test_a_double_is_shown_as_the_server_shows_it(number: float, text: str) -> None:
    assert text_of(double(number)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((4, b"\0"), "null"),
        ((4, b"\x01"), "true"),
        ((4, b"\x02"), "false"),
        ((5, b"\xff\xff"), "-1"),
        ((6, b"\xff\xff"), "65535"),
        ((7, struct.pack("<i", -(2**31))), "-2147483648"),
        ((8, struct.pack("<I", 2**32 - 1)), "4294967295"),
        ((9, struct.pack("<q", -(2**63))), "-9223372036854775808"),
        ((10, struct.pack("<Q", 2**64 - 1)), "18446744073709551615"),
        (wire.json_text('é "\\\n\x01/'), '"é \\"\\\\\\n\\u0001/"'),
        (wire.json_text("x" * 300), '"' + "x" * 300 + '"'),
        (wire.json_opaque(246, b"\x04\x02\x8c\x22"), "12.34"),
        (wire.json_opaque(12, struct.pack("<q", ((2024 * 13 + 2) << 5 | 29) << 41 | (1 << 36) | 5)), None),
        (wire.json_opaque(10, struct.pack("<q", ((2024 * 13 + 2) << 5 | 29) << 41)), '"2024-02-29"'),
        (wire.json_opaque(11, struct.pack("<q", -((1 << 12 | 2 << 6 | 3) << 24 | 500_000))), '"-01:02:03.500000"'),
        (wire.json_opaque(252, b"\0\xff"), '"base64:type252:AP8="'),
    ],
)
def test_each_kind_of_value_has_its_text(value: wire.Value, text: str | None) -> None:
    assert text_of(value) == (text or '"2024-02-29 01:00:00.000005"')


def test_an_empty_document_is_null() -> None:
    assert shown(document(Cursor(b"", "JSON"))) == "null"


@pytest.mark.parametrize("large", [False, True])
def test_keys_stand_by_length_and_then_by_bytes(large: bool) -> None:
    inner = wire.json_container([(8, struct.pack("<I", 7)), wire.json_text("x")], large=large)
    value = wire.json_container([(5, b"\x01\0"), inner, double(0.5)], ["b", "c", "aa"], large=large)
    assert text_of(value) == '{"b": 1, "c": [7, "x"], "aa": 0.5}'


def test_an_offset_that_leads_back_is_malformed_and_not_followed_for_ever() -> None:
    # An array whose only member is said to stand where the array itself begins.
    with pytest.raises(Malformed):
        text_of((2, struct.pack("<HHBH", 1, 7, 2, 0)))


def built(value: Any, large: bool) -> wire.Value:
    if value is None or isinstance(value, bool):
        return 4, bytes([0 if value is None else 1 if value else 2])
    if isinstance(value, int):
        return 9, struct.pack("<q", value)
    if isinstance(value, float):
        return double(value)
    if isinstance(value, str):
        return wire.json_text(value)
    if isinstance(value, list):
        return wire.json_container([built(each, large) for each in value], large=large)
    return wire.json_container([built(each, large) for each in value.values()], list(value), large=large)


LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
DOCUMENTS = st.recursive(
    LEAVES | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(DOCUMENTS, st.booleans())
def test_any_document_comes_back_as_it_was(value: Any, large: bool) -> None:
    assert json.loads(text_of(built(value, large))) == value


def test_a_small_document_whose_offsets_share_places_does_not_grow_without_end() -> None:
    # Forty arrays one behind the other, each with two members that are both the next one.
    nested = struct.pack("<HH", 0, 4)
    for _ in range(40):
        nested = struct.pack("<HHBHBH", 2, 10 + len(nested), 2, 10, 2, 10) + nested
    with pytest.raises(Malformed, match="overlap"):
        text_of((2, nested))


def test_a_document_nested_too_deep_is_malformed() -> None:
    value: wire.Value = (4, b"\0")
    for _ in range(101):
        value = wire.json_container([value])
    with pytest.raises(Malformed, match="too deep"):
        text_of(value)
