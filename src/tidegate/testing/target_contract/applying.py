"""Cases about the steps of a write."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from tidegate.connect.target import (
    Append,
    Clear,
    KeyRange,
    Moved,
    Net,
    Progress,
    Stamp,
    Stored,
)
from tidegate.errors import (
    TargetError,
    TargetRowMissing,
)
from tidegate.model.schema import Column, DataType, TableName, TableSchema
from tidegate.testing.target_contract.ground import LINES, ORDERS, RUN, TEXT, Cells, Ground, batch, label
from tidegate.testing.values import KEYS


class Applying(Ground):
    # --- append ---

    def test_append_writes_every_change_with_its_stamp(self) -> None:
        target, table = self.started(), self.append()
        target.prepare(table, create=True, replace=False)
        names = (*ORDERS.names, *table.stamp.names())
        at = "2024-02-29 12:00:00.123456+00"
        rows: list[Cells] = [
            ("1", "1.00", "a", None, "insert", at, "0/1:1", None),
            ("1", "2.00", "a", None, "update", at, "0/2:1", '{"unchanged": ["doc"]}'),
            (None, None, None, None, "truncate", at, "0/3:1", None),
        ]
        target.write([Append(table, [batch(names, *rows[:1]), batch(names, *rows[1:])])], Progress("1"))
        assert self.held(table, *names) == sorted(map(tuple, rows), key=repr)

    def test_columns_of_the_stamp_can_be_renamed_or_left_out(self) -> None:
        target = self.started()
        table = self.append(stamp=Stamp(op="what", committed_at="", position="place", detail=""))
        target.prepare(table, create=True, replace=False)
        target.write([Append(table, [batch(("id", "what", "place"), ("1", "insert", "p"))])], Progress("1"))
        assert self.rows(table) == [
            {"id": "1", "amount": None, "note": None, "doc": None, "what": "insert", "place": "p"}
        ]

    def test_batches_of_one_step_may_have_different_columns_and_be_empty(self) -> None:
        target, table = self.started(), self.upsert()
        target.prepare(table, create=True, replace=False)
        batches = [
            batch(ORDERS.names),
            batch(("id", "note"), ("1", "a")),
            batch(("note", "id"), ("b", "2")),
            batch(("id",), ("3",)),
        ]
        target.write([Append(table, iter(batches)), Append(table, [])], Progress("1"))
        assert self.held(table, "id", "note") == [("1", "a"), ("2", "b"), ("3", None)]

    def test_rows_that_fail_to_come_leave_nothing_and_say_why(self) -> None:
        target, table = self.started(), self.upsert()
        target.prepare(table, create=True, replace=False)

        def broken() -> Iterator[pa.RecordBatch]:
            yield batch(("id",), ("1",))
            raise TargetError("the source went away")

        with pytest.raises(TargetError, match="the source went away"):
            target.write([Append(table, broken())], Progress("1"))
        assert self.rows(table) == []
        target.write([Append(table, [batch(("id",), ("1",))])], Progress("1"))
        assert self.held(table, "id") == [("1",)]

    # --- the net change ---

    def test_a_net_change_deletes_puts_and_patches(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, *((str(n), "1.00", "old", "large") for n in range(6)))
        step = Net(
            table,
            deletes=batch(("id",), ("0",), ("99",)),
            puts=batch(ORDERS.names, ("1", "2.00", None, "new"), ("7", None, "born", None)),
            patches=[
                batch(("id", "amount", "note"), ("2", "3.00", "patched"), ("3", None, "patched")),
                batch(("id", "note"), ("4", None)),
                batch(("id",), ("5",)),
            ],
        )
        target.write([step], Progress("1"))
        assert self.held(table) == [
            ("1", "2.00", None, "new"),
            ("2", "3.00", "patched", "large"),
            ("3", None, "patched", "large"),
            ("4", "1.00", None, "large"),
            ("5", "1.00", "old", "large"),
            ("7", None, "born", None),
        ]

    def test_the_same_net_change_twice_is_as_good_as_once(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, ("1", None, "a", None), ("2", None, "b", None))
        step = Net(table, deletes=batch(("id",), ("1",)), puts=batch(("id", "note"), ("2", "c"), ("3", "d")))
        target.write([step, step], Progress("1"))
        target.write([step], Progress("2"))
        assert self.held(table, "id", "note") == [("2", "c"), ("3", "d")]

    def test_inserts_of_rows_that_are_there_replace_them(self) -> None:
        """Somebody else may have put them there; and a write may come again."""
        target, table = self.started(), self.upsert()
        self.filled(target, table, ("1", None, "a", None), ("2", None, "b", None))
        first = Net(
            table, inserts=batch(("id", "note"), ("2", "c"), ("3", "d")), puts=batch(("id", "note"), ("1", "e"))
        )
        again = Net(table, deletes=batch(("id",), ("1",)), inserts=batch(("id", "note"), ("3", "f"), ("4", "g")))
        for number, step in enumerate((first, first, again)):
            target.write([step], Progress(str(number)))
        assert self.held(table, "id", "note") == [("2", "c"), ("3", "f"), ("4", "g")]

    def test_large_values_move_with_keys_that_swap(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, ("1", None, "n1", "doc1"), ("2", None, "n2", "doc2"), ("3", None, "n3", "doc3"))
        step = Net(
            table,
            deletes=batch(("id",), ("3",)),
            puts=batch(("id", "note", "doc"), ("5", "five", None)),
            moved=[
                Moved(batch(("id", "note"), ("2", "was 1")), ("1",), ("amount", "doc")),
                Moved(batch(("id", "note"), ("1", "was 2")), ("2",), ("amount", "doc")),
                Moved(batch(("id", "amount", "note"), ("4", "9.00", "was 3")), ("3",), ("doc",)),
            ],
        )
        target.write([step], Progress("1"))
        assert self.held(table, "id", "note", "doc") == [
            ("1", "was 2", "doc2"),
            ("2", "was 1", "doc1"),
            ("4", "was 3", "doc3"),
            ("5", "five", None),
        ]

    def test_a_moved_row_with_a_composite_key_keeps_its_large_value(self) -> None:
        target, table = self.started(), self.upsert(LINES)
        self.filled(target, table, ("é", "1", "large"), ("é", "2", "other"))
        moved = Moved(batch(("region", "no"), ("z", "1")), ("é", "1"), ("note",))
        target.write([Net(table, deletes=batch(LINES.key, ("é", "1")), moved=[moved])], Progress("1"))
        assert self.held(table) == [("z", "1", "large"), ("é", "2", "other")]

    @pytest.mark.parametrize("how", ["patch", "patch of nothing", "moved"])
    def test_a_row_that_must_be_there_and_is_not_undoes_everything(self, how: str) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, ("1", None, "a", None))
        lacking = {
            "patch": Net(table, patches=[batch(("id", "note"), ("1", "b"), ("2", "b"))]),
            "patch of nothing": Net(table, patches=[batch(("id",), ("1",), ("2",))]),
            "moved": Net(table, moved=[Moved(batch(("id", "note"), ("3", "b")), ("2",), ("amount", "doc"))]),
        }[how]
        gone = Net(table, deletes=batch(("id",), ("1",)))
        put = Net(table, puts=batch(ORDERS.names, ("1", None, "again", None)))
        with pytest.raises(TargetRowMissing, match="orders"):
            target.write([gone, put, lacking], Progress("1"))
        assert self.held(table, "id", "note") == [("1", "a")]
        assert target.stored(RUN) == Stored("filled", {})
        target.write([gone, put], Progress("2"))
        assert self.held(table, "id", "note") == [("1", "again")]

    def test_a_table_of_nothing_but_its_key_can_be_upserted(self) -> None:
        bare = TableSchema(TableName("p", "bare"), LINES.columns[:2], LINES.key, "postgres")
        target, table = self.started(), self.upsert(bare)
        self.filled(target, table, ("a", "1"), ("b", "1"))
        step = Net(table, deletes=batch(bare.key, ("a", "1")), puts=batch(bare.key, ("b", "1"), ("c", "1")))
        target.write([step], Progress("1"))
        assert self.held(table) == [("b", "1"), ("c", "1")]

    def test_a_put_keeps_what_it_does_not_know_of_the_row(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, ("1", "1.00", "a", "d"))
        target.write([Net(table, puts=batch(("id", "note"), ("1", "b"), ("2", "c")))], Progress("1"))
        assert self.held(table) == [("1", "1.00", "b", "d"), ("2", None, "c", None)]

    def test_many_rows_of_several_tables_in_one_write(self) -> None:
        target, table, log, lines = self.started(), self.upsert(), self.append(), self.upsert(LINES)
        for each in (table, log, lines):
            target.prepare(each, create=True, replace=False)
        count = 20_000
        orders = [batch(("id", "note"), *((str(n), f"note {n}") for n in range(count)))]
        target.write([Append(table, orders), Append(log, orders)], Progress("1"))
        step = Net(
            table,
            deletes=batch(("id",), *((str(n),) for n in range(0, count, 4))),
            puts=batch(("id", "note"), *((str(n), "put") for n in range(1, count, 4))),
            patches=[batch(("id", "note"), *((str(n), "patched") for n in range(2, count, 4)))],
        )
        target.write([step, Append(lines, [batch(LINES.names, ("a", "1", "x"))])], Progress("2"))
        found = {row["id"]: row["note"] for row in self.rows(table)}
        assert len(found) == count * 3 // 4
        assert [found.get(str(n)) for n in range(count - 4, count)] == [None, "put", "patched", f"note {count - 1}"]
        assert len(self.rows(log)) == count
        assert self.held(lines) == [("a", "1", "x")]

    # --- clear ---

    def test_clear_empties_the_table(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, ("1", None, "a", None), ("2", None, "b", None))
        target.write([Clear(table), Net(table, puts=batch(("id", "note"), ("3", "c")))], Progress("1"))
        assert self.held(table, "id", "note") == [("3", "c")]

    def test_a_clear_that_is_undone_leaves_every_row(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, ("1", None, "a", None))
        with pytest.raises(TargetRowMissing):
            target.write([Clear(table), Net(table, patches=[batch(("id", "note"), ("1", "b"))])], Progress("1"))
        assert self.held(table, "id", "note") == [("1", "a")]

    def test_clear_takes_only_its_ranges(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, *((str(n), None, None, None) for n in range(1, 13)))
        target.write([Clear(table, [KeyRange(("2",), ("4",)), KeyRange(("10",), None)])], Progress("1"))
        assert self.held(table, "id") == sorted((str(n),) for n in (1, 2, 5, 6, 7, 8, 9, 10))
        target.write([Clear(table, [KeyRange(None, ("5",))])], Progress("2"))
        assert self.held(table, "id") == sorted((str(n),) for n in (6, 7, 8, 9, 10))

    def test_ranges_that_touch_clear_all_that_is_between(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, *((str(n), None, None, None) for n in range(9)))
        ranges = [KeyRange(("1",), ("3",)), KeyRange(("3",), ("5",)), KeyRange(("6",), ("7",))]
        target.write([Clear(table, ranges)], Progress("1"))
        assert self.held(table, "id") == [("0",), ("1",), ("6",), ("8",)]
        target.write([Clear(table, [KeyRange(None, ("6",)), KeyRange(("6",), None)])], Progress("2"))
        assert self.rows(table) == []

    def test_clear_without_a_range_to_clear_does_nothing(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, ("1", None, None, None))
        target.write([Clear(table, [])], Progress("1"))
        assert self.held(table, "id") == [("1",)]

    @pytest.mark.parametrize("ranges", [None, [KeyRange(("1",), ("3",))]])
    def test_clear_leaves_the_rows_to_keep(self, ranges: list[KeyRange] | None) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, *((str(n), None, None, None) for n in range(1, 5)))
        target.write([Clear(table, ranges, batch(("id",), ("2",), ("77",)))], Progress("1"))
        assert self.held(table, "id") == ([("2",)] if ranges is None else [("1",), ("2",), ("4",)])

    def test_clear_takes_ranges_of_a_composite_key(self) -> None:
        target, table = self.started(), self.upsert(LINES)
        keys = [(region, no) for region in ("Z", "a", "é") for no in ("9", "10", "11")]
        self.filled(target, table, *((*key, None) for key in keys))
        step = Clear(table, [KeyRange(("Z", "10"), ("a", "9"))], batch(LINES.key, ("a", "9")))
        target.write([step], Progress("1"))
        assert set(self.held(table, *LINES.key)) == set(keys) - {("Z", "11")}

    def test_clear_takes_ranges_of_the_first_columns_of_a_key(self) -> None:
        target, table = self.started(), self.upsert(LINES)
        keys = [(region, no) for region in ("A", "B", "a", "b") for no in ("1", "2")]
        self.filled(target, table, *((*key, None) for key in keys))
        target.write([Clear(table, [KeyRange(("A",), ("a",))])], Progress("1"))
        assert {region for region, _ in self.held(table, *LINES.key)} == {"A", "b"}

    @pytest.mark.parametrize(("type", "ordered"), KEYS, ids=label)
    def test_clear_compares_keys_as_the_source_does_where_it_says_so(
        self, type: DataType, ordered: tuple[str, ...]
    ) -> None:
        target = self.started()
        if not target.can_order(type):
            pytest.skip("the target does not order this type as the source does, and says so")
        source = TableSchema(TableName("p", "keyed"), (Column("k", type, False), Column("n", TEXT)), ("k",), "postgres")
        table = self.upsert(source)
        ordered = tuple(self.holdable(type, ordered))
        for edge in range(len(ordered)):
            self.filled(target, table, *((key, str(n)) for n, key in enumerate(ordered)))
            target.write([Clear(table, [KeyRange(None, (ordered[edge],))])], Progress("1"))
            assert sorted(int(n) for (n,) in self.held(table, "n") if n) == list(range(edge + 1, len(ordered)))
            target.write([Clear(table, [KeyRange((ordered[edge],), None)])], Progress("2"))
            assert self.rows(table) == []

    @pytest.mark.parametrize(("type", "keys"), KEYS, ids=label)
    def test_rows_are_found_by_keys_of_every_type(self, type: DataType, keys: tuple[str, ...]) -> None:
        source = TableSchema(TableName("p", "keyed"), (Column("k", type, False), Column("n", TEXT)), ("k",), "postgres")
        target, table = self.started(), self.upsert(source)
        keys = tuple(self.holdable(type, keys))
        self.filled(target, table, *((key, "old") for key in keys))
        first, second, third = keys[:3]
        step = Net(
            table,
            deletes=batch(("k",), (first,)),
            puts=batch(("k", "n"), (second, "put")),
            patches=[batch(("k", "n"), (third, "patched"))],
        )
        target.write([step], Progress("1"))
        assert sorted(n for (n,) in self.held(table, "n") if n) == ["old"] * (len(keys) - 3) + ["patched", "put"]
