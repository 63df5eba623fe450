"""Compaction: whatever changes go into a batch, the target ends as if they had been applied one by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.connect.capability import WriteMode
from tidegate.connect.target import Append, Clear, KeyRange, Net, Stamp, Step, TargetTable
from tidegate.engine.batcher import Batcher
from tidegate.engine.handoff import Chunk
from tidegate.engine.stamp import change_place, instant
from tidegate.errors import SourceLogBroken
from tidegate.model.change import UNCHANGED, Change, Op
from tidegate.model.schema import Column, TableName, TableSchema
from unit.logged import KEYED, KEYLESS, TEXT, delete, insert, part, truncate, update


def upsert(schema: TableSchema) -> TargetTable:
    return TargetTable("public", schema.name.name, schema, WriteMode.UPSERT)


def append(schema: TableSchema, stamp: Stamp | None = None) -> TargetTable:
    return TargetTable("public", schema.name.name, schema, WriteMode.APPEND, stamp or Stamp())


def batched(*changes: Change, sides: tuple[bool, bool] = (True, True)) -> list[Step]:
    batcher = Batcher(upsert)
    coming = part(*changes)
    for index, change in enumerate(changes):
        batcher.add(change, *sides, coming, index)
    return batcher.steps()


def rows(batch: pa.RecordBatch | None) -> list[dict[str, Any]]:
    return [] if batch is None else batch.to_pylist()


class Table:
    """A target that is a dictionary: key → row. It does what `connect.target` says of the steps."""

    def __init__(self, held: dict[str, dict[str, str | None]]) -> None:
        self.rows = {key: dict(row) for key, row in held.items()}

    def apply(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if isinstance(step, Net):
                self._net(step)
            elif isinstance(step, Clear):
                kept = {row["k"] for row in rows(step.keep)}
                for key in [k for k in self.rows if k not in kept and _within(k, step.ranges)]:
                    del self.rows[key]

    def _net(self, step: Net) -> None:
        moved = []
        for one in step.moved:
            (row,) = rows(one.row)
            origin = self.rows[one.from_key[0]]  # it must be there
            moved.append(row | {name: origin[name] for name in one.columns})
        batches = (step.deletes, step.inserts, step.puts, *step.patches)
        touched = [row["k"] for batch in batches for row in rows(batch)]
        assert not [row for row in rows(step.inserts) if row["k"] in self.rows], "it was there"
        touched += [row["k"] for row in moved]
        assert len(touched) == len(set(touched)), "a key has two entries"
        for row in rows(step.deletes):
            self.rows.pop(row["k"], None)
        for row in (*moved, *rows(step.puts), *rows(step.inserts)):
            self.rows[row["k"]] = row
        for batch in step.patches:
            for row in rows(batch):
                self.rows[row["k"]] |= row  # it must be there


def _within(key: str, ranges: Sequence[KeyRange] | None) -> bool:
    return ranges is None or any(
        (keys.after is None or key > keys.after[0]) and (keys.upto is None or key <= keys.upto[0]) for keys in ranges
    )


KEYS = ["a", "b", "c", "d"]


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[str, dict[str, str | None]], list[list[Change]], dict[str, Any]]:
    """Rows at the start, valid changes cut into batches, and the rows at the end."""
    table: dict[str, dict[str, str | None]] = {
        key: {"k": key, "v": f"{key}0", "big": f"large {key}"} for key in draw(st.sets(st.sampled_from(KEYS)))
    }
    start = {key: dict(row) for key, row in table.items()}
    batches: list[list[Change]] = [[]]
    for number in range(draw(st.integers(1, 25))):
        if draw(st.integers(0, 6)) == 0:
            batches.append([])
        key = draw(st.sampled_from(KEYS))
        value = draw(st.sampled_from([f"v{number}", None]))
        kind = draw(st.sampled_from(["update", "update", "delete", "move", "truncate", "touch"]))
        if kind == "truncate" and draw(st.booleans()):
            batches[-1].append(truncate())
            table.clear()
        elif key not in table:
            table[key] = {"k": key, "v": value, "big": f"large {number}"}
            batches[-1].append(insert(key, value, f"large {number}"))
        elif kind == "delete":
            del table[key]
            batches[-1].append(delete(key, None, None))
        else:
            free = [k for k in KEYS if k not in table]
            to = draw(st.sampled_from(free)) if kind == "move" and free else key
            big = draw(st.sampled_from([UNCHANGED, UNCHANGED, f"large {number}", None]))
            row = table.pop(key)
            table[to] = {"k": to, "v": value, "big": row["big"] if big is UNCHANGED else big}
            # The old key comes where it changed, and at times although it did not.
            old = (key, None, None) if to != key or draw(st.booleans()) else None
            batches[-1].append(update(to, value, big, old=old))
    return start, batches, table


@given(histories())
@settings(max_examples=600, deadline=None)
def test_a_compacted_batch_does_what_its_changes_do_one_by_one(
    history: tuple[dict[str, dict[str, str | None]], list[list[Change]], dict[str, Any]],
) -> None:
    start, batches, end = history
    target = Table(start)
    for changes in batches:
        batcher = Batcher(upsert)
        coming = part(*changes)
        for index, change in enumerate(changes):
            if change.op is Op.TRUNCATE:
                batcher.truncate(KEYED, None, [], coming, index)
            else:
                batcher.add(change, True, True, coming, index)
        target.apply(batcher.steps())
    assert target.rows == end


def test_changes_of_one_key_become_one_entry() -> None:
    (step,) = batched(insert("a", "1", "x"), update("a", "2", UNCHANGED), update("a", "3", UNCHANGED))
    assert isinstance(step, Net)
    assert rows(step.inserts) == [{"k": "a", "v": "3", "big": "x"}]
    assert (step.puts, step.deletes, list(step.patches), list(step.moved)) == (None, None, [], [])


def test_untouched_values_of_a_row_at_the_target_are_not_in_the_step() -> None:
    (step,) = batched(update("a", "1", UNCHANGED), update("b", "2", "big"), update("c", None, UNCHANGED))
    assert isinstance(step, Net)
    assert [rows(patch) for patch in step.patches] == [[{"k": "a", "v": "1"}, {"k": "c", "v": None}]]
    assert rows(step.puts) == [{"k": "b", "v": "2", "big": "big"}]


def test_a_moved_row_says_where_its_untouched_value_is() -> None:
    (step,) = batched(update("b", "1", UNCHANGED, old=("a", None, None)))
    assert isinstance(step, Net)
    (moved,) = step.moved
    assert (rows(moved.row), moved.from_key, moved.columns) == ([{"k": "b", "v": "1"}], ("a",), ("big",))
    assert rows(step.deletes) == [{"k": "a"}]


def test_a_row_that_moved_twice_takes_its_value_from_where_it_was_first() -> None:
    (step,) = batched(
        update("b", "1", UNCHANGED, old=("a", None, None)), update("c", "2", UNCHANGED, old=("b", None, None))
    )
    assert isinstance(step, Net)
    assert [moved.from_key for moved in step.moved] == [("a",)]
    assert sorted(row["k"] for row in rows(step.deletes)) == ["a", "b"]


def test_one_side_of_a_moved_key_may_come_alone() -> None:
    moved = update("b", "1", "x", old=("a", None, None))
    (gone,) = batched(moved, sides=(True, False))
    (come,) = batched(moved, sides=(False, True))
    assert isinstance(gone, Net)
    assert isinstance(come, Net)
    assert (rows(gone.deletes), rows(gone.puts)) == ([{"k": "a"}], [])
    assert (rows(come.deletes), rows(come.inserts)) == ([], [{"k": "b", "v": "1", "big": "x"}])


@pytest.mark.parametrize(
    ("changes", "sides"),
    [
        ([update("b", "1", UNCHANGED, old=("a", None, None))], (False, True)),
        ([delete("a", None, None), update("a", "1", UNCHANGED)], (True, True)),
    ],
)
def test_a_value_that_is_nowhere_breaks_the_log(changes: list[Change], sides: tuple[bool, bool]) -> None:
    with pytest.raises(SourceLogBroken):
        batched(*changes, sides=sides)


def test_a_truncate_keeps_its_place_between_changes() -> None:
    batcher = Batcher(upsert)
    coming = part()
    batcher.add(insert("a", "1", "x"), True, True, coming, 0)
    batcher.truncate(KEYED, None, [("z",)], coming, 1)
    batcher.add(insert("a", "2", "y"), True, True, coming, 2)
    before, clear, after = batcher.steps()
    assert isinstance(before, Net)
    assert isinstance(after, Net)
    assert isinstance(clear, Clear)
    assert (rows(before.inserts)[0]["v"], rows(after.inserts)[0]["v"]) == ("1", "2")
    assert (clear.ranges, rows(clear.keep)) == (None, [{"k": "z"}])


def test_a_truncate_that_no_chunk_is_emptied_by_is_nothing() -> None:
    batcher = Batcher(upsert)
    batcher.truncate(KEYED, [], [], part(), 0)
    assert not batcher
    assert batcher.steps() == []


def test_rows_of_another_shape_begin_another_step() -> None:
    wider = TableSchema(KEYED.name, (*KEYED.columns, Column("more", TEXT)), ("k",), "postgres")
    first, second = batched(insert("a", "1", "x"), update("a", "2", UNCHANGED, "m", table=wider))
    assert isinstance(first, Net)
    assert isinstance(second, Net)
    assert rows(first.inserts)[0]["v"] == "1"
    assert [rows(patch) for patch in second.patches] == [[{"k": "a", "v": "2", "more": "m"}]]


def test_tables_have_steps_of_their_own() -> None:
    other = TableSchema(TableName("public", "u"), KEYED.columns, ("k",), "postgres")
    steps = batched(insert("a", "1", "x"), insert("a", "2", "x", table=other), insert("b", "3", "x"))
    assert [step.table.name for step in steps] == ["t", "u"]


# --- append ---


def appended(
    *changes: Change, sides: tuple[bool, bool] = (True, True), stamp: Stamp | None = None
) -> list[dict[str, Any]]:
    batcher = Batcher(lambda schema: append(schema, stamp))
    coming = part(*changes, commit=100)
    for index, change in enumerate(changes):
        batcher.add(change, *sides, coming, index)
    return [row for step in batcher.steps() if isinstance(step, Append) for batch in step.rows for row in rows(batch)]


def test_every_change_becomes_a_row_in_order() -> None:
    found = appended(insert("a", "1", "x"), update("a", "2", "y"), delete("a", None, None), insert("a", "3", None))
    assert [(row["k"], row["v"], row["big"], row["_tidegate_op"]) for row in found] == [
        ("a", "1", "x", "insert"),
        ("a", "2", "y", "update"),
        ("a", None, None, "delete"),
        ("a", "3", None, "insert"),
    ]
    stamps = [row["_tidegate_position"] for row in found]
    assert stamps == sorted(set(stamps))
    assert {row["_tidegate_committed_at"] for row in found} == {"1970-01-01 00:00:00.000000+00"}


def test_a_value_left_out_is_named() -> None:
    (row,) = appended(update("a", "2", UNCHANGED))
    assert row["big"] is None
    assert json.loads(row["_tidegate_detail"]) == {"unchanged": ["big"]}


def test_a_moved_key_is_a_delete_and_an_insert_of_which_one_may_come_alone() -> None:
    moved = update("b", "2", "y", old=("a", None, None))
    for sides, wanted in (
        ((True, True), [("a", "delete"), ("b", "insert")]),
        ((True, False), [("a", "delete")]),
        ((False, True), [("b", "insert")]),
    ):
        assert [(row["k"], row["_tidegate_op"]) for row in appended(moved, sides=sides)] == wanted


def test_without_a_key_an_update_is_a_delete_and_an_insert() -> None:
    found = appended(update("2", old=("1",), table=KEYLESS))
    assert [(row["v"], row["_tidegate_op"]) for row in found] == [("1", "delete"), ("2", "insert")]


def test_positions_sort_the_delete_of_a_change_before_its_insert_and_both_before_the_next_change() -> None:
    moved, back = update("b", "2", "y", old=("a", None, None)), update("a", "3", "z", old=("b", None, None))
    for changes in (
        [moved, back],
        [update("2", old=("1",), table=KEYLESS), update("1", old=("2",), table=KEYLESS)],
    ):
        found = appended(*changes)
        assert [row["_tidegate_op"] for row in found] == ["delete", "insert"] * 2
        stamps = [row["_tidegate_position"] for row in found]
        assert stamps == sorted(set(stamps))


def test_a_side_that_comes_alone_has_the_position_of_its_change() -> None:
    moved = update("b", "2", "y", old=("a", None, None))
    for sides in ((True, False), (False, True)):
        (row,) = appended(moved, sides=sides)
        assert row["_tidegate_position"] == change_place(part(moved, commit=100).commit, 0)


def test_columns_without_a_name_are_left_out() -> None:
    (row,) = appended(insert("a", "1", "x"), stamp=Stamp("op", "", "", ""))
    assert row == {"k": "a", "v": "1", "big": "x", "op": "insert"}


def test_a_truncate_is_a_row_per_emptied_range() -> None:
    batcher = Batcher(append)
    chunks = [Chunk(0, KeyRange(None, ("m",))), Chunk(1, KeyRange(("m",), None))]
    batcher.truncate(KEYED, chunks, [("z",)], part(), 0)
    batcher.truncate(KEYED, None, [], part(), 1)
    batcher.truncate(KEYED, [Chunk(0, KeyRange(None, None))], [], part(), 2)
    (step,) = batcher.steps()
    assert isinstance(step, Append)
    found = [row for batch in step.rows for row in rows(batch)]
    assert {row["_tidegate_op"] for row in found} == {"truncate"}
    stamps = [row["_tidegate_position"] for row in found]
    assert stamps == sorted(set(stamps))
    details = [row["_tidegate_detail"] and json.loads(row["_tidegate_detail"])["truncated"] for row in found]
    assert details == [
        {"after": None, "upto": ["m"], "kept": [["z"]]},
        {"after": ["m"], "upto": None, "kept": [["z"]]},
        None,
        None,
    ]


def test_a_row_read_by_itself_takes_the_place_of_its_change() -> None:
    for place, wanted in ((upsert, [{"k": "a", "v": "1", "big": "x"}]), (append, ["read"])):
        batcher = Batcher(place)
        batcher.put(KEYED, ("a",), ("a", "1", "x"), part(commit=100), 3)
        (step,) = batcher.steps()
        if isinstance(step, Net):
            assert rows(step.puts) == wanted
        else:
            assert isinstance(step, Append)
            (row,) = [row for batch in step.rows for row in rows(batch)]
            assert [row["_tidegate_op"]] == wanted
            assert row["_tidegate_position"] == change_place(part(commit=100).commit, 3)


def test_a_row_read_by_itself_and_not_found_is_gone() -> None:
    batcher = Batcher(upsert)
    batcher.put(KEYED, ("a",), None, part(), 0)
    (step,) = batcher.steps()
    assert isinstance(step, Net)
    assert rows(step.deletes) == [{"k": "a"}]
    batcher = Batcher(append)
    batcher.put(KEYED, ("a",), None, part(), 0)
    assert all(isinstance(step, Append) and not list(step.rows) for step in batcher.steps())


def test_an_instant_is_written_to_the_microsecond() -> None:
    assert instant(1_700_000_000_123_456) == "2023-11-14 22:13:20.123456+00"
    assert instant(0) == "1970-01-01 00:00:00.000000+00"
