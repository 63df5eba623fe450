"""Positions and snapshots of PostgreSQL: order, text, and transaction ids that have wrapped around."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.connect.pgposition import PgPosition, PgSnapshot, lsn_text, parse_lsn
from tidegate.model.position import Position

LSNS = st.integers(0, 2**64 - 1)
POSITIONS = st.builds(
    lambda lsn, inside, changes: PgPosition(lsn, inside, changes if inside else 0),
    LSNS,
    st.one_of(st.just(0), LSNS),
    st.integers(0, 10**9),
)


@given(LSNS)
def test_an_lsn_is_written_as_the_server_does_and_read_back(lsn: int) -> None:
    assert parse_lsn(lsn_text(lsn)) == lsn


@given(POSITIONS)
def test_a_position_is_read_back_from_its_text(position: PgPosition) -> None:
    assert PgPosition.parse(str(position)) == position


@given(POSITIONS, POSITIONS, POSITIONS)
def test_positions_are_in_total_order(a: PgPosition, b: PgPosition, c: PgPosition) -> None:
    assert (a < b) + (b < a) + (a == b) == 1
    assert (a <= b) == (a < b or a == b)
    if a < b and b < c:
        assert a < c


@given(LSNS, LSNS)
def test_the_sortable_text_sorts_as_the_log(a: int, b: int) -> None:
    assert (PgPosition(a).sortable() < PgPosition(b).sortable()) == (a < b)


def test_inside_a_transaction_is_behind_what_came_before_it_and_before_its_end() -> None:
    before, inside, further, after = (
        PgPosition(100),
        PgPosition(100, 500, 3),
        PgPosition(100, 500, 4),
        PgPosition(520),
    )
    assert before < inside < further < after


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0/0/0",
        "x/y",
        "0/0+",
        "0/0+0/1",
        "0/0+0/1:",
        "0/0+1:2",
        "0/0:3",
        "-1/0",
        "0x1/0",
        " 1/0",
        "1/123456789",
        "0/0+0/1:-1",
    ],
)
def test_a_text_that_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  any message will do
        PgPosition.parse(text)


def test_a_position_of_another_source_cannot_be_compared() -> None:
    class Other(Position):
        def __str__(self) -> str:
            return "other"

        def __lt__(self, other: Position) -> bool:
            return NotImplemented

        def __le__(self, other: Position) -> bool:
            return NotImplemented

        def sortable(self) -> str:
            return ""

    with pytest.raises(TypeError):
        assert PgPosition(1) < Other()
    with pytest.raises(TypeError):
        PgPosition.of(Other())


def test_a_snapshot_sees_what_ended_before_it_and_nothing_in_progress_or_later() -> None:
    seen = PgSnapshot("10:20:10,14,15")
    assert [xid for xid in range(5, 25) if seen.sees(xid)] == [5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 18, 19]
    assert str(seen) == "10:20:10,14,15"


def test_a_snapshot_without_anything_in_progress() -> None:
    seen = PgSnapshot("20:20:")
    assert seen.sees(19)
    assert not seen.sees(20)


# Ids that are compared lie less than 2^31 apart, as the server itself requires.
@given(
    st.integers(3, 2**40),
    st.lists(st.integers(1, 2**20), max_size=5),
    st.one_of(st.integers(-(2**31) + 1, 2**31 - 1), st.integers(-(2**20), 3)),
)
def test_the_32_bits_of_the_log_are_widened_to_the_nearest_id(xmax: int, below: list[int], distance: int) -> None:
    xid = xmax + distance
    if xid < 3:
        return
    in_progress = sorted({xmax - d for d in below if xmax - d >= 3})
    text = f"{min([*in_progress, xmax])}:{xmax}:{','.join(map(str, in_progress))}"
    assert PgSnapshot(text).sees(xid & 0xFFFFFFFF) == (xid < xmax and xid not in in_progress)


@pytest.mark.parametrize("edge", [2**32, 2**33, 5 * 2**32])
def test_ids_on_both_sides_of_a_wraparound(edge: int) -> None:
    before, after = PgSnapshot(f"{edge - 2}:{edge - 2}:"), PgSnapshot(f"{edge - 5}:{edge + 5}:{edge - 5},{edge + 3}")
    assert before.sees((edge - 3) & 0xFFFFFFFF)
    assert not before.sees((edge - 2) & 0xFFFFFFFF)
    assert not before.sees((edge + 3) & 0xFFFFFFFF)
    assert after.sees((edge - 4) & 0xFFFFFFFF)
    assert not after.sees((edge - 5) & 0xFFFFFFFF)
    assert after.sees((edge + 4) & 0xFFFFFFFF)
    assert not after.sees((edge + 3) & 0xFFFFFFFF)
    assert not after.sees((edge + 5) & 0xFFFFFFFF)
