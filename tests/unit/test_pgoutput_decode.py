"""The readable decoder: every kind of message, and bytes that are none."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.decode import pgoutput
from tidegate.decode.pgoutput import EPOCH_US, Begin, Commit, Malformed, Relation, RowChange, Truncate, decode
from tidegate.model.change import UNCHANGED, Op
from unit import pgwire

ONE_OF_EACH = {
    "begin": pgwire.begin(0x16_B374D848, EPOCH_US + 12_345, 4_000_000_000),
    "commit": pgwire.commit(10, 20),
    "relation": pgwire.relation(16_400, "shop", 'odd "näme"', [("id", 23), ("wörd", 25)], key=["id"], modifier=9),
    "insert": pgwire.insert(5, ["1", None, "", "数"]),
    "update": pgwire.update(5, ["1", UNCHANGED]),
    "update with key": pgwire.update(5, ["2", "x"], key=["1", None]),
    "update with row": pgwire.update(5, ["2", "x"], old=["1", "y"]),
    "delete": pgwire.delete(5, key=["1", None]),
    "delete with row": pgwire.delete(5, old=["1", "y"]),
    "truncate": pgwire.truncate(5, 6, 7, flags=3),
}


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("begin", Begin(0x16_B374D848, EPOCH_US + 12_345, 4_000_000_000)),
        ("commit", Commit(10, 20)),
        (
            "relation",
            Relation(
                16_400,
                "shop",
                'odd "näme"',
                "d",
                (pgoutput.RelationColumn("id", 23, 9, True), pgoutput.RelationColumn("wörd", 25, 9, False)),
            ),
        ),
        ("insert", RowChange(5, Op.INSERT, None, False, ("1", None, "", "数"))),
        ("update", RowChange(5, Op.UPDATE, None, False, ("1", UNCHANGED))),
        ("update with key", RowChange(5, Op.UPDATE, ("1", None), False, ("2", "x"))),
        ("update with row", RowChange(5, Op.UPDATE, ("1", "y"), True, ("2", "x"))),
        ("delete", RowChange(5, Op.DELETE, ("1", None), False, None)),
        ("delete with row", RowChange(5, Op.DELETE, ("1", "y"), True, None)),
        ("truncate", Truncate((5, 6, 7))),
    ],
)
def test_each_kind_of_message_becomes_its_event(name: str, event: object) -> None:
    assert decode(ONE_OF_EACH[name]) == event


@pytest.mark.parametrize("message", [pgwire.type_message(), pgwire.origin(), pgwire.logical_message()])
def test_messages_that_say_nothing_about_rows_are_passed_over(message: bytes) -> None:
    assert decode(message) is None


def test_a_table_of_the_catalogue_schema_has_its_name() -> None:
    event = decode(pgwire.relation(5, "", "t", []))
    assert isinstance(event, Relation)
    assert event.schema == "pg_catalog"


def test_a_value_left_out_is_taken_from_the_whole_old_row() -> None:
    event = decode(pgwire.update(5, ["1", UNCHANGED, UNCHANGED], old=["1", "big", None]))
    assert event == RowChange(5, Op.UPDATE, ("1", "big", None), True, ("1", "big", None))


def test_a_large_key_left_out_is_taken_from_the_old_key_and_nothing_else_is() -> None:
    event = decode(pgwire.update(5, [UNCHANGED, "x", UNCHANGED], key=["key", None, None]))
    assert event == RowChange(5, Op.UPDATE, ("key", None, None), False, ("key", "x", UNCHANGED))


def test_a_value_left_out_is_not_null() -> None:
    event = decode(pgwire.update(5, [None, UNCHANGED]))
    assert isinstance(event, RowChange)
    assert event.new is not None
    assert event.new[0] is None
    assert event.new[1] is UNCHANGED


def test_times_before_and_after_the_servers_epoch_are_microseconds_since_1970() -> None:
    for at_us in (0, EPOCH_US - 1, EPOCH_US, EPOCH_US + 10**15):
        event = decode(pgwire.begin(1, at_us))
        assert isinstance(event, Begin)
        assert event.committed_at_us == at_us


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_message_cut_short_anywhere_is_malformed(name: str) -> None:
    message = ONE_OF_EACH[name]
    for length in range(len(message)):
        with pytest.raises(Malformed):
            decode(message[:length])


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_bytes_behind_the_end_are_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        decode(ONE_OF_EACH[name] + b"\0")


@pytest.mark.parametrize("kind", [bytes([n]) for n in range(256) if bytes([n]) not in b"BCRIUDTYOM"])
def test_an_unknown_kind_is_malformed(kind: bytes) -> None:
    with pytest.raises(Malformed, match="unknown message kind"):
        decode(kind + b"\0" * 40)


@pytest.mark.parametrize(
    "message",
    [
        pgwire.update(5, ["1"], old=["1", "2"]),
        pgwire.update(5, ["1"], key=["1", "2"]),
        b"I" + b"\0\0\0\5" + b"K" + pgwire.row(["1"]),
        b"D" + b"\0\0\0\5" + b"N" + pgwire.row(["1"]),
        b"I" + b"\0\0\0\5" + b"N" + b"\0\1" + b"b" + b"\0\0\0\1x",
        b"I" + b"\0\0\0\5" + b"N" + b"\0\1" + b"t" + b"\xff\xff\xff\xff",
        b"I" + b"\0\0\0\5" + b"N" + b"\0\1" + b"t" + b"\0\0\0\1\xff",
        b"T" + b"\xff\xff\xff\xff\0",
        b"R" + b"\0\0\0\5" + b"public\0t\0d" + b"\xff\xff",
    ],
)
def test_what_contradicts_itself_is_malformed(message: bytes) -> None:
    with pytest.raises(Malformed):
        decode(message)


def test_the_error_does_not_hold_the_values() -> None:
    message = pgwire.insert(5, ["top secret", "more"])
    for length in range(len(message)):
        with pytest.raises(Malformed) as error:
            decode(message[:length])
        assert "secret" not in str(error.value)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_flipped_bit_gives_another_event_or_malformed_and_nothing_else(name: str) -> None:
    message = ONE_OF_EACH[name]
    for at in range(len(message) * 8):
        flipped = bytearray(message)
        flipped[at // 8] ^= 1 << at % 8
        decodes_or_refuses(bytes(flipped))


def decodes_or_refuses(message: bytes) -> None:
    try:
        decode(message)
    except Malformed:
        return


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_an_event_or_malformed(message: bytes) -> None:
    decodes_or_refuses(message)


@given(st.sampled_from(sorted(ONE_OF_EACH)), st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_many_flipped_bits_give_an_event_or_malformed(name: str, seed: int) -> None:
    r = random.Random(seed)
    flipped = bytearray(ONE_OF_EACH[name])
    for _ in range(r.randrange(1, 20)):
        flipped[r.randrange(len(flipped))] = r.randrange(256)
    decodes_or_refuses(bytes(flipped))


CELLS = st.lists(st.one_of(st.none(), st.just(UNCHANGED), st.text(st.characters(codec="utf-8"))), max_size=6)


@given(st.integers(0, 2**32 - 1), CELLS)
@settings(max_examples=200, deadline=None)
def test_an_inserts_cells_come_back_as_they_were(oid: int, cells: list) -> None:
    assert decode(pgwire.insert(oid, cells)) == RowChange(oid, Op.INSERT, None, False, tuple(cells))
