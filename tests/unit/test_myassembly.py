"""Events of a binary log that servers write rarely, put together into parts."""

from __future__ import annotations

import pytest

from tidegate.connect.myassembly import Assembler
from tidegate.connect.myfollowed import Followed
from tidegate.connect.myposition import MyPosition, Place
from tidegate.connect.myshapes import Shapes
from tidegate.connect.mystream import asked_from
from tidegate.decode.binlog import Body, Event, Header
from tidegate.decode.binlog_event import Commit, Heartbeat, Incident, Query, Rotate
from tidegate.decode.binlog_gtid import MariadbBegin, Xid
from tidegate.decode.gtid import MariadbGtid
from tidegate.errors import PositionLost, SourceLogBroken, SourceTableRemade
from tidegate.model.change import LogPart, Op
from tidegate.model.schema import Column, DataType, Kind, TableName, TableSchema

T = TableName("d", "t")
SCHEMA = TableSchema(
    T,
    (Column("id", DataType(Kind.INT32, "int")), Column("n", DataType(Kind.INT32, "int"))),
    ("id",),
    "mariadb",
)


class Fed:
    """An assembler that events are fed to, each a hundred bytes long."""

    def __init__(self, start: str = "log.000001:1000") -> None:
        followed = self.followed = Followed()
        followed.replace(T)
        self.end = MyPosition.parse(start).read_from.offset
        shapes = Shapes({T: SCHEMA}, lambda name: [], followed.added)
        self.assembler = Assembler(MyPosition.parse(start), followed, shapes)
        self.sequence = 0

    def feed(self, *bodies: Body) -> list[LogPart]:
        parts = []
        for body in bodies:
            self.end += 100
            header = Header(7, 0, 1, 100, self.end % 2**32, 0)
            parts += self.assembler.feed(Event(header, body))
        return parts

    def begin(self, *, completes: Xid | None = None) -> MariadbBegin:
        self.sequence += 1
        gtid = MariadbGtid(0, 1, self.sequence)
        return MariadbBegin(gtid, False, True, False, None, completes, None)


def statement(text: str) -> Query:
    return Query("d", text, 0)


def test_what_a_transaction_did_before_it_was_rolled_back_never_comes() -> None:
    fed = Fed()
    assert fed.feed(fed.begin(), statement("truncate t"), statement("ROLLBACK")) == []
    (part,) = fed.feed(fed.begin(), statement("truncate t"), Commit(1))
    assert [change.op for change in part.changes] == [Op.TRUNCATE]
    assert str(part.position) == "log.000001:1600;0-1-2"


def test_what_was_rolled_back_to_a_savepoint_never_comes() -> None:
    fed = Fed()
    parts = fed.feed(
        fed.begin(),
        statement("truncate t"),
        statement("SAVEPOINT `s`"),
        statement("truncate t"),
        statement("ROLLBACK TO `s`"),
        Commit(1),
    )
    assert [len(part.changes) for part in parts] == [1]


@pytest.mark.parametrize(("name", "again"), [("s", "S"), ("a b", "a b"), ("x`` y", "x`` Y")])
def test_a_savepoint_is_found_by_its_name_as_the_server_finds_it(name: str, again: str) -> None:
    fed = Fed()
    kept, gone = statement("truncate t"), statement("truncate t")
    parts = fed.feed(
        fed.begin(), kept, statement(f"SAVEPOINT `{name}`"), gone, statement(f"ROLLBACK TO `{again}`"), kept, Commit(1)
    )
    assert [len(part.changes) for part in parts] == [2]


def test_a_savepoint_that_the_log_has_not_ends_the_run_rather_than_losing_rows() -> None:
    fed = Fed()
    with pytest.raises(SourceLogBroken):
        fed.feed(fed.begin(), statement("truncate t"), statement("SAVEPOINT `s`"), statement("ROLLBACK TO `r`"))


def test_a_server_that_takes_upper_for_lower_case_says_a_tables_name_in_either() -> None:
    fed = Fed()
    assert fed.feed(fed.begin(), statement("truncate T"), Commit(1)) == []
    fed.followed.folds = True
    for text in ("truncate T", "truncate D.t"):
        (part,) = fed.feed(fed.begin(), statement(text), Commit(1))
        assert [change.op for change in part.changes] == [Op.TRUNCATE]


def test_places_beyond_four_gigabytes_are_counted_on() -> None:
    fed = Fed("log.000001:4294967200")
    (part,) = fed.feed(fed.begin(), statement("truncate t"), Commit(1))
    assert MyPosition.of(part.commit).place == Place.of("log.000001", 4294967200)
    assert MyPosition.of(part.position).place == Place.of("log.000001", 4294967500)


def test_a_place_beyond_four_gigabytes_is_found_from_its_files_beginning() -> None:
    """The protocol has 32 bits to ask for an offset with."""
    assert asked_from(Place.of("log.000001", (1 << 32) - 1)) == (1 << 32) - 1
    start = Place.of("log.000001", (1 << 32) + 1000)
    assert asked_from(start) == 4
    fed = Fed(str(start))
    fed.end = 4
    assert fed.feed(Rotate("log.000001", 4)) == []
    fed.end = 4
    assert fed.feed(fed.begin(), statement("truncate t"), Commit(1)) == []


def test_a_quiet_log_says_how_far_it_was_read_and_says_it_once() -> None:
    fed = Fed()
    assert fed.assembler.progress() is None
    assert fed.feed(fed.begin(), statement("truncate other"), Commit(1)) == []
    told = fed.assembler.progress()
    assert told is not None
    assert (told.transaction, told.changes, str(told.position)) == (None, [], "log.000001:1300;0-1-1")
    assert fed.assembler.progress() is None
    fed.feed(fed.begin())
    assert fed.assembler.progress() is None  # inside of a transaction


def test_nothing_in_front_of_the_position_comes_again_while_prepared_rows_are_looked_for() -> None:
    fed = Fed("log.000001:1300;0-1-1;log.000001:1000")
    assert fed.feed(fed.begin(), statement("truncate t"), Commit(1)) == []
    assert fed.assembler.progress() is None
    (part,) = fed.feed(fed.begin(), statement("truncate t"), Commit(1))
    assert MyPosition.of(part.commit).place.offset == 1300


def test_an_xa_commit_whose_rows_were_never_seen_ends_the_run() -> None:
    fed = Fed()
    xid = Xid(1, b"a", b"")
    assert fed.feed(fed.begin(completes=xid), statement("XA ROLLBACK X'61',X'',1")) == []
    with pytest.raises(PositionLost):
        fed.feed(fed.begin(completes=xid), statement("XA COMMIT X'61',X'',1"))


def test_a_log_that_says_that_it_misses_something_ends_the_run() -> None:
    with pytest.raises(PositionLost):
        Fed().feed(Incident(1))


def test_a_transaction_inside_another_makes_no_sense() -> None:
    fed = Fed()
    with pytest.raises(SourceLogBroken):
        fed.feed(fed.begin(), fed.begin())


def test_a_server_that_stands_in_another_file_than_it_sent_makes_no_sense() -> None:
    fed = Fed()
    fed.feed(Rotate("log.000002", 4))
    fed.end = 4
    fed.feed(Heartbeat("log.000002", None))
    with pytest.raises(SourceLogBroken):
        fed.feed(Heartbeat("log.000003", None))


def alter(clauses: str, *, strict: bool = True) -> Query:
    return Query("d", f"alter table t {clauses}", 0, strict)


@pytest.mark.parametrize("clauses", ["modify n tinyint", "add a int, change N m smallint", "modify n int not null"])
def test_values_that_a_session_may_have_cut_end_the_run(clauses: str) -> None:
    """A strict one would have been refused."""
    fed = Fed()
    assert fed.feed(fed.begin(), alter(clauses), Commit(1)) == []
    with pytest.raises(SourceTableRemade) as error:
        fed.feed(fed.begin(), alter(clauses, strict=False))
    assert "column n was altered by a session that is not strict" in error.value.detail
    assert "log.000001:1300" in error.value.detail


def test_a_session_that_is_not_strict_may_give_more_room() -> None:
    fed = Fed()
    clauses = "modify n bigint, add a int not null, drop key k, modify unheard_of tinyint, rename column id to ID"
    assert fed.feed(fed.begin(), alter(clauses, strict=False), Commit(1)) == []


@pytest.mark.parametrize("back", ["add N int default 7", "add a int, change a n int", "rename column m to n"])
def test_a_column_that_went_and_came_again_ends_the_run(back: str) -> None:
    """Its shape is the same as before, and its rows' values are not."""
    fed = Fed()
    assert fed.feed(fed.begin(), alter("drop n"), Commit(1)) == []
    with pytest.raises(SourceTableRemade) as error:
        fed.feed(fed.begin(), alter(back))
    assert "went and came again" in error.value.detail
