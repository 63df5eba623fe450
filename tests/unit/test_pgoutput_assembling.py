"""From messages to parts of transactions: whole ones, cut ones, and going on in the middle of one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.connect import pgassembly
from tidegate.connect.pgassembly import Assembler, Stand
from tidegate.connect.pgposition import PgPosition
from tidegate.decode import pgoutput
from tidegate.errors import SourceLogBroken
from tidegate.model.change import Change, LogPart, Op
from tidegate.model.schema import Column, DataType, Kind, TableName, TableSchema
from unit import pgwire

START = PgPosition(100)
T1 = pgwire.relation(1, "public", "t", [("id", 23), ("note", 25)], key=["id"])
T1_WIDER = pgwire.relation(1, "public", "t", [("id", 23), ("note", 25), ("more", 25)], key=["id"])
T2 = pgwire.relation(2, "public", "u", [("id", 23)], key=["id"])


def describe(relation: pgoutput.Relation) -> TableSchema:
    columns = tuple(Column(c.name, DataType(Kind.TEXT, "text")) for c in relation.columns)
    key = tuple(c.name for c in relation.columns if c.identity)
    return TableSchema(TableName(relation.schema, relation.name), columns, key, "postgres")


def fed(messages: list[bytes], start: PgPosition = START) -> list[LogPart]:
    assembler = Assembler(Stand(start, describe))
    return [part for message in messages if (part := assembler.feed(message)) is not None]


def rows(part: LogPart) -> list[str | None]:
    return [change.new[0] if change.new else None for change in part.changes]  # type: ignore[misc]


def transaction(commit_lsn: int, *changes: bytes, xid: int = 7, end: int | None = None) -> list[bytes]:
    return [pgwire.begin(commit_lsn, xid=xid), *changes, pgwire.commit(commit_lsn, end or commit_lsn + 10)]


def test_a_transaction_is_one_part_that_ends_behind_its_commit() -> None:
    inserted = pgwire.insert(1, ["1", "a"])
    (part,) = fed(transaction(200, T1, inserted, pgwire.delete(1, key=["1", None]), xid=9))
    assert [(change.op, change.old, change.new) for change in part.changes] == [
        (Op.INSERT, None, ("1", "a")),
        (Op.DELETE, ("1", None), None),
    ]
    assert (part.transaction, part.first_index, part.ends) == (9, 0, True)
    assert (part.position, part.commit) == (PgPosition(210), PgPosition(200))


def test_an_empty_transaction_moves_the_position() -> None:
    (part,) = fed(transaction(200))
    assert part.changes == []
    assert part.position == PgPosition(210)


def test_a_truncate_is_a_change_of_each_table() -> None:
    (part,) = fed(transaction(200, T1, T2, pgwire.truncate(2, 1)))
    assert [(change.op, change.table.name.name) for change in part.changes] == [
        (Op.TRUNCATE, "u"),
        (Op.TRUNCATE, "t"),
    ]


def test_a_large_transaction_comes_in_parts_with_positions_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgassembly, "PART_CHANGES_MAX", 3)
    parts = fed(transaction(200, T1, *(pgwire.insert(1, [str(n), ""]) for n in range(8))))
    assert [rows(part) for part in parts] == [["0", "1", "2"], ["3", "4", "5"], ["6", "7"]]
    assert [part.first_index for part in parts] == [0, 3, 6]
    assert [part.ends for part in parts] == [False, False, True]
    assert [part.position for part in parts] == [PgPosition(100, 200, 3), PgPosition(100, 200, 6), PgPosition(210)]
    assert {part.commit for part in parts} == {PgPosition(200)}


def test_a_part_is_cut_by_its_size_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgassembly, "PART_BYTES_MAX", 1_000)
    parts = fed(transaction(200, T1, *(pgwire.insert(1, [str(n), "x" * 400]) for n in range(4))))
    assert [len(part.changes) for part in parts] == [3, 1]


def test_a_part_holds_one_shape_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = pgwire.insert(1, ["1", "a"]), pgwire.insert(1, ["2", "b", "c"])
    parts = fed(transaction(200, T1, first, T1_WIDER, second))
    assert [rows(part) for part in parts] == [["1"], ["2"]]
    assert parts[0].position == PgPosition(100, 200, 1)
    assert [len(part.changes[0].table.columns) for part in parts] == [2, 3]


def test_a_table_described_again_as_it_was_stays_the_same_object() -> None:
    parts = fed(transaction(200, T1, pgwire.insert(1, ["1", "a"]), T1, pgwire.insert(1, ["2", "b"])))
    (part,) = parts
    assert part.changes[0].table is part.changes[1].table


def test_going_on_inside_a_transaction_leaves_out_what_is_done() -> None:
    changes = [pgwire.insert(1, [str(n), ""]) for n in range(5)]
    (part,) = fed(transaction(200, T1, *changes), PgPosition(100, 200, 3))
    assert rows(part) == ["3", "4"]
    assert (part.first_index, part.ends, part.position) == (3, True, PgPosition(210))


def test_going_on_behind_the_last_change_of_a_transaction_only_ends_it() -> None:
    changes = [pgwire.insert(1, [str(n), ""]) for n in range(5)]
    (part,) = fed(transaction(200, T1, *changes), PgPosition(100, 200, 5))
    assert (part.changes, part.ends, part.position) == ([], True, PgPosition(210))


def test_idle_news_before_a_cut_transaction_do_not_forget_how_much_of_it_is_done() -> None:
    """A worker may be cut off again between the two."""
    assembler = Assembler(Stand(PgPosition(100, 200, 3), describe))
    part = assembler.idle(150)
    assert part is not None
    assert part.position == PgPosition(150, 200, 3)
    assert PgPosition(100, 200, 3) < part.position
    again = Assembler(Stand(PgPosition.parse(str(part.position)), describe))
    messages = transaction(200, T1, *(pgwire.insert(1, [str(n), ""]) for n in range(5)))
    (rest,) = [part for message in messages if (part := again.feed(message)) is not None]
    assert rows(rest) == ["3", "4"]


def test_empty_transactions_before_a_cut_one_do_not_forget_it_either() -> None:
    messages = [*transaction(150), *transaction(200, T1, *(pgwire.insert(1, [str(n), ""]) for n in range(5)))]
    empty, rest = fed(messages, PgPosition(100, 200, 3))
    assert empty.position == PgPosition(160, 200, 3)
    assert rows(rest) == ["3", "4"]


def test_what_the_target_holds_does_not_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgassembly, "PART_CHANGES_MAX", 2)
    done = transaction(90, T1, *(pgwire.insert(1, [str(n), ""]) for n in range(5)), end=100)
    new = transaction(100, pgwire.insert(1, ["9", ""]))
    assert [rows(part) for part in fed([*done, *new])] == [["9"]]


def test_a_transaction_with_fewer_changes_than_were_written_is_another_one() -> None:
    with pytest.raises(SourceLogBroken, match="0/C8"):
        fed(transaction(200, T1, pgwire.insert(1, ["1", ""])), PgPosition(100, 200, 3))


def test_idle_news_move_the_position_forward_only() -> None:
    assembler = Assembler(Stand(START, describe))
    assert assembler.idle(100) is None
    assert assembler.idle(99) is None
    part = assembler.idle(150)
    assert part is not None
    assert (part.transaction, part.changes, part.position) == (None, [], PgPosition(150))
    assert assembler.idle(150) is None


def test_idle_news_inside_a_transaction_say_nothing() -> None:
    assembler = Assembler(Stand(START, describe))
    assembler.feed(pgwire.begin(200))
    assert assembler.idle(150) is None


@pytest.mark.parametrize(
    "messages",
    [
        [pgwire.begin(200), pgwire.begin(300)],
        [pgwire.commit(200, 210)],
        [T1, pgwire.insert(1, ["1", "a"])],
        [pgwire.begin(200), pgwire.insert(1, ["1", "a"])],
        [pgwire.begin(200), pgwire.truncate(1)],
        [pgwire.begin(200), T1, pgwire.insert(1, ["1"])],
        [pgwire.begin(200), T1, pgwire.update(1, ["1", "a", "b"])],
        [pgwire.begin(200), T1, pgwire.delete(1, key=["1"])],
        [pgwire.begin(200)[:-1]],
        [b"?"],
    ],
)
def test_messages_out_of_order_or_out_of_shape_end_the_reading(messages: list[bytes]) -> None:
    with pytest.raises(SourceLogBroken):
        fed(messages)


@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    most=st.integers(1, 6),
    cut_after=st.integers(0, 60),
)
@settings(max_examples=200, deadline=None)
def test_stopping_after_any_part_and_going_on_gives_every_change_once(
    sizes: list[int], most: int, cut_after: int
) -> None:
    messages, wanted = [], []
    for number, size in enumerate(sizes):
        changes = [pgwire.insert(1, [f"{number}.{n}", ""]) for n in range(size)]
        wanted += [f"{number}.{n}" for n in range(size)]
        messages += transaction(200 + 100 * number, T1, *changes)
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as patched:
        patched.setattr(pgassembly, "PART_CHANGES_MAX", most)
        before = fed(messages)[:cut_after]
        start = before[-1].position if before else START
        after = fed(messages, PgPosition.parse(str(start)))
    got = [row for part in (*before, *after) for row in rows(part)]
    assert got == wanted
    positions = [part.position for part in (*before, *after)]
    assert all(earlier < later for earlier, later in pairwise(positions))


def test_changes_of_a_table_share_its_schema_object() -> None:
    (part,) = fed(transaction(200, T1, *(pgwire.insert(1, [str(n), ""]) for n in range(3))))
    assert len({id(change.table) for change in part.changes}) == 1
    assert isinstance(part.changes[0], Change)
