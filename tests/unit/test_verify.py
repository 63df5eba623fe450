"""Deciding whether two ends are equal: tallies, folds, differences, and the instant at which both can be seen."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pytest

from tidegate.connect.pgposition import PgPosition, PgSnapshot
from tidegate.connect.source import ChunkMark, SourceView
from tidegate.connect.target import Stamp, TargetView
from tidegate.engine.inspection import Inspection, Stage
from tidegate.engine.snapshot import Inquiry
from tidegate.model.change import LogPart
from tidegate.model.schema import DataType, Kind
from tidegate.verify.difference import Kept, compared
from tidegate.verify.fold import Fold
from tidegate.verify.tally import BUCKETS, Tally, spelled_alike

SEED = 11
Cells = Sequence[str | None]


def batch(*rows: Cells, names: Sequence[str] = ("k", "a")) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], list(names))


def tally(*rows: Cells, key: Sequence[int] = (0,)) -> Tally:
    made = Tally()
    made.add(batch(*rows), key)
    return made


# --- tallies ---


def test_the_order_of_rows_is_nothing() -> None:
    rows: list[Cells] = [(str(n), None if n % 3 else "x") for n in range(500)]
    mixed = list(rows)
    random.Random(SEED).shuffle(mixed)
    assert tally(*rows).differs_from(tally(*mixed)) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("1", "a"), ("1", "b")),
        (("1", None), ("1", "")),
        (("1", "-"), ("1", None)),
        (("1", "a:1:b"), ("1", "a")),
        (("1:1", "a"), ("1", "1:a")),
        (("1", "a"), ("2", "a")),
        ((None, "a"), ("a", None)),
    ],
)
def test_no_two_rows_are_taken_for_one(one: Cells, other: Cells) -> None:
    assert tally(one).differs_from(tally(other))


def test_a_row_that_is_there_twice_is_another_tally() -> None:
    assert tally(("1", "a"), ("1", "a")).differs_from(tally(("1", "a")))
    assert len(tally(("1", "a")).differs_from(tally())) == 1


def test_rows_that_are_taken_away_leave_nothing() -> None:
    made = tally(("1", "a"), ("2", "b"), key=())
    made.add(batch(("1", "a"), ("2", "b")), (), -1)
    assert made.differs_from(Tally()) == []
    assert made.rows == 0


def test_binary_fractions_are_equal_by_value_and_not_by_spelling() -> None:
    types = [DataType(Kind.FLOAT64, "double precision"), DataType(Kind.FLOAT32, "real")]
    one = spelled_alike(batch(("1e+20", "0.1"), ("NaN", "-0"), ("Infinity", None)), types)
    other = spelled_alike(batch(("100000000000000000000.0", "0.10000000149"), ("nan", "-0.0"), ("inf", None)), types)
    assert one.to_pylist() == other.to_pylist()
    near = spelled_alike(batch(("1.0000000000000002", "0"), ("1.0", "-0")), types).to_pylist()
    assert near[0] != near[1]


# --- differences ---


def found(source: list[Cells], target: list[Cells], **more: Any) -> tuple[dict[str, int], dict[str, int]]:
    here, there = Kept(set(range(BUCKETS)), (0,)), Kept(set(range(BUCKETS)), (0,))
    here.add(batch(*source))
    there.add(batch(*target))
    said = compared(here, there, ("k", "a"), more.get("unsure", {}), keys=False, limit=0)
    return {str(sort): number for sort, number in said.counts.items()}, dict(said.columns)


@pytest.mark.parametrize(
    ("source", "target", "counts", "columns"),
    [
        ([("1", "a")], [], {"missing": 1}, {}),
        ([], [("1", "a")], {"extra": 1}, {}),
        ([("1", "a")], [("1", "b")], {"different": 1}, {"a": 1}),
        ([("1", "a")], [("1", "a"), ("1", "a")], {"doubled": 1}, {}),
        ([("1", "a")], [("1", "a"), ("1", "b")], {"doubled": 1}, {}),
        ([("1", "a")], [("1", "c"), ("1", "b")], {"different": 1, "doubled": 1}, {"a": 1}),
        ([("1", "a"), ("2", None)], [("2", ""), ("3", "a")], {"missing": 1, "extra": 1, "different": 1}, {"a": 1}),
    ],
)
def test_what_is_wrong_with_a_row_is_named(
    source: list[Cells], target: list[Cells], counts: dict[str, int], columns: dict[str, int]
) -> None:
    assert found(source, target) == (counts, columns)


def test_a_value_the_target_cannot_tell_is_no_difference_but_the_others_are() -> None:
    unsure = {("1",): frozenset({"a"})}
    assert found([("1", "a")], [("1", None)], unsure=unsure) == ({}, {})
    assert found([("1", "a"), ("2", "a")], [("1", None), ("2", None)], unsure=unsure)[0] == {"different": 1}


# --- folds ---

NAMES = ("k", "a", "_tidegate_op", "_tidegate_position", "_tidegate_detail")
AT = "00000000/{:08X}:1:{:010d}"
COPIED = "00000000/{:08X}:0:{:010d}"


def folded(*changes: Cells, key: Sequence[int] = (0,), since: str = "") -> tuple[list[Cells], Fold]:
    fold = Fold(("k", "a"), key, Stamp(), lambda texts: tuple(int(text) for text in texts), since)
    places = [NAMES.index(name) for name in fold.sorting]
    ordered = sorted(changes, key=lambda row: [(row[place] is not None, row[place] or "") for place in places])
    held: list[Cells] = []
    for rows, sign in fold.rows([batch(row, names=NAMES) for row in ordered]):
        cells = [tuple(row.values()) for row in rows.to_pylist()]
        if sign > 0:
            held += cells
        elif sign < 0:
            for row in cells:
                held.remove(row)
        else:
            held = []
    return sorted(held), fold


def change(op: str, at: int, key: str | None, value: str | None = None, detail: str | None = None) -> Cells:
    return (key, value, op, AT.format(at, 0), detail)


def test_the_newest_change_of_a_key_is_its_row() -> None:
    rows, fold = folded(
        ("1", "a", "read", COPIED.format(1, 0), None),
        ("2", "b", "read", COPIED.format(1, 1), None),
        change("update", 5, "1", "c"),
        change("delete", 6, "2"),
        change("insert", 7, "3", "d"),
        change("delete", 8, "3"),
        change("insert", 9, "3", "e"),
    )
    assert (rows, fold.repeated) == ([("1", "c"), ("3", "e")], 0)


def test_a_change_that_is_there_twice_counts_once_and_is_told() -> None:
    rows, fold = folded(change("insert", 5, "1", "a"), change("insert", 5, "1", "a"), change("delete", 6, "2"))
    assert (rows, fold.repeated, fold.repeated_keys) == ([("1", "a")], 1, [("1",)])
    rows, fold = folded(("1", "a", "read", COPIED.format(1, 0), None), ("1", "a", "read", COPIED.format(2, 0), None))
    assert (rows, fold.repeated) == ([("1", "a")], 1)


def test_one_change_moves_one_row_away_and_another_here() -> None:
    rows, fold = folded(
        change("insert", 1, "1", "a"),
        change("delete", 5, "1"),
        change("insert", 5, "2", "a"),
    )
    assert (rows, fold.repeated) == ([("2", "a")], 0)


def test_a_large_value_left_out_is_the_one_before() -> None:
    left_out = '{"unchanged": ["a"]}'
    rows, fold = folded(change("insert", 1, "1", "big"), change("update", 2, "1", None, left_out))
    assert (rows, fold.unsure) == ([("1", "big")], {})
    rows, fold = folded(change("delete", 2, "1"), change("insert", 2, "2", None, left_out))
    assert (rows, fold.unsure) == ([("2", None)], {("2",): frozenset({"a"})})
    rows, fold = folded(
        change("insert", 1, "2", "gone"),
        change("delete", 2, "2"),
        change("insert", 3, "2", None, left_out),
        change("update", 4, "2", None, left_out),
    )
    assert fold.unsure == {("2",): frozenset({"a"})}


def test_a_truncate_empties_what_came_before_it() -> None:
    rows, _ = folded(change("insert", 1, "1", "a"), change("truncate", 2, None), change("insert", 3, "2", "b"))
    assert rows == [("2", "b")]


def test_a_truncate_of_a_range_empties_that_range_but_for_what_it_kept() -> None:
    detail = '{"truncated": {"after": ["9"], "upto": ["20"], "kept": [["15"]]}}'
    rows, _ = folded(
        *(change("insert", 1, str(n), "a") for n in (9, 10, 15, 20, 21)), change("truncate", 2, None, None, detail)
    )
    assert sorted(key or "" for key, _ in rows) == ["15", "21", "9"]


def test_what_an_earlier_run_wrote_is_passed_over() -> None:
    rows, _ = folded(
        change("insert", 1, "1", "old"),
        ("2", "a", "read", COPIED.format(16, 0), None),
        change("update", 17, "2", "b"),
        since="00000000/00000010",
    )
    assert rows == [("2", "b")]


def test_without_a_key_rows_come_and_go() -> None:
    rows, fold = folded(
        ("1", "a", "read", COPIED.format(1, 0), None),
        ("1", "a", "read", COPIED.format(1, 1), None),
        change("delete", 5, "1", "a"),
        change("insert", 5, "1", "b"),
        change("insert", 6, "9", "z"),
        change("insert", 6, "9", "z"),
        key=(),
    )
    assert (rows, fold.repeated) == ([("1", "a"), ("1", "b"), ("9", "z")], 1)
    rows, _ = folded(change("insert", 1, "1", "a"), change("truncate", 2, None), change("insert", 3, "2", "b"), key=())
    assert rows == [("2", "b")]


# --- the instant ---


class Ends(SourceView, TargetView):
    """A source whose snapshot is given."""

    def __init__(self, seen: str, log_end: int) -> None:
        self.given = ChunkMark(PgSnapshot(seen), PgPosition(log_end))

    def open(self, deadline_s: float) -> None: ...

    def mark(self) -> ChunkMark:
        return self.given

    def hold(self, run: str) -> str | None:
        return None

    def rows(self, *_: Any) -> Any:
        raise NotImplementedError

    def as_held(self, *_: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None: ...


def committed(xid: int, at: int) -> LogPart:
    return LogPart(xid, 0, [], 0, True, PgPosition(at + 1), PgPosition(at))


def silence(at: int) -> LogPart:
    return LogPart(None, 0, [], 0, True, PgPosition(at), PgPosition(at))


def judged(seen: str, log_end: int, pending: list[LogPart], reached: int) -> tuple[bool, bool | None]:
    """Whether the first part is held, and the judgement."""
    ends = Ends(seen, log_end)
    inspection = Inspection(Inquiry("i", lambda report: True), ends, ends)
    inspection.stage = Stage.READY
    inspection.seek()
    waiting = iter(pending)
    first: Iterator[LogPart] = (part for part in waiting if part.transaction is not None)
    held = any(inspection.holds(part) for part in list(first)[:1])
    return held, inspection.judge(pending, PgPosition(reached))


@pytest.mark.parametrize(
    ("seen", "log_end", "pending", "reached", "held", "agrees"),
    [
        # Nothing came yet, and the log has not been read to where it ended then.
        ("10:10:", 100, [], 50, False, None),
        # It has, and nothing was unseen.
        ("10:10:", 100, [], 100, False, True),
        # A transaction the snapshot sees is to be written first.
        ("10:12:", 100, [committed(11, 60)], 50, False, None),
        # The first unseen one is held; it committed after the snapshot.
        ("10:12:", 100, [committed(12, 100)], 50, True, True),
        # It committed while the snapshot was taken: more must be read.
        ("10:12:11", 100, [committed(11, 60)], 50, True, None),
        ("10:12:11", 100, [committed(11, 60), committed(12, 120)], 50, True, True),
        ("10:12:11", 100, [committed(11, 60), silence(100)], 50, True, True),
        # One that is seen committed behind one that is not: no place in the log is this snapshot's.
        ("10:13:11", 100, [committed(11, 60), committed(12, 70)], 50, True, False),
    ],
)
def test_an_instant_is_where_all_before_is_seen_and_nothing_after(
    seen: str, log_end: int, pending: list[LogPart], reached: int, held: bool, agrees: bool | None
) -> None:
    assert judged(seen, log_end, pending, reached) == (held, agrees)
