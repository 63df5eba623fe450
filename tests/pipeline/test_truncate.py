"""TRUNCATE at the source: carried in upsert, written down in append, and right while a table is being copied."""

from __future__ import annotations

import pytest

from pipeline.pairs import DuckPair, Pair
from pipeline.steering import Steering, high, low


def make(pair: Pair | DuckPair, rows: int = 50, table: str = "a") -> None:
    pair.source.execute(f"create table public.{table} (id int primary key, n int)")
    pair.source.execute(f"insert into {table} select i, i from generate_series(1, {rows}) i")


def test_a_truncate_empties_the_target(each_pair: Pair) -> None:
    pair = each_pair
    make(pair)
    make(pair, table="b")
    rig = pair.rig(["public.a", "public.b"]).start().opens().copied()
    pair.source.execute("update a set n = -1 where id < 10")
    pair.source.execute("truncate a, b restart identity cascade")
    pair.source.execute("insert into a values (1, 100)")
    rig.reaches(lambda: pair.equal("a") and pair.equal("b"))
    assert pair.arrived("select * from a") == [(1, 100)]


def test_a_truncate_inside_a_transaction_keeps_its_place(pair: Pair) -> None:
    make(pair)
    rig = pair.rig(["public.a"]).start().opens().copied()
    pair.source.execute(
        "begin; insert into a values (101, 1); truncate a; insert into a values (1, 2), (101, 3);"
        " update a set n = 4 where id = 1; savepoint s; truncate a; rollback to s; delete from a where id = 101; commit"
    )
    rig.reaches(lambda: pair.equal("a"))
    assert pair.arrived("select * from a") == [(1, 4)]


def test_a_truncate_that_is_rolled_back_is_none(pair: Pair) -> None:
    make(pair)
    rig = pair.rig(["public.a"]).start().opens().copied()
    pair.source.execute("begin; truncate a; insert into a values (1, 2); rollback")
    pair.source.execute("insert into a values (101, 1)")
    rig.reaches(lambda: pair.equal("a"))
    assert pair.arrived("select count(*) from a") == [(51,)]


def test_append_has_one_row_for_a_truncate(pair: Pair) -> None:
    make(pair, 2)
    rig = pair.rig(["public.a"], write="append").start().opens().copied()
    pair.source.execute("truncate a")
    pair.source.execute("insert into a values (1, 2)")
    rig.reaches(lambda: pair.arrived("select count(*) from a where _tidegate_op = 'insert'") == [(1,)])
    found = pair.arrived("select id, n, _tidegate_op, _tidegate_detail from a order by _tidegate_position")
    assert sorted(found[:2]) == [(1, 1, "read", None), (2, 2, "read", None)]
    assert found[2:] == [(None, None, "truncate", None), (1, 2, "insert", None)]


def test_duckdb_is_emptied_too(duck_pair: DuckPair) -> None:
    pair = duck_pair
    make(pair)
    rig = pair.rig(["public.a"]).start().opens().copied()
    pair.source.execute("begin; delete from a where id = 1; truncate a; insert into a values (1, 2); commit")
    rig.reaches(lambda: rig.counters()["changes_written"] >= 3)
    rig.pause()
    assert pair.texts("public.a") == [{"id": "1", "n": "2"}]


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("write", ["upsert", "append"])
def test_a_truncate_during_the_copy_empties_the_chunks_that_do_not_contain_it(pair: Pair, write: str) -> None:
    steering = Steering()
    pair.source_class = steering.source_class()
    make(pair)
    steering.holds = low
    rig = pair.rig(["public.a"], write=write).start().opens()
    rig.reaches(lambda: rig.counters()["chunks_done"] == rig.counters()["chunks_total"] - 1, "all chunks but the first")
    pair.source.execute("truncate a")
    pair.source.execute("insert into a select i, -i from generate_series(1, 60, 3) i")
    steering.holds = lambda keys: False
    rig.copied()
    if write == "upsert":
        rig.reaches(lambda: pair.equal("a"))
        return
    rig.reaches(lambda: folded(pair) == pair.rows("select id, n from a order by id"))
    ranges = pair.arrived("select _tidegate_detail from a where _tidegate_op = 'truncate'")
    chunks = rig.counters()["chunks_total"]
    assert len(ranges) == chunks - 1  # the first chunk's rows were read after it
    assert all(detail["truncated"]["after"] is not None for (detail,) in ranges)


def folded(pair: Pair) -> list[tuple[int, int]]:
    """What appended rows amount to: read in order, a truncate empties its range but for the keys it names."""
    rows: dict[int, int] = {}
    for id, n, op, detail in pair.arrived(
        "select id, n, _tidegate_op, _tidegate_detail from a order by _tidegate_position"
    ):
        if op == "truncate":
            span = (detail or {}).get("truncated", {"after": None, "upto": None})
            after, upto = ((int(edge[0]) if edge else None) for edge in (span["after"], span["upto"]))
            kept = {int(key) for (key,) in span.get("kept", ())}
            for key in [k for k in rows if (after is None or k > after) and (upto is None or k <= upto)]:
                if key not in kept:
                    del rows[key]
        elif op == "delete":
            rows.pop(id, None)
        else:
            rows[id] = n
    return sorted(rows.items())


@pytest.mark.usefixtures("small_chunks")
def test_a_truncate_waits_for_a_chunk_that_is_being_read(pair: Pair) -> None:
    steering = Steering()
    pair.source_class = steering.source_class()
    make(pair)
    steering.holds_rows = high
    rig = pair.rig(["public.a"]).start().opens()
    rig.reaches(lambda: any(high(keys) for keys in steering.marked), "the last chunk's snapshot is taken")
    pair.source.execute("set lock_timeout = '100ms'")
    with pytest.raises(Exception, match="lock timeout"):
        pair.source.execute("truncate a")
    steering.holds_rows = lambda keys: False
    rig.copied()
    pair.source.execute("truncate a")
    rig.reaches(lambda: pair.equal("a"))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("write", ["upsert", "append"])
def test_a_row_read_by_itself_outlives_a_truncate_it_already_contains(pair: Pair, write: str) -> None:
    steering = Steering()
    pair.source_class = steering.source_class()
    pair.source.execute("create table public.a (id int primary key, n int, big text)")
    pair.source.execute("alter table a alter big set storage external")
    pair.source.execute("insert into a select i, i, repeat(i::text, 3000) from generate_series(1, 50) i")
    steering.holds, steering.parts_allowed = low, 0
    rig = pair.rig(["public.a"], write=write).start().opens()
    rig.reaches(lambda: rig.counters()["chunks_done"] == rig.counters()["chunks_total"] - 1, "all chunks but the first")
    pair.source.execute("update a set id = 1001 where id = 1")
    pair.source.execute("truncate a")
    pair.source.execute("insert into a values (1001, -1, 'again')")
    steering.parts_allowed = None
    rig.reaches(lambda: rig.counters()["patches"] == 1, "the row is read by itself")
    steering.holds = lambda keys: False
    rig.copied()
    if write == "upsert":
        rig.reaches(lambda: pair.equal("a"))
    else:
        rig.reaches(lambda: folded(pair) == [(1001, -1)])
