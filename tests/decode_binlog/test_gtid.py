"""Positions by transaction ids: what MariaDB's lists and MySQL's sets mean, by properties against plain sets."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.decode.gtid import (
    NO_GTIDS,
    MariadbGtid,
    MariadbPosition,
    MysqlGtid,
    MysqlGtidSet,
    NotAGtid,
    Source,
    covers,
    parse_gtids,
    passed,
    stands_at,
)

SERVERS = [str(uuid.UUID(int=number)) for number in (1, 2, 3)]
SOURCES = st.tuples(st.sampled_from(SERVERS), st.sampled_from(["", "blue", "green_1"]))
GTIDS = st.frozensets(st.builds(MysqlGtid, SOURCES, st.integers(1, 20)), max_size=40)


def as_set(gtids: frozenset[MysqlGtid]) -> MysqlGtidSet:
    return MysqlGtidSet.of((gtid.source, (gtid.sequence, gtid.sequence)) for gtid in gtids)


def members(held: MysqlGtidSet) -> frozenset[MysqlGtid]:
    return frozenset(
        MysqlGtid(source, sequence)
        for source, intervals in held.sources
        for first, last in intervals
        for sequence in range(first, last + 1)
    )


@settings(deadline=None)
@given(GTIDS)
def test_a_set_holds_what_was_put_in_and_comes_back_from_its_text(gtids: frozenset[MysqlGtid]) -> None:
    held = as_set(gtids)
    assert members(held) == gtids
    assert held.count() == len(gtids)
    assert MysqlGtidSet.parse(str(held)) == held


@settings(deadline=None)
@given(GTIDS, GTIDS)
def test_the_arithmetic_is_that_of_sets(one: frozenset[MysqlGtid], other: frozenset[MysqlGtid]) -> None:
    assert as_set(one) | as_set(other) == as_set(one | other)
    assert as_set(one) - as_set(other) == as_set(one - other)
    assert as_set(one) & as_set(other) == as_set(one & other)
    assert (as_set(one) <= as_set(other)) == (one <= other)


@settings(deadline=None)
@given(GTIDS, st.builds(MysqlGtid, SOURCES, st.integers(1, 20)))
def test_a_transaction_is_in_the_set_once_it_was_added(gtids: frozenset[MysqlGtid], gtid: MysqlGtid) -> None:
    held = as_set(gtids)
    assert (gtid in held) == (gtid in gtids)
    assert held.after(gtid) == as_set(gtids | {gtid})


@settings(deadline=None)
@given(GTIDS, st.lists(st.builds(MysqlGtid, SOURCES, st.integers(1, 30)), max_size=12))
def test_transactions_that_are_read_one_by_one_make_the_set_of_all(
    gtids: frozenset[MysqlGtid], read: list[MysqlGtid]
) -> None:
    held = as_set(gtids)
    assert held.after(*read) == as_set(gtids | set(read))
    assert passed(held, [None, *read]) == as_set(gtids | set(read))
    assert held.after(*read).covers(held)
    one_by_one = held
    for gtid in read:
        one_by_one = one_by_one.after(gtid)
    assert one_by_one == held.after(*read)


@settings(deadline=None)
@given(GTIDS, GTIDS)
def test_a_place_of_mysql_is_the_same_only_with_the_same_set_in_front(
    one: frozenset[MysqlGtid], other: frozenset[MysqlGtid]
) -> None:
    assert stands_at(as_set(one), as_set(other)) == (not one or one == other)
    assert covers(as_set(one), as_set(other)) == (other <= one)


def test_a_domain_that_came_later_does_not_make_a_place_of_mariadb_another() -> None:
    wanted = MariadbPosition.parse("0-1-5")
    assert stands_at(wanted, MariadbPosition.parse("0-1-5,3-1-7"))
    assert not stands_at(wanted, MariadbPosition.parse("0-1-6"))
    assert not stands_at(wanted, MariadbPosition())


def test_positions_of_one_kind_of_server_are_none_of_the_others() -> None:
    mariadb, mysql = MariadbPosition.parse("0-1-5"), MysqlGtidSet.parse(f"{SERVERS[0]}:1-5")
    assert not stands_at(mariadb, mysql)
    assert not stands_at(mysql, mariadb)
    assert not covers(mariadb, mysql)
    for held, gtid in ((mysql, MariadbGtid(0, 1, 6)), (mariadb, MysqlGtid((SERVERS[0], ""), 6))):
        with pytest.raises(NotAGtid):
            passed(held, [gtid])
    with pytest.raises(NotAGtid):
        passed(NO_GTIDS, [MariadbGtid(0, 1, 6), MysqlGtid((SERVERS[0], ""), 6)])
    assert passed(NO_GTIDS, [MysqlGtid((SERVERS[0], ""), 6)]) == MysqlGtidSet.parse(f"{SERVERS[0]}:6")
    assert passed(mysql, [None]) == mysql


@pytest.mark.parametrize("text", ["", "0-1-5,3-1-7", f"{SERVERS[0]}:1-5:8:blue:3,{SERVERS[1]}:9"])
def test_either_kinds_position_is_read_back_from_its_text(text: str) -> None:
    assert str(parse_gtids(text)) == text


@settings(deadline=None)
@given(GTIDS)
def test_equal_sets_have_equal_texts(gtids: frozenset[MysqlGtid]) -> None:
    shuffled = MysqlGtidSet.parse(",".join(f"{':'.join(filter(None, g.source))}:{g.sequence}" for g in gtids))
    assert str(shuffled) == str(as_set(gtids))
    assert shuffled == as_set(gtids)


def test_a_set_is_read_as_the_server_writes_it() -> None:
    text = "3E11FA47-71CA-11E1-9E33-C80AA9429562:1-3:11:Blue:5,\n 2174B383-5441-11E8-B90A-C80AA9429562:24-1000000000000"
    assert str(MysqlGtidSet.parse(text)) == (
        "2174b383-5441-11e8-b90a-c80aa9429562:24-1000000000000,3e11fa47-71ca-11e1-9e33-c80aa9429562:1-3:11:blue:5"
    )
    assert MysqlGtidSet.parse("") == MysqlGtidSet()


@pytest.mark.parametrize(
    "text",
    ["x:1", "SERVER", "SERVER:0", "SERVER:5-3", "SERVER:1-2-3", "SERVER:!:1", "SERVER:blue", "SERVER:-1", "SERVER:١"],
)
def test_what_is_no_set_is_said_to_be_none(text: str) -> None:
    with pytest.raises(NotAGtid):
        MysqlGtidSet.parse(text.replace("SERVER", SERVERS[0]))


def test_intervals_that_touch_are_one() -> None:
    assert str(MysqlGtidSet.parse(f"{SERVERS[0]}:3:1:2:5-9:7-12")) == f"{SERVERS[0]}:1-3:5-12"


def test_a_set_ends_below_the_largest_number() -> None:
    MysqlGtidSet.parse(f"{SERVERS[0]}:9223372036854775806")
    with pytest.raises(NotAGtid):
        MysqlGtidSet.parse(f"{SERVERS[0]}:9223372036854775807")


def test_a_source_without_a_tag_is_another_than_one_with_it() -> None:
    plain, tagged = MysqlGtidSet.parse(f"{SERVERS[0]}:1-5"), MysqlGtidSet.parse(f"{SERVERS[0]}:blue:1-5")
    assert plain & tagged == MysqlGtidSet()
    assert str(plain | tagged) == f"{SERVERS[0]}:1-5:blue:1-5"


POSITIONS = st.dictionaries(st.integers(0, 5), st.tuples(st.integers(1, 9), st.integers(0, 2**64 - 1)), max_size=4).map(
    lambda held: MariadbPosition.of(MariadbGtid(domain, *rest) for domain, rest in held.items())
)


@settings(deadline=None)
@given(POSITIONS)
def test_a_position_comes_back_from_its_text(position: MariadbPosition) -> None:
    assert MariadbPosition.parse(str(position)) == position


@settings(deadline=None)
@given(POSITIONS, st.integers(0, 6), st.integers(1, 9), st.integers(0, 2**64 - 1))
def test_a_transaction_moves_its_own_domain_and_no_other(
    position: MariadbPosition, domain: int, server: int, sequence: int
) -> None:
    moved = position.after(MariadbGtid(domain, server, sequence))
    assert moved.sequence(domain) == sequence
    others = {gtid for gtid in position.gtids if gtid.domain != domain}
    assert {gtid for gtid in moved.gtids if gtid.domain != domain} == others
    assert moved.covers(position) == (sequence >= position.sequence(domain))


def test_a_position_covers_another_domain_by_domain() -> None:
    here = MariadbPosition.parse("0-1-10,3-1-5")
    assert here.covers(MariadbPosition.parse("0-2-10"))
    assert not here.covers(MariadbPosition.parse("0-1-11"))
    assert not here.covers(MariadbPosition.parse("4-1-1"))
    assert here.covers(MariadbPosition())


@pytest.mark.parametrize(
    "text", ["0-1", "0-1-2-3", "a-1-2", "4294967296-1-1", "0-1-18446744073709551616", "0-1-1,0-2-2"]
)
def test_what_is_no_position_is_said_to_be_none(text: str) -> None:
    with pytest.raises(NotAGtid):
        MariadbPosition.parse(text)


def test_a_source_is_a_pair() -> None:
    source: Source = (SERVERS[0], "blue")
    assert str(MysqlGtid(source, 5)) == f"{SERVERS[0]}:blue:5"
    assert str(MysqlGtid((SERVERS[0], ""), 5)) == f"{SERVERS[0]}:5"
