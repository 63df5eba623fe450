"""Cases about the full copy: chunks, their snapshots, and what both say of the log."""

from __future__ import annotations

from itertools import pairwise

from tidegate.connect.source import ChunkMark
from tidegate.connect.target import KeyRange
from tidegate.errors import TidegateError
from tidegate.model.schema import TableName
from tidegate.testing.source_contract.ground import Ground, cell, raises

MANY = 400


class Copying(Ground):
    def test_a_chunk_without_bounds_has_every_row_as_texts(self) -> None:
        name = self.table()
        self.execute("insert into t values (10, '', 'text'), (11, null, null)")
        source = self.fresh()
        schema = source.schema(name)
        _, seen, rows = self.read(source, schema)
        assert seen == schema
        assert sorted(rows, key=lambda row: int(row["id"] or 0)) == [
            {"id": "1", "note": "n1", "big": None},
            {"id": "2", "note": "n2", "big": None},
            {"id": "3", "note": "n3", "big": None},
            {"id": "10", "note": "", "big": "text"},
            {"id": "11", "note": None, "big": None},
        ]

    def test_an_empty_table_is_one_chunk_without_rows(self) -> None:
        source = self.fresh()
        schema = source.schema(self.table(rows=0))
        assert source.edges(schema, can_order=lambda type: True) == [KeyRange(None, None)]
        assert self.read(source, schema)[2] == []

    def test_chunks_follow_one_another_without_gap_or_overlap(self) -> None:
        source = self.fresh()
        schema = source.schema(self.table(rows=MANY))
        with self.small_chunks():
            chunks = source.edges(schema, can_order=lambda type: True)
        assert len(chunks) > 3
        assert chunks[0].after is None
        assert chunks[-1].upto is None
        assert all(one.upto == next.after for one, next in pairwise(chunks))
        order = source.order(schema)
        found: list[int] = []
        for keys in chunks:
            ids = [row["id"] or "" for row in self.read(source, schema, keys)[2]]
            for id in ids:  # Python must agree with the source about where a key belongs
                assert keys.after is None or order(keys.after) < order((id,))
                assert keys.upto is None or order((id,)) <= order(keys.upto)
            found += [int(id) for id in ids]
        assert sorted(found) == list(range(1, MANY + 1))

    def test_a_key_that_the_target_orders_otherwise_makes_one_chunk(self) -> None:
        source = self.fresh()
        schema = source.schema(self.table(rows=MANY))
        with self.small_chunks():
            assert source.edges(schema, can_order=lambda type: False) == [KeyRange(None, None)]

    def test_one_row_can_be_read_by_its_key(self) -> None:
        source = self.fresh()
        schema = source.schema(self.table())
        for key, wanted in (("2", ["n2"]), ("99", [])):
            reader = source.row_chunk(schema, (key,))
            reader.lock()
            reader.mark()
            _, batches = reader.rows()
            assert [row["note"] for batch in batches for row in batch.to_pylist()] == wanted
            reader.close()

    def test_a_chunk_has_what_its_snapshot_sees_and_nothing_else(self) -> None:
        """What was committed before it, what is open, and what is committed while its rows are read."""
        name = self.table()
        source, position = self.begun(name)
        log = self.followed(source, position)
        self.execute("update t set note = 'before' where id = 1")
        with self.session() as other:
            other.execute("begin")
            other.execute("update t set note = 'open' where id = 2")

            def meanwhile() -> None:
                self.execute("update t set note = 'after' where id = 3")
                other.execute("commit")

            mark, _, rows = self.read(source, source.schema(name), meanwhile=meanwhile)
        assert sorted((row["id"], row["note"]) for row in rows) == [("1", "before"), ("2", "n2"), ("3", "n3")]
        changes = log.changes(3)
        seen = {cell(change, "note"): mark.seen.sees(part.transaction) for part in log.parts for change in part.changes}
        assert len(changes) == len(seen)
        assert seen == {"before": True, "open": False, "after": False}

    def test_past_the_logs_end_at_the_snapshot_nothing_is_seen(self) -> None:
        name = self.table()
        source, position = self.begun(name)
        log = self.followed(source, position)
        marks: list[ChunkMark] = []
        for n in range(5):
            self.execute(f"update t set note = 'v{n}' where id = 1")
            marks.append(self.read(source, source.schema(name))[0])
        log.changes(5)
        for part in log.parts:
            for mark in marks:
                if mark.log_end <= part.commit:
                    assert not mark.seen.sees(part.transaction)
        assert [[mark.seen.sees(part.transaction) for part in log.parts] for mark in marks] == [
            [part <= mark for part in range(5)] for mark in range(5)
        ]

    def test_a_snapshot_of_this_instant_sees_what_was_committed(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        before = source.now()
        self.execute("update t set note = 'x' where id = 1")
        log.changes(1)
        assert source.now().sees(log.parts[0].transaction)
        assert not before.sees(log.parts[0].transaction)
        assert source.parse_mark(str(source.now())).sees(log.parts[0].transaction)

    def test_a_mark_means_the_same_when_it_was_read_back(self) -> None:
        name = self.table()
        source, position = self.begun(name)
        log = self.followed(source, position)
        with self.session() as other:
            other.execute("begin")
            other.execute("update t set note = 'open' where id = 2")
            self.execute("update t set note = 'before' where id = 1")
            mark = self.read(source, source.schema(name))[0]
            other.execute("commit")
        self.execute("update t set note = 'after' where id = 3")
        log.changes(3)
        again = self.fresh().parse_mark(str(mark.seen))
        for part in log.parts:
            assert again.sees(part.transaction) == mark.seen.sees(part.transaction)

    def test_a_chunk_can_be_given_up_at_any_stage(self) -> None:
        source = self.fresh()
        schema = source.schema(self.table(rows=MANY))
        for stage in range(4):
            reader = source.chunk(schema, KeyRange(None, None))
            if stage > 0:
                reader.lock()
            if stage > 1:
                reader.mark()
            if stage > 2:
                reader.rows()
            reader.close()
            reader.close()
        self.execute("drop table t")  # nothing holds it any more

    def test_a_table_that_is_gone_is_told_when_its_chunk_is_read(self) -> None:
        source = self.fresh()
        schema = source.schema(self.table())
        self.execute("drop table t")
        with raises(TidegateError) as error:
            self.read(source, schema)
        assert f"{self.schema}.t" in str(error[0])

    def test_a_chunk_shows_the_columns_of_its_snapshot(self) -> None:
        source = self.fresh()
        schema = source.schema(self.table())
        self.execute("alter table t add more int")
        _, seen, rows = self.read(source, schema)
        assert seen.names == ("id", "note", "big", "more")
        assert {row["more"] for row in rows} == {None}

    def test_copy_and_log_give_the_same_texts(self) -> None:
        columns = list(self.types)
        self.execute(
            "create table t (id int primary key, " + ", ".join(f"c{n} {type}" for n, type in enumerate(columns)) + ")"
        )
        name = TableName(self.schema, "t")
        source, position = self.begun(name)
        log = self.followed(source, position)
        longest = max(len(values) for values in self.types.values())
        for row in range(longest):
            cells = [values[row] if row < len(values) else "null" for values in self.types.values()]
            self.execute(f"insert into t values ({row}, {', '.join(cells)})")
        _, _, rows = self.read(source, source.schema(name))
        logged = [dict(zip(change.table.names, change.new or (), strict=True)) for change in log.changes(longest)]
        assert sorted(rows, key=lambda row: int(row["id"] or 0)) == logged

    def test_chunks_that_are_read_at_once_do_not_disturb_each_other(self) -> None:
        source = self.fresh()
        schema = source.schema(self.table())
        readers = [source.chunk(schema, KeyRange(None, None)) for _ in range(3)]
        for reader in readers:
            reader.lock()
        for reader in readers:
            reader.mark()
        self.execute("update t set note = 'after'")
        for reader in readers:
            _, batches = reader.rows()
            assert {row["note"] for batch in batches for row in batch.to_pylist()} == {"n1", "n2", "n3"}
            reader.close()
