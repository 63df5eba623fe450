"""Places in a binary log, positions and snapshots."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.connect.myposition import MyPosition, MySnapshot, Place
from tidegate.decode.gtid import MariadbGtid, MariadbPosition, MysqlGtidSet

SERVERS = [str(uuid.UUID(int=number)) for number in (1, 2, 3)]
PLACES = st.builds(
    lambda number, offset, name: Place.of(f"{name}.{number:06d}", offset),
    st.integers(1, 2_000_000),
    st.integers(4, 2**40),
    st.sampled_from(("log", "mysql-bin", "a.b")),
)
GTIDS = st.builds(
    lambda by_domain: MariadbPosition.of(MariadbGtid(d, s, n) for d, (s, n) in by_domain.items()),
    st.dictionaries(st.integers(0, 9), st.tuples(st.integers(1, 9), st.integers(1, 2**60)), max_size=3),
)
SETS = st.builds(
    lambda intervals: MysqlGtidSet.of(
        ((SERVERS[at], tag), (first, first + more)) for at, tag, first, more in intervals
    ),
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["", "blue"]), st.integers(1, 99), st.integers(0, 9))),
)
POSITIONS = st.builds(
    lambda place, gtids, inside, prepared, named: MyPosition(place, gtids, *inside, prepared, named),
    PLACES,
    GTIDS | SETS.filter(bool),
    st.just((0, 0)) | st.tuples(st.integers(1, 10**9), st.integers(0, 2**40)),
    st.none() | PLACES,
    st.none() | PLACES,
)


@given(POSITIONS)
def test_a_position_is_read_back_from_its_text(position: MyPosition) -> None:
    assert MyPosition.parse(str(position)) == position


@given(st.lists(POSITIONS, max_size=20))
def test_positions_sort_as_the_log_does(positions: list[MyPosition]) -> None:
    wanted = sorted(positions, key=lambda one: (one.place.number, one.place.offset, one.changes))
    assert [one._order() for one in sorted(positions)] == [one._order() for one in wanted]
    texts = [one.sortable() for one in wanted]
    assert texts == sorted(texts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log.000001",
        "log:4",
        "log.1:4",
        "log.000001:x",
        "log.000001:4+5",
        "log.000001:4;x",
        "log.000001:4;;",
        "a log.000001:4",
        "log.000001:4;0-1-5;log.000001:4;",
        "0/1A",
    ],
)
def test_what_is_no_position_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        MyPosition.parse(text)


def test_another_sources_position_is_none_of_this() -> None:
    with pytest.raises(TypeError):
        MyPosition.of("log.000001:4")  # type: ignore[arg-type]


def test_a_snapshot_sees_what_begins_in_front_of_it_and_nothing_else() -> None:
    snapshot = MySnapshot(Place.of("log.000002", 500))
    seen = {text: snapshot.sees(Place.parse(text)) for text in ("log.000001:9999", "log.000002:499")}
    unseen = {text: snapshot.sees(Place.parse(text)) for text in ("log.000002:500", "log.000003:4")}
    assert all(seen.values())
    assert not any(unseen.values())


def test_a_file_numbered_beyond_six_digits_comes_behind_the_others() -> None:
    assert Place.of("log.1000000", 4) > Place.of("log.999999", 10**9)


def test_reading_begins_where_the_oldest_undecided_transaction_was_prepared() -> None:
    position = MyPosition.parse("log.000003:900;0-1-5;log.000002:40")
    assert position.read_from == Place.of("log.000002", 40)
    assert MyPosition.parse("log.000003:900").read_from == Place.of("log.000003", 900)
